//! Which of our crates may use which. The direction is always towards the core, which uses nothing.

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata};

/// The part of the house that a crate is, by its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `shared/core`: the protocol, pure.
    Core,
    /// `shared/participants`: business decisions, pure.
    Participants,
    /// `shared/wire`: formats.
    Wire,
    /// `shared/app`: ports and use cases.
    App,
    /// `shared/aws`, `shared/azure`: adapters of the ports.
    Adapter,
    /// `shared/memory`: adapters for tests.
    Memory,
    /// `shared/runtime`: what a process needs around a use case.
    Runtime,
    /// `shared/cli`: the `saga` command.
    Cli,
    /// `functions/*`: wiring.
    Function,
    /// `tests`, `tests/stored`.
    Tests,
    /// `localstack/*`: stands in for a cloud, and shares no code with what is tested against it.
    Emulator,
}

/// The external crates that a pure part may use: exact numbers, currency codes, properties of
/// characters, hashes, ids, error messages.
pub const PURE_MAY_USE: [&str; 6] = [
    "bigdecimal",
    "icu_properties",
    "iso_currency",
    "sha2",
    "thiserror",
    "uuid",
];

/// The most lines of a function's `main.rs`.
pub const MAX_MAIN_LINES: usize = 40;

impl Part {
    /// Whether it only computes: its source, its crates and its build reach nothing outside.
    #[must_use]
    pub fn is_pure(self) -> bool {
        matches!(self, Part::Core | Part::Participants)
    }

    /// The part in this folder of the workspace.
    #[must_use]
    pub fn of(folder: &str) -> Option<Self> {
        Some(match folder {
            "shared/core" => Part::Core,
            "shared/participants" => Part::Participants,
            "shared/wire" => Part::Wire,
            "shared/app" => Part::App,
            "shared/aws" | "shared/azure" => Part::Adapter,
            "shared/memory" => Part::Memory,
            "shared/runtime" => Part::Runtime,
            "shared/cli" => Part::Cli,
            "tests" | "tests/stored" => Part::Tests,
            _ if folder.starts_with("functions/") => Part::Function,
            _ if folder.starts_with("localstack/") => Part::Emulator,
            _ => return None,
        })
    }

    /// The parts that this one may use.
    fn may_use(self) -> &'static [Part] {
        match self {
            Part::Core | Part::Emulator => &[],
            Part::Participants | Part::Wire => &[Part::Core],
            Part::App => &[Part::Core, Part::Participants, Part::Wire],
            Part::Adapter | Part::Memory => &[Part::App, Part::Wire, Part::Core],
            Part::Runtime => &[Part::App, Part::Participants, Part::Wire, Part::Core],
            Part::Function | Part::Cli => &[Part::Runtime, Part::Adapter, Part::App, Part::Wire, Part::Core],
            Part::Tests => &[
                Part::Runtime,
                Part::Adapter,
                Part::Memory,
                Part::App,
                Part::Participants,
                Part::Wire,
                Part::Core,
                // Real adapters are held to their contracts on it.
                Part::Emulator,
                // Values of every type that is stored.
                Part::Tests,
            ],
        }
    }
}

/// One of our crates, and what it depends on for itself and for its own tests.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its folder in the workspace.
    pub folder: String,
    /// All crates that it depends on, of whatever kind.
    pub uses: BTreeSet<String>,
    /// The crates of others that are part of what it builds.
    pub external: BTreeSet<String>,
    /// Whether code of its own runs when it is built.
    pub build_script: bool,
}

/// The packages of a workspace.
#[must_use]
pub fn packages(metadata: &Metadata) -> Vec<Package> {
    let members = metadata.workspace_packages();
    let ours: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    let folder = |manifest: &Path| {
        let folder = manifest
            .parent()
            .and_then(|folder| folder.strip_prefix(&metadata.workspace_root).ok());
        folder.unwrap_or(manifest).to_string_lossy().into_owned()
    };
    members
        .iter()
        .map(|package| Package {
            name: package.name.to_string(),
            folder: folder(package.manifest_path.as_std_path()),
            uses: package
                .dependencies
                .iter()
                .map(|used| used.name.clone())
                .collect(),
            external: package
                .dependencies
                .iter()
                .filter(|used| used.kind != DependencyKind::Development && !ours.contains(used.name.as_str()))
                .map(|used| used.name.clone())
                .collect(),
            build_script: package.targets.iter().any(|target| target.is_custom_build()),
        })
        .collect()
}

/// Every edge that the house does not allow, in words. Empty is good.
#[must_use]
pub fn forbidden(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let Some(part) = Part::of(&package.folder) else {
            found.push(format!(
                "{} is in {}, where no crate belongs",
                package.name, package.folder
            ));
            continue;
        };
        for used in packages.iter().filter(|other| package.uses.contains(&other.name)) {
            if !Part::of(&used.folder).is_some_and(|used| part.may_use().contains(&used)) {
                found.push(format!("{} ({part:?}) must not use {}", package.name, used.name));
            }
        }
        let external = package
            .external
            .iter()
            .filter(|name| part.is_pure() && !PURE_MAY_USE.contains(&name.as_str()));
        found.extend(external.map(|name| format!("{} ({part:?}) must not use {name}", package.name)));
        if part.is_pure() && package.build_script {
            found.push(format!(
                "{} ({part:?}) must not have a build script",
                package.name
            ));
        }
    }
    found
}
