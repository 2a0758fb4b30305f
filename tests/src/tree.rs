//! The files of this repository, for tests that read its sources and pages.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every text file below the root, by its path from there with `/`, and its text. Whatever Git ignores is left out: it lies in
/// folders whose name begins with a dot, in `target` and in `node_modules`.
#[must_use]
pub fn texts() -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(&root(), "", &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, path: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{path}{name}");
        if !entry.path().is_dir() {
            found.extend(fs::read_to_string(entry.path()).map(|text| (path, text)));
        } else if [".github", ".ci"].contains(&name.as_str())
            || !(name.starts_with('.') || ["target", "node_modules"].contains(&name.as_str()))
        {
            walk(&entry.path(), &format!("{path}/"), found);
        }
    }
}
