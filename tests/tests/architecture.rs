//! The direction of dependencies, read from cargo itself.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand};
use saga_tests::architecture::{MAX_MAIN_LINES, Package, Part, forbidden, packages};
use saga_tests::purity::impure;

fn workspace() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap()
}

#[test]
fn every_dependency_points_towards_the_core() {
    let packages = packages(&workspace());
    assert!(packages.iter().any(|package| package.name == "saga-core"));
    assert_eq!(forbidden(&packages), [""; 0]);
}

#[test]
fn every_main_of_a_function_is_only_wiring() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for package in packages(&workspace()) {
        if Part::of(&package.folder) == Some(Part::Function) {
            let main = format!("{root}/{}/src/main.rs", package.folder);
            let lines = fs::read_to_string(&main).unwrap().lines().count();
            assert!(
                lines <= MAX_MAIN_LINES,
                "{main} has {lines} lines, at most {MAX_MAIN_LINES}"
            );
        }
    }
}

#[test]
fn no_crate_is_unsafe_and_money_does_not_wrap() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |file: &str| fs::read_to_string(format!("{root}/{file}")).unwrap();
    let workspace_manifest = read("Cargo.toml");
    for line in [
        "unsafe_code = \"forbid\"",
        "[profile.release.package.saga-core]\noverflow-checks = true",
        "[profile.release.package.saga-participants]\noverflow-checks = true",
    ] {
        assert!(
            workspace_manifest.contains(line),
            "Cargo.toml says no longer: {line}"
        );
    }
    for package in packages(&workspace()) {
        let manifest = read(&format!("{}/Cargo.toml", package.folder));
        let forbids = manifest.contains("[lints]\nworkspace = true");
        assert!(forbids, "{} does not take the workspace's lints", package.name);
    }
}

fn package(name: &str, folder: &str, uses: &[&str]) -> Package {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Package {
        name: name.to_owned(),
        folder: folder.to_owned(),
        uses: names(uses),
        external: names(&[]),
        build_script: false,
    }
}

/// A house as it should be, in which one crate more uses what it is given.
fn house(name: &str, folder: &str, uses: &[&str]) -> Vec<Package> {
    let mut all = vec![
        package("core", "shared/core", &[]),
        package("participants", "shared/participants", &["core"]),
        package("wire", "shared/wire", &["core", "serde"]),
        package("app", "shared/app", &["core", "participants", "wire"]),
        package("aws", "shared/aws", &["app", "wire", "core"]),
        package("memory", "shared/memory", &["app", "core"]),
        package("runtime", "shared/runtime", &["app", "core"]),
        package("cli", "shared/cli", &["runtime", "aws", "app", "wire", "core"]),
        package("one", "functions/one", &["runtime", "aws", "app", "wire"]),
        package("tests", "tests", &["memory", "aws", "app", "core"]),
        package("emulator", "localstack/emulator", &[]),
    ];
    all.retain(|known| known.name != name);
    all.push(package(name, folder, uses));
    all
}

#[test]
fn a_house_as_designed_has_no_forbidden_edge() {
    assert_eq!(forbidden(&house("two", "functions/two", &["runtime"])), [""; 0]);
}

#[test]
fn each_forbidden_edge_is_found() {
    for (name, folder, uses) in [
        ("core", "shared/core", "wire"),
        ("participants", "shared/participants", "app"),
        ("wire", "shared/wire", "participants"),
        ("app", "shared/app", "aws"),
        ("app", "shared/app", "memory"),
        ("aws", "shared/aws", "participants"),
        ("azure", "shared/azure", "aws"),
        ("runtime", "shared/runtime", "aws"),
        ("cli", "shared/cli", "one"),
        ("cli", "shared/cli", "memory"),
        ("cli", "shared/cli", "participants"),
        ("two", "functions/two", "cli"),
        ("runtime", "shared/runtime", "cli"),
        ("two", "functions/two", "one"),
        ("two", "functions/two", "memory"),
        ("two", "functions/two", "participants"),
        ("emulator", "localstack/emulator", "wire"),
    ] {
        let found = forbidden(&house(name, folder, &[uses]));
        let edge = format!("must not use {uses}");
        assert!(
            found.len() == 1 && found[0].starts_with(name) && found[0].ends_with(&edge),
            "{name} → {uses}: {found:?}"
        );
    }
}

