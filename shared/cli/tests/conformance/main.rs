//! `saga conformance` as a person or a CI runs it, against services that keep every promise and others that break one.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

mod service;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::thread;

use serde_json::Value;
use service::Trait::*;
use service::{NEXT, SECRET, Service, Trait};
use tempfile::TempDir;

struct Ran {
    code: i32,
    out: String,
    said: String,
}

impl Ran {
    fn document(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}{}", self.out, self.said))
    }

    fn with_result(&self, result: &str) -> BTreeSet<String> {
        let document = self.document();
        let checks = document["checks"].as_array().unwrap().iter();
        let checks = checks.filter(|check| check["result"] == result);
        checks
            .map(|check| check["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn saga(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_saga"))
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code: status.code().unwrap(),
        out: text(stdout),
        said: text(stderr),
    }
}

/// Runs it against a service with these traits, all that can be tried tried.
fn tried(service: &Service, promise: &str, more: &[&str], secrets: &str) -> Ran {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let input = file("input.json", r#"{"amount":"129.90","order_id":"o-{unique}"}"#);
    let refuse = file("refuse.json", r#"{"refuse":true}"#);
    let mut arguments = vec!["conformance", &*service.url, "--json", "--recover", promise];
    arguments.extend(["--input", &input, "--refuse", &refuse, "--timeout", "5s"]);
    arguments.extend(more);
    if secrets.is_empty() {
        return saga(&arguments, &[]);
    }
    arguments.extend(["--secret-env", "BANK_SECRET"]);
    saga(&arguments, &[("BANK_SECRET", secrets)])
}

/// Does this with each, four at a time, and says what failed.
fn with_each<T: Sync>(all: &[T], check: impl Fn(&T) -> Result<(), String> + Sync) {
    let (next, failed) = (Mutex::new(all.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(one) = next.lock().unwrap().next() else {
                        return;
                    };
                    if let Err(why) = check(one) {
                        failed.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

const SIGNATURES: [&str; 5] = [
    "signature-missing",
    "signature-wrong",
    "signature-old",
    "signature-rotation",
    "signature-raw-body",
];
const OF_TOMBSTONE: [&str; 3] = ["undo-before-act", "undo-during-act", "undo-of-refused"];

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn a_service_that_keeps_its_promises_passes_however_unusual_it_is() {
    const KEY: &str = "key";
    const TOMBSTONE: &str = "tombstone";
    let cases: [(&[Trait], &str, &str); 14] = [
        (&[], TOMBSTONE, ""),
        (&[], KEY, ""),
        (&[], TOMBSTONE, SECRET),
        (&[], TOMBSTONE, "two"),
        (&[OnlyKey], KEY, ""),
        (&[NoUndo], KEY, ""),
        (&[Slow], TOMBSTONE, ""),
        (&[InFlightIs409], TOMBSTONE, ""),
        (&[LaterFirst], TOMBSTONE, ""),
        (&[ThrottlesInSeconds], TOMBSTONE, ""),
        (&[ThrottlesUntilADate], TOMBSTONE, ""),
        (&[BreaksConnections], TOMBSTONE, ""),
        (&[Dressed], TOMBSTONE, ""),
        (&[NoOutput], TOMBSTONE, SECRET),
    ];
    with_each(&cases, |(is, promise, secrets)| {
        let secrets = if *secrets == "two" {
            format!("{SECRET} {NEXT}")
        } else {
            (*secrets).to_owned()
        };
        let known: &[&'static str] = match secrets.split(' ').count() {
            _ if secrets.is_empty() => &[],
            1 => &[SECRET],
            _ => &[NEXT, SECRET],
        };
        let service = Service::start(is, known);
        let no_undo = is.contains(&NoUndo);
        let ran = tried(
            &service,
            promise,
            if no_undo { &["--no-undo"] } else { &[] },
            &secrets,
        );
        let mut skipped = BTreeSet::new();
        if secrets.is_empty() {
            skipped.extend(set(&SIGNATURES));
        }
        if *promise == KEY {
            skipped.extend(set(&OF_TOMBSTONE));
        }
        if no_undo {
            skipped.extend(set(&[
                "undo-after-act",
                "undo-twice",
                "undo-at-once",
                "undo-attempts-are-one",
                "act-after-undo",
                "act-during-undo",
            ]));
        }
        if !is.contains(&LaterFirst) {
            skipped.insert("later-decides".to_owned());
        }
        let (most, stands, orphans) = service.effects();
        let good = ran.code == 0
            && ran.with_result("broken").is_empty()
            && ran.with_result("skipped") == skipped
            && most == 1
            && (stands == 0) != no_undo
            && (orphans == 0 || *promise == TOMBSTONE)
            && !ran.out.contains("whsec_")
            && !ran.said.contains("whsec_");
        let ledger = format!("at most {most}, {stands} stand, {orphans} undos of what was not accepted");
        good.then_some(()).ok_or_else(|| {
            format!(
                "{is:?}, {promise}: {}, {ledger}: {}\n{}",
                ran.code, ran.out, ran.said
            )
        })
    });
}

#[test]
fn each_broken_promise_is_found_by_its_check_and_by_no_other() {
    /// What is wrong, the promise, what is found: first the check of its name, then those that meet the same fault.
    type Case<'a> = (Trait, &'a str, &'a [&'a str]);
    let cases: [Case<'_>; 43] = [
        (
            ForgetsKeys,
            "key",
            &[
                "same-act-twice",
                "twenty-at-once",
                "attempts-are-one",
                "act-after-undo",
                "act-during-undo",
            ],
        ),
        (DecidesTwiceAtOnce, "key", &["twenty-at-once"]),
        (ComparesBodies, "tombstone", &["attempts-are-one"]),
        (RefusesMoreMembers, "tombstone", &["unknown-members"]),
        (KeepsBySaga, "tombstone", &["keys-are-apart"]),
        (JudgesRefusalsAnew, "key", &["refusal-stays"]),
        (CannotUndo, "key", &["undo-after-act"]),
        (RefusesUndo, "key", &["undo-after-act"]),
        (
            UndoesOnce,
            "key",
            &["undo-twice", "undo-at-once", "undo-attempts-are-one"],
        ),
        (UndoComparesBodies, "tombstone", &["undo-attempts-are-one"]),
        (UndoRaces, "key", &["undo-at-once"]),
        (ActsAfterUndo, "key", &["act-after-undo", "act-during-undo"]),
        (RefusesAfterUndo, "key", &["act-after-undo", "act-during-undo"]),
        (ActsDuringUndo, "key", &["act-during-undo"]),
        (UndoNeedsItsAct, "tombstone", &["undo-before-act"]),
        (ForgetsEarlyUndo, "tombstone", &["undo-before-act"]),
        (UndoOfRefusedIs404, "tombstone", &["undo-of-refused"]),
        (UndoDuringActIs422, "tombstone", &["undo-during-act"]),
        (TakesAnyText, "tombstone", &["malformed-not-json"]),
        (TakesTheFirstOfAList, "tombstone", &["malformed-not-object"]),
        (MakesUpAKey, "tombstone", &["malformed-no-key"]),
        (ReadsOneKey, "tombstone", &["malformed-two-keys"]),
        (DiesOfALargeBody, "tombstone", &["malformed-large"]),
        (
            ChecksNoSignature,
            "tombstone",
            &["signature-missing", "signature-wrong", "signature-old"],
        ),
        (TakesMissingSignature, "tombstone", &["signature-missing"]),
        (TakesWrongSignature, "tombstone", &["signature-wrong"]),
        (TakesOldSignature, "tombstone", &["signature-old"]),
        (ReadsFirstSignature, "tombstone", &["signature-rotation"]),
        (SignsWhatItWrites, "tombstone", &["signature-raw-body"]),
        (LaterForEver, "tombstone", &["later-decides"]),
        (RefusesWithoutReason, "tombstone", &["refusal-reason"]),
        (OutputIsAList, "tombstone", &["output-rules"]),
        (OutputIsLarge, "tombstone", &["output-rules"]),
        (OutputIsReserved, "tombstone", &["output-rules"]),
        (LargeBody, "tombstone", &["body-bound"]),
        (WebPage, "tombstone", &["content-type"]),
        (Redirects, "tombstone", &["no-redirect"]),
        (KnowsNobody, "tombstone", &["act-decides"]),
        (Fails, "tombstone", &["act-decides"]),
        (SaysDone, "tombstone", &["act-decides"]),
        // The same faults under the other promise.
        (
            CannotUndo,
            "tombstone",
            &["undo-after-act", "undo-before-act", "undo-of-refused"],
        ),
        (
            ActsAfterUndo,
            "tombstone",
            &[
                "act-after-undo",
                "act-during-undo",
                "undo-before-act",
                "undo-during-act",
            ],
        ),
        (
            UndoesOnce,
            "tombstone",
            &["undo-twice", "undo-at-once", "undo-attempts-are-one"],
        ),
    ];
    with_each(&cases, |(is, promise, found)| {
        let of_signatures = format!("{is:?}").contains("Sign");
        let (known, secrets): (&[&'static str], _) = if of_signatures {
            (&[SECRET], SECRET)
        } else {
            (&[], "")
        };
        let service = Service::start(&[*is], known);
        let ran = tried(&service, promise, &["--decide-within", "4s"], secrets);
        let broken = ran.with_result("broken");
        let document = ran.document();
        let explained = document["checks"].as_array().unwrap().iter().all(|check| {
            let says = |name: &str| check[name].as_str().is_some_and(|text| !text.is_empty());
            check["result"] != "broken" || ["sent", "came", "why", "mend", "promise"].into_iter().all(says)
        });
        let good = ran.code == 1 && broken == set(found) && explained;
        good.then_some(()).ok_or_else(|| {
            format!(
                "{is:?}, {promise}: {} {broken:?}, not {found:?}\n{}",
                ran.code, ran.out
            )
        })
    });
}

#[test]
fn what_cannot_be_tried_is_no_broken_promise() {
    // A port on which nothing listens, and which no other test is given.
    let ran = saga(&["conformance", "http://127.0.0.1:1"], &[]);
    assert_eq!((ran.code, &*ran.out), (3, ""), "{}", ran.said);
    assert!(ran.said.contains("cannot be reached: no answer"), "{}", ran.said);

    let service = Service::start(&[], &[]);
    let folder = TempDir::new().unwrap();
    let refuse = folder.path().join("refuse.json");
    fs::write(&refuse, r#"{"refuse":true}"#).unwrap();
    let refuse = refuse.to_str().unwrap();
    // The input is refused, and the input that would be refused is accepted.
    let ran = saga(&["conformance", &service.url, "--json", "--input", refuse], &[]);
    assert_eq!((ran.code, ran.with_result("broken").len()), (2, 0), "{}", ran.out);
    assert!(
        ran.document()["unfit"]
            .as_str()
            .unwrap()
            .contains("the account is closed"),
        "{}",
        ran.out
    );
    fs::write(folder.path().join("fine.json"), "{}").unwrap();
    let fine = folder.path().join("fine.json");
    let ran = saga(
        &[
            "conformance",
            &service.url,
            "--json",
            "--refuse",
            fine.to_str().unwrap(),
        ],
        &[],
    );
    assert_eq!((ran.code, ran.with_result("broken").len()), (2, 0), "{}", ran.out);

    for wrong in [
        &["conformance", &*service.url, "--secret", "hunter2"][..],
        &[
            "conformance",
            &service.url,
            "--secret-env",
            "SAGA_TEST_IS_NOT_SET",
        ],
        &["conformance", &service.url, "--input", "/nowhere.json"],
        &["conformance", "http://bank.example"],
        &["conformance"],
        &["conformance", &service.url, "--recover", "tombstone", "--no-undo"],
    ] {
        let ran = saga(wrong, &[]);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{wrong:?}: {}", ran.said);
        assert!(!ran.said.contains("hunter2"), "{}", ran.said);
    }
}

#[test]
fn a_person_reads_a_table_and_a_ci_reads_junit() {
    let service = Service::start(&[WebPage], &[]);
    let folder = TempDir::new().unwrap();
    let junit = folder.path().join("junit.xml");
    let ran = saga(
        &["conformance", &service.url, "--junit", junit.to_str().unwrap()],
        &[],
    );
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.said);
    for text in [
        "test environments",
        "and to undo what it accepts.",
        "kept    act-decides",
    ] {
        assert!(ran.said.contains(text), "{text}: {}", ran.said);
    }
    for text in [
        "RESULT ",
        "\nbroken ",
        "\ncontent-type: an answer that decides is application/json\n",
        "\n  sent  POST /act idempotency-key: ",
        "\n  came  200 (text/html) {",
        "\n  mend  send content-type",
        "\nrefusal-stays ",
        "--refuse FILE",
        " 1 broken, ",
    ] {
        assert!(ran.out.contains(text), "{text}: {}", ran.out);
    }
    assert!(
        ran.out.lines().take(30).all(|line| line.chars().count() <= 100),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains('\u{1b}'), "colours are for terminals");
    let xml = fs::read_to_string(junit).unwrap();
    for text in [
        "<testsuites tests=\"32\" failures=\"1\" errors=\"0\" skipped=\"",
        "<testcase classname=\"saga.conformance\" name=\"act-decides\" time=\"",
        "<failure type=\"content-type\" message=\"",
        "came: 200 (text/html) {&quot;decision&quot;:",
    ] {
        assert!(xml.contains(text), "{text}: {xml}");
    }
}
