//! The pages keep up with the code: what they link to, name or list is there.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::collections::BTreeSet;

use regex_lite::Regex;
use saga_tests::tree::{root, texts};

/// The Markdown pages, by path.
fn pages() -> Vec<(String, String)> {
    let pages = texts().into_iter().filter(|(path, _)| path.ends_with(".md"));
    pages.collect()
}

/// The page's text without its blocks of code: those that are fenced, and those that are indented.
fn prose(page: &str) -> String {
    let mut fenced = false;
    let kept = page.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence && !line.starts_with("    ")
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// The name by which a link leads to this heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().replace(' ', "-")
}

/// `path` as it reads from the root, when it stands in a file in `folder`; `None` when it leads past the root.
fn resolve(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !["", "."].contains(part)) {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}

fn folder(page: &str) -> &str {
    page.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[test]
fn every_link_of_a_page_leads_to_a_file_and_a_heading() {
    let pages = pages();
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut broken = Vec::new();
    for (page, text) in &pages {
        for found in link.captures_iter(&prose(text)) {
            let target = &found[1];
            if target.starts_with("http") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() {
                Some(page.clone())
            } else {
                resolve(folder(page), path)
            };
            let there = path.is_some_and(|path| {
                let headings = |text: &String| {
                    prose(text)
                        .lines()
                        .any(|line| line.starts_with('#') && anchor(line) == heading)
                };
                let page = pages.iter().find(|(other, _)| *other == path);
                root().join(&path).exists()
                    && (heading.is_empty() || page.is_some_and(|(_, text)| headings(text)))
            });
            if !there {
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "links that lead nowhere:\n{}",
        broken.join("\n")
    );
}

/// What `make` and the local stack write, and what users write, is not there before.
const WRITTEN: [&str; 10] = [
    "target/",
    ".state",
    ".venv",
    "functionapp/",
    "logs/",
    "node_modules",
    "endpoints.json",
    "override.tf",
    ".tfvars",
    "prod/",
];

#[test]
fn every_file_that_a_page_names_exists() {
    let all: BTreeSet<String> = texts().into_iter().map(|(path, _)| path).collect();
    let path = Regex::new(r"`((?:[A-Za-z0-9_.-]+/)*[A-Za-z0-9_.-]+\.(?:rs|py|toml|tf|md|sh|json|yml|yaml|hcl|example)|(?:[a-z0-9_.-]+/)+)`").unwrap();
    let mut broken = Vec::new();
    for (page, text) in pages().iter().filter(|(page, _)| page != "CHANGELOG.md") {
        for found in path.captures_iter(&prose(text)) {
            let named = found[1].trim_start_matches("./");
            if WRITTEN.iter().any(|written| named.contains(written)) {
                continue;
            }
            let there = [resolve("", named), resolve(folder(page), named)]
                .into_iter()
                .flatten()
                .any(|path| root().join(&path).exists());
            // A name alone is a file of some folder that the sentence says.
            let somewhere = !named.trim_end_matches('/').contains('/')
                && all
                    .iter()
                    .any(|path| path.contains(&format!("/{named}")) || path == named);
            let part = named.contains('/') && all.iter().any(|path| path.contains(&format!("/{named}")));
            if !(there || somewhere || part) {
                broken.push(format!("{page}: {named}"));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "files that are not there:\n{}",
        broken.join("\n")
    );
}

#[test]
fn every_file_that_any_other_file_names_exists() {
    let all = texts();
    let there: BTreeSet<&str> = all.iter().map(|(path, _)| path.as_str()).collect();
    let path = Regex::new(
        r"(?:^|[^\w/.-])((?:shared|functions|tests|infra|localstack)/[\w/.-]+\.(?:rs|py|tf|toml|sh|md))\b",
    )
    .unwrap();
    let mut broken = Vec::new();
    for (file, text) in &all {
        // What an earlier release said of its own files stays as it was.
        let older = file == "CHANGELOG.md" || file.starts_with("tests/tests/") || file.contains("release_");
        if older || file.contains("fuzz/corpus") {
            continue;
        }
        for found in path.captures_iter(text) {
            let named = &found[1];
            let beside = || resolve(folder(file), named).is_some_and(|path| there.contains(path.as_str()));
            if !there.contains(named) && !named.ends_with("override.tf") && !beside() {
                broken.push(format!("{file}: {named}"));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "files that are not there:\n{}",
        broken.join("\n")
    );
}

#[test]
fn every_test_that_the_architecture_names_exists() {
    let texts = texts();
    let (_, page) = texts.iter().find(|(path, _)| path == "shared/README.md").unwrap();
    let name = Regex::new(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let named: Vec<String> = name
        .captures_iter(page)
        .map(|found| found[1].to_owned())
        .collect();
    assert!(named.len() >= 5, "{named:?}");
    for name in named {
        let there = texts
            .iter()
            .any(|(path, text)| path.ends_with(".rs") && text.contains(&format!("fn {name}(")));
        assert!(
            there,
            "shared/README.md names the test {name}, which does not exist"
        );
    }
}

#[test]
fn the_top_level_of_the_repository_is_as_it_is_designed() {
    let top = texts()
        .into_iter()
        .map(|(path, _)| path.split('/').next().unwrap().to_owned());
    let top: BTreeSet<String> = top.filter(|name| !name.starts_with('.')).collect();
    let designed = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "Makefile",
        "README.md",
        "deny.toml",
        "functions",
        "infra",
        "localstack",
        "shared",
        "tests",
    ];
    assert_eq!(top, designed.map(str::to_owned).into());
    let readme = texts()
        .into_iter()
        .find(|(path, _)| path == "README.md")
        .unwrap()
        .1;
    assert!(readme.lines().count() <= 150, "README.md has more than 150 lines");
}

const CONFIGURATION: &str = include_str!("../../functions/CONFIGURATION.md");

/// The variables of the page's table: the first column of each row.
fn described() -> BTreeSet<String> {
    let rows = CONFIGURATION.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap());
    let names = cells.flat_map(|cell| {
        cell.split(',')
            .map(|name| name.trim().trim_matches('`').to_owned())
    });
    names.collect()
}

/// What the deployed code and the `dlq` command read from their environment: the names that stand in calls of the readers
/// in `saga_runtime::environment`, or of what calls them.
fn read_by_the_code() -> BTreeSet<String> {
    let call = Regex::new(
        r#"(?:\b(?:required|optional|parsed|seconds|setting|queue)(?:::<\w+>)?\(\s*|\blet name = )"([A-Z][A-Z0-9_]+)""#,
    )
    .unwrap();
    let sources = texts().into_iter().filter(|(path, _)| {
        path.ends_with(".rs") && (path.starts_with("functions/") || path.starts_with("shared/"))
    });
    let mut names = BTreeSet::new();
    for (_, text) in sources.filter(|(path, _)| path.contains("/src/")) {
        let code = text.split("#[cfg(test)]").next().unwrap();
        names.extend(call.captures_iter(code).map(|found| found[1].to_owned()));
    }
    names
}

#[test]
fn the_configuration_page_has_every_variable_that_the_functions_read() {
    let (described, read) = (described(), read_by_the_code());
    assert!(
        read.len() > 30 && read.contains("NUDGE_AFTER_SECONDS") && read.contains("AZURE_CLIENT_ID"),
        "{read:?}"
    );
    let missing: Vec<&String> = read.difference(&described).collect();
    assert!(
        missing.is_empty(),
        "functions/CONFIGURATION.md does not describe {missing:?}"
    );
}

#[test]
fn every_variable_of_the_configuration_page_is_read_somewhere() {
    let sources: Vec<(String, String)> = texts()
        .into_iter()
        .filter(|(path, _)| !path.ends_with(".md"))
        .collect();
    let read = read_by_the_code();
    for name in described() {
        // The SDK reads its own, and `USER` is a shell's.
        let elsewhere = || {
            sources
                .iter()
                .any(|(path, text)| !path.ends_with("pages.rs") && text.contains(&name))
        };
        assert!(
            read.contains(&name) || elsewhere(),
            "functions/CONFIGURATION.md describes {name}, which nothing reads"
        );
    }
}