#[test]
fn a_pure_crate_uses_only_crates_on_the_list_and_runs_nothing_when_it_is_built() {
    for (name, folder, part) in [
        ("core", "shared/core", "Core"),
        ("participants", "shared/participants", "Participants"),
    ] {
        let mut house = house(name, folder, &["serde"]);
        let pure = house.last_mut().unwrap();
        pure.external = ["serde".to_owned(), "uuid".to_owned()].into();
        pure.build_script = true;
        let found = [
            format!("{name} ({part}) must not use serde"),
            format!("{name} ({part}) must not have a build script"),
        ];
        assert_eq!(forbidden(&house), found);
    }
    let mut house = house("wire", "shared/wire", &["core", "serde"]);
    house.last_mut().unwrap().external = ["serde".to_owned()].into();
    assert_eq!(forbidden(&house), [""; 0]);
}

/// Every source file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut all: Vec<_> = folders.iter().flat_map(|folder| sources(folder)).collect();
    all.extend(
        files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|end| end == "rs")),
    );
    all.sort();
    all
}

#[test]
fn the_source_of_a_pure_crate_reaches_nothing_outside() {
    let metadata = workspace();
    let mut crates = 0;
    for package in metadata.workspace_packages() {
        let folder = package.manifest_path.parent().unwrap();
        let inside = folder.strip_prefix(&metadata.workspace_root).unwrap();
        if !Part::of(inside.as_str()).is_some_and(Part::is_pure) {
            continue;
        }
        crates += 1;
        for target in &package.targets {
            assert!(
                target.src_path.starts_with(folder.join("src")),
                "{} is built from {}, which is not read here",
                package.name,
                target.src_path
            );
        }
        let files = sources(folder.join("src").as_std_path());
        let files = files
            .iter()
            .map(|file| (file.display().to_string(), fs::read_to_string(file).unwrap()));
        assert_eq!(impure(&files.collect::<Vec<_>>()).unwrap(), [""; 0]);
    }
    assert_eq!(crates, 2, "the core and the participants are pure");
}

/// What is found in a file of a participant that says this.
fn found_in(source: &str) -> Vec<String> {
    impure(&[("seats.rs".to_owned(), source.to_owned())]).unwrap()
}

#[test]
fn whatever_reaches_outside_is_found() {
    for (source, found) in [
        ("use std::net::TcpStream;", "net"),
        ("use ::std::net::TcpStream;", "net"),
        ("use std::{fmt, net::TcpStream};", "net"),
        ("use std::{collections::BTreeMap, {net::TcpStream, fmt}};", "std"),
        ("use std::{self as s, fmt};", "self"),
        ("use std as s;", "std"),
        ("use std::*;", "std"),
        ("use std::{fmt, *};", "std"),
        ("use r#std::r#net::TcpStream;", "net"),
        ("extern crate std as s;", "extern"),
        ("extern \"C\" { fn getpid() -> i32; }", "extern"),
        ("fn f() { std::thread::spawn(|| ()); }", "thread"),
        ("fn f() { std :: /* here */ fs :: read(\"a\"); }", "fs"),
        ("fn f() { std::process::exit(1) }", "process"),
        (
            "fn f() { let mut s = String::new(); std::io::stdin().read_line(&mut s); }",
            "io",
        ),
        (
            "fn f() -> std::time::Instant { std::time::Instant::now() }",
            "time",
        ),
        ("fn f() { std::env::var(\"HOME\"); }", "env"),
        (
            "fn f() { ::core::sync::atomic::fence(::core::sync::atomic::Ordering::SeqCst) }",
            "sync",
        ),
        (
            "static SEEN: std::sync::Mutex<u8> = std::sync::Mutex::new(0);",
            "sync",
        ),
        ("use alloc::task::Wake;", "task"),
        ("use std::cell::Cell;", "cell"),
        ("fn f() { println!(\"a\") }", "println"),
        ("fn f() { r#print! { \"a\" } }", "print"),
        ("fn f() { std::eprintln![\"a\"] }", "eprintln"),
        ("fn f() { dbg!(1); }", "dbg"),
        ("include!(\"/tmp/other.rs\");", "include"),
        ("fn f() -> &'static str { env!(\"HOME\") }", "env"),
        ("#[path = \"/tmp/other.rs\"] mod other;", "path"),
        ("#[cfg_attr(all(), path = \"/tmp/other.rs\")] mod other;", "path"),
        ("thread_local! { static SEEN: u8 = 0; }", "thread_local"),
        ("macro_rules! m { ($m:ident) => { std::$m::stdin() } }", "std"),
        (
            "macro_rules! m { ($s:ident) => { use $s::net; } } m!(std);",
            "std",
        ),
        (
            "mod inner { fn f() { if true { std::fs::remove_file(\"a\"); } } }",
            "fs",
        ),
        ("use std::collections::HashMap;", "HashMap"),
        ("fn f() { Uuid::new_v4(); }", "new_v4"),
        ("use thiserror::__private::Path;", "__private"),
    ] {
        let all = found_in(source);
        let said = all
            .iter()
            .any(|one| one.starts_with(&format!("seats.rs:1: `{found}` ")));
        assert!(said, "{source}: {all:?}");
    }
    let second_line = found_in("use std::fmt;\nuse std::fs::File;\n");
    assert!(
        second_line.len() == 1 && second_line[0].starts_with("seats.rs:2: `fs` "),
        "{second_line:?}"
    );
    let own = "macro_rules! one { () => { println!(\"a\") } }\nfn f() { one!() }";
    assert_eq!(
        found_in(own).len(),
        1,
        "what an own macro says is found where it says it"
    );
    assert!(impure(&[("seats.rs".to_owned(), "fn {".to_owned())]).is_err());
}

