//! No crate has a circle of imports among its modules, and no file is long.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use saga_tests::modules::circles;

/// The most lines of a file of production code, without its tests.
const MAX_LINES: usize = 400;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The files of each crate that users run, by the folder of the crate's root.
fn crates() -> BTreeMap<PathBuf, Vec<(String, String)>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut found = BTreeMap::<PathBuf, Vec<(String, String)>>::new();
    for folder in ["shared", "functions", "localstack"] {
        for package in fs::read_dir(root.join(folder)).unwrap() {
            let src = package.unwrap().path().join("src");
            let mut files = Vec::new();
            if src.is_dir() {
                sources(&src, &mut files);
            }
            for file in files {
                // A command of its own is a crate of its own.
                let below = file.strip_prefix(&src).unwrap();
                let of_bin: Option<PathBuf> = below.strip_prefix("bin").ok().map(|rest| {
                    let name = rest.iter().next().unwrap();
                    src.join("bin").join(name)
                });
                let base = of_bin.unwrap_or_else(|| src.clone());
                let below = file.strip_prefix(&base).unwrap().to_string_lossy().into_owned();
                let text = fs::read_to_string(&file).unwrap();
                found.entry(base).or_default().push((below, text));
            }
        }
    }
    found
}

fn is_of_tests(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap();
    name == "tests.rs" || name.starts_with("test_") || file.split('/').any(|folder| folder == "tests")
}

#[test]
fn no_crate_has_a_circle_of_imports() {
    let crates = crates();
    assert!(crates.len() >= 15, "only {} crates were found", crates.len());
    let mut found = Vec::new();
    for (base, files) in crates {
        let production: Vec<_> = files.into_iter().filter(|(file, _)| !is_of_tests(file)).collect();
        found.extend(
            circles(&production)
                .unwrap()
                .into_iter()
                .map(|circle| (base.clone(), circle)),
        );
    }
    assert_eq!(found, []);
}

#[test]
fn no_file_is_long() {
    let mut long = Vec::new();
    for (base, files) in crates() {
        for (file, text) in files.into_iter().filter(|(file, _)| !is_of_tests(file)) {
            let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = production.lines().count();
            if lines > MAX_LINES {
                long.push(format!("{}/{file}: {lines} lines", base.display()));
            }
        }
    }
    assert_eq!(long, [""; 0], "at most {MAX_LINES} lines");
}

/// Stored state changes in one place for each kind: a stored saga, a step, a new saga.
#[test]
fn only_these_use_cases_commit() {
    let crates = crates();
    let app = crates.iter().find(|(base, _)| base.ends_with("shared/app/src"));
    let (_, files) = app.unwrap();
    let with = |call: &str| -> Vec<&str> {
        let calling = files.iter().filter(|(_, text)| text.contains(call));
        calling.map(|(file, _)| file.as_str()).collect()
    };
    let mut committing = with(".commit(");
    committing.sort_unstable();
    assert_eq!(committing, ["step_transact.rs", "transact.rs"]);
    assert_eq!(with("store.insert("), ["start_saga.rs"]);
}

fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let owned: Vec<_> = files
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect();
    circles(&owned).unwrap()
}

#[test]
fn each_way_to_import_in_a_circle_is_found() {
    let one = [
        ("lib.rs", "pub mod a;\npub mod b;"),
        ("b.rs", "use crate::a::One;\npub struct Two;"),
    ];
    for text in [
        "use crate::b::Two;",
        "use super::b::Two;",
        "use super::{b, c::Other};",
        "use crate::b as other;",
        "use crate::b::*;",
        "fn f() -> crate::b::Two { loop {} }",
        "impl X { fn f() { crate::b::f::<u8>(); } }",
    ] {
        assert_eq!(found(&[one[0], one[1], ("a.rs", text)]), [["a", "b"]], "{text}");
    }
    for text in [
        "use std::b::Two;",
        "use other::b;",
        "#[cfg(test)]\nmod tests { use crate::b::Two; }",
        "#[cfg(test)]\nuse crate::b::Two;",
        "impl X { #[cfg(test)]\nfn f() { crate::b::f(); } }",
        "pub use crate::b::Two;",
        "/// See [`crate::b::Two`].\npub struct One;",
    ] {
        assert_eq!(found(&[one[0], one[1], ("a.rs", text)]), [[""; 0]; 0], "{text}");
    }
}

#[test]
fn what_is_re_exported_comes_from_where_it_is_defined() {
    let a = ("a.rs", "use crate::Two;\npub struct One;");
    let b = ("b.rs", "use crate::a::One;\npub struct Two;");
    assert_eq!(
        found(&[("lib.rs", "mod a;\nmod b;\npub use b::Two;"), a, b]),
        [["a", "b"]]
    );
    assert_eq!(
        found(&[("lib.rs", "mod a;\nmod b;\npub struct Two;"), a, b]),
        [[""; 0]; 0]
    );
    // A folder's own code, and a file in it.
    let folder = [
        ("lib.rs", "mod x;"),
        ("x/mod.rs", "mod y;\nuse y::Two;\npub struct One;"),
        ("x/y.rs", "use super::One;"),
    ];
    assert_eq!(found(&folder), [["x", "x::y"]]);
}
