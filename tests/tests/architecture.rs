//! The direction of dependencies, read from cargo itself.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::fs;

use cargo_metadata::{Metadata, MetadataCommand};
use saga_tests::architecture::{MAX_MAIN_LINES, Package, Part, forbidden, packages};

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
fn the_core_uses_only_what_is_on_its_list() {
    let mut house = house("core", "shared/core", &["serde"]);
    let core = house.last_mut().unwrap();
    core.external = ["serde".to_owned(), "uuid".to_owned()].into();
    assert_eq!(forbidden(&house), ["core (Core) must not use serde"]);
}

#[test]
fn a_crate_that_nobody_planned_is_found() {
    let found = forbidden(&house("utils", "shared/utils", &[]));
    assert_eq!(found, ["utils is in shared/utils, where no crate belongs"]);
}