#[test]
fn what_only_computes_is_fine() {
    for source in [
        "use std::collections::{BTreeMap, BTreeSet};",
        "use std::{fmt, str::FromStr};",
        "use core::cmp::Reverse;\nuse alloc::{vec, string::String};",
        "fn f() -> std::vec::Vec<u8> { vec![1] }",
        "/// `std::net` is not used here.\nfn f() { let _ = \"std::net\"; /* std::fs */ }",
        "fn f(a: bool) -> bool { if !(a) { return !(a); } a != true }",
        "macro_rules! one { () => { 1 } }\nfn f() -> i32 { one!() }",
        "fn f(net: u8, process: u8) -> String { format!(\"{}\", net + process) }",
    ] {
        assert_eq!(found_in(source), [""; 0], "{source}");
    }
}

#[test]
fn a_crate_that_nobody_planned_is_found() {
    let found = forbidden(&house("utils", "shared/utils", &[]));
    assert_eq!(found, ["utils is in shared/utils, where no crate belongs"]);
}

/// The files of a folder but for modules of tests, which hold no adapters.
fn rust_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(rust_files(&name));
        } else if name.ends_with(".rs") && !name.ends_with("/tests.rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found
}

/// `DeadLetterSource` as `dead_letter_source`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(character.to_lowercase());
    }
    out
}

/// What is not held to the contract of its port may do anything: every adapter has a line in a test file.
#[test]
fn every_adapter_of_every_port_is_held_to_its_contract() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let ports = ["ports.rs", "dead_letters/ports.rs"]
        .map(|file| fs::read_to_string(format!("{root}/shared/app/src/{file}")).unwrap());
    let names: Vec<&str> = ports
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.strip_prefix("pub trait "))
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap())
        .collect();
    assert!(names.len() >= 12, "{names:?}");
    let tests = rust_files(&format!("{root}/tests/tests")).concat();
    let sources = rust_files(&format!("{root}/shared"));
    for name in names {
        // Its adapters are stores, whose contracts hold an outbox, too.
        if name == "Outbox" {
            continue;
        }
        let is_adapter = |line: &&str| line.starts_with("impl") && line.contains(&format!(" {name} for "));
        let adapters: usize = sources
            .iter()
            .map(|source| source.split("#[cfg(test)]").next().unwrap())
            .map(|source| source.lines().filter(is_adapter).count())
            .sum();
        let held = tests
            .matches(&format!("saga_tests::{}_contract!(", snake(name)))
            .count();
        assert!(
            adapters >= 2 && held >= adapters,
            "{adapters} adapters of {name}, and {held} lines that hold one to its contract"
        );
    }
}
