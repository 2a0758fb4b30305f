//! What the fuzz targets found worth keeping, fed to the same functions on every run of the tests; and that a process
//! that is sent nonsense for ever does not grow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "the helpers of these tests are tests, too; the figures are what one wants to see"
)]

// The one list of what takes bytes from outside, shared with the fuzz targets.
#[path = "../fuzz/src/lib.rs"]
mod entrances;

use std::fs;
use std::path::Path;

use entrances::{ENTRANCES, Entrance};
use saga_app::ports::Time;
use saga_memory::Clock;
use saga_tests::contract::given;

/// The corpus of an entrance.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_entrance_takes_its_corpus() {
    for (name, enter) in ENTRANCES {
        let corpus = corpus(name);
        assert!(corpus.len() > 1, "{name} has no corpus");
        let bytes: usize = corpus.iter().map(Vec::len).sum();
        assert!(
            bytes <= 32 * 1024,
            "the corpus of {name} has {bytes} bytes: keep less"
        );
        for input in corpus {
            enter(&input);
        }
    }
}

#[test]
fn every_entrance_has_a_fuzz_target_and_the_other_way_round() {
    let names = |folder: &str| {
        let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder)).unwrap();
        let stem = |file: std::io::Result<fs::DirEntry>| {
            let path = file.unwrap().path();
            path.file_stem().unwrap().to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = files.map(stem).collect();
        names.sort();
        names
    };
    let mut known = ENTRANCES.map(|(name, _)| name);
    known.sort_unstable();
    assert_eq!(names("fuzz_targets"), known);
    assert_eq!(names("corpus"), known);
}

/// Nonsense that is nearly right: inputs of the corpus with a few things changed.
struct Nonsense {
    chance: Clock,
    corpora: Vec<(Entrance, Vec<Vec<u8>>)>,
}

impl Nonsense {
    fn new() -> Self {
        Self {
            chance: Clock::new(given::time(0), 7),
            corpora: ENTRANCES.map(|(name, enter)| (enter, corpus(name))).into(),
        }
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.chance.below(bound.max(1) as u64)).unwrap()
    }

    fn next(&self) -> (Entrance, Vec<u8>) {
        let (enter, corpus) = &self.corpora[self.below(self.corpora.len())];
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(3) {
            let (at, to) = (self.below(bytes.len()), self.below(bytes.len()));
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, b"\"{}[]:,\\\xff0"[self.below(10)]),
                2 if at < to => bytes.extend_from_within(at..to),
                3 if at < to => drop(bytes.drain(at..to)),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        (*enter, bytes)
    }
}

/// What this process has in memory, in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect(
        "resident memory is read from /proc: run this test on Linux, or look at the process by other means",
    );
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// The second half of so many inputs must not need more memory than the first.
fn stays_flat(count: usize) {
    const MAX_GROWTH: usize = 8 * 1024 * 1024;
    let nonsense = Nonsense::new();
    let enter = |count: usize| {
        for _ in 0..count {
            let (enter, bytes) = nonsense.next();
            enter(&bytes);
        }
        resident()
    };
    let half = enter(count / 2);
    let whole = enter(count - count / 2);
    println!(
        "{count} malformed inputs: {} KB at half, {} KB at the end",
        half / 1024,
        whole / 1024
    );
    assert!(
        whole <= half + MAX_GROWTH,
        "it grew by {} KB over {} inputs",
        (whole - half) / 1024,
        count / 2
    );
}

#[test]
fn memory_stays_flat_over_twenty_thousand_malformed_inputs() {
    stays_flat(20_000);
}

/// As long as it takes: some minutes without optimisation.
#[test]
#[ignore = "takes minutes: `make fuzz` runs it"]
fn memory_stays_flat_over_a_million_malformed_inputs() {
    stays_flat(1_000_000);
}
