//! The checks, in the order in which they run. `SERVICES.md` has each by its id, with the rule of the contract that it is about.

mod malformed;
mod refusals;
mod repeats;
mod signatures;
mod undo;

use futures_util::future::LocalBoxFuture;

use super::finding::Tried;
use super::ids::{
    ACT_DECIDES, BODY_BOUND, CONTENT_TYPE, LATER_DECIDES, NO_REDIRECT, OUTPUT_RULES, REFUSAL_REASON,
    UNDO_AFTER_ACT, UNDO_BEFORE_ACT, UNDO_TWICE,
};
use super::session::{Seen, Session};

type Run = for<'a> fn(&'a Session) -> LocalBoxFuture<'a, Tried>;

/// One promise, and how it is tried.
pub struct Check {
    /// Names it in results; it stays the same in later versions.
    pub id: &'static str,
    pub promise: &'static str,
    /// What to change in a service that breaks it.
    pub mend: &'static str,
    pub by: By,
}

/// How a promise is tried.
pub enum By {
    /// With requests of its own.
    Requests(Run),
    /// By a look at every answer of the run; the reason why it may not have been seen.
    EveryAnswer(fn(&Seen) -> Option<&'static str>),
}

macro_rules! tried {
    ($check:path) => {
        By::Requests(|session| Box::pin($check(session)))
    };
}

/// Every check.
pub const ALL: [Check; 32] = [
    Check {
        id: ACT_DECIDES,
        promise: "an act is decided",
        mend: "answer 200 with accepted or refused, or 202 or 5xx while it is not decided. Where the service looks at them, give \
               --secret-env, --definition and --step",
        by: tried!(repeats::act_decides),
    },
    Check {
        id: "same-act-twice",
        promise: "an act that comes again is answered as before",
        mend: "commit the key with decision, output and work in one transaction; answer a known key from there",
        by: tried!(repeats::same_act_twice),
    },
    Check {
        id: "twenty-at-once",
        promise: "twenty requests with one key get one decision",
        mend: "let a unique constraint on the key, or a lock, decide which request works; the others wait, or get 409",
        by: tried!(repeats::twenty_at_once),
    },
    Check {
        id: "attempts-are-one",
        promise: "the key alone tells requests apart",
        mend: "do not compare bodies or headers of attempts: look the key up and nothing else",
        by: tried!(repeats::attempts_are_one),
    },
    Check {
        id: "unknown-members",
        promise: "unknown members of a request are ignored",
        mend: "read the members that you need; later versions of the contract may add others",
        by: tried!(repeats::unknown_members),
    },
    Check {
        id: "keys-are-apart",
        promise: "two keys of one saga are two requests",
        mend: "keep decisions by the whole key, not by saga_id or by the input",
        by: tried!(repeats::keys_are_apart),
    },
    Check {
        id: "refusal-stays",
        promise: "a refused act that comes again stays refused",
        mend: "commit refusals, too, with their key; do not judge a known key anew",
        by: tried!(refusals::refusal_stays),
    },
    Check {
        id: UNDO_AFTER_ACT,
        promise: "an accepted act can be undone",
        mend: "find the work by act_key, take it back and answer 200 with undone; an undo is never refused",
        by: tried!(undo::undo_after_act),
    },
    Check {
        id: UNDO_TWICE,
        promise: "an undo that comes again is answered undone",
        mend: "commit the undo's key with its work; answer a known one undone and do nothing",
        by: tried!(undo::undo_twice),
    },
    Check {
        id: "undo-at-once",
        promise: "ten undos of one act at once are all answered undone",
        mend: "let a unique constraint on the key, or a lock, decide which request works; the others wait, or get 409",
        by: tried!(undo::undo_at_once),
    },
    Check {
        id: "undo-attempts-are-one",
        promise: "the key alone tells undos apart",
        mend: "do not compare bodies: attempt, reason and headers can differ",
        by: tried!(undo::attempts_are_one),
    },
    Check {
        id: "act-after-undo",
        promise: "an act that comes after its undo is answered as before",
        mend: "keep the act's decision when its work is taken back, and do not act again",
        by: tried!(undo::act_after_undo),
    },
    Check {
        id: "act-during-undo",
        promise: "an act that comes during its undo is answered as before",
        mend: "look keys up and change the work in one transaction, or under one lock for act and undo",
        by: tried!(undo::act_during_undo),
    },
    Check {
        id: UNDO_BEFORE_ACT,
        promise: "an undo before its act is undone, and the act is refused",
        mend: "where act_key was never seen, commit it as refused and answer undone",
        by: tried!(undo::undo_before_act),
    },
    Check {
        id: "undo-during-act",
        promise: "an undo during its act is undone, the act is decided once",
        mend: "let the undo wait for its act, or answer it 409 while the act is being handled",
        by: tried!(undo::undo_during_act),
    },
    Check {
        id: "undo-of-refused",
        promise: "an undo of a refused act is undone, and it stays refused",
        mend: "answer undone; there is nothing to take back",
        by: tried!(refusals::undo_of_refused),
    },
    Check {
        id: "malformed-not-json",
        promise: "a body that is no JSON decides nothing",
        mend: "answer 400, and go on serving",
        by: tried!(malformed::not_json),
    },
    Check {
        id: "malformed-not-object",
        promise: "a body that is no object decides nothing",
        mend: "answer 400, and go on serving",
        by: tried!(malformed::not_object),
    },
    Check {
        id: "malformed-no-key",
        promise: "a request without a key decides nothing",
        mend: "answer 400 where idempotency-key and `key` are missing; never make a key up",
        by: tried!(malformed::no_key),
    },
    Check {
        id: "malformed-two-keys",
        promise: "different keys in header and body decide nothing",
        mend: "answer 400 where idempotency-key is not the same text as `key`",
        by: tried!(malformed::two_keys),
    },
    Check {
        id: "malformed-large",
        promise: "a broken body of 1 MiB decides nothing",
        mend: "answer 413 past a bound of your own (64 KiB are enough), and go on serving",
        by: tried!(malformed::large),
    },
    Check {
        id: "signature-missing",
        promise: "without a signature: 401 or 403",
        mend: "check the signature before anything else",
        by: tried!(signatures::missing),
    },
    Check {
        id: "signature-wrong",
        promise: "another secret's or another body's signature: 401 or 403",
        mend: "compute HMAC-SHA256 over id.timestamp.body with the bytes of the body as they came",
        by: tried!(signatures::wrong),
    },
    Check {
        id: "signature-old",
        promise: "a timestamp ten minutes off: 401 or 403",
        mend: "refuse a webhook-timestamp that is more than five minutes before or after now",
        by: tried!(signatures::old),
    },
    Check {
        id: "signature-rotation",
        promise: "one right signature of two is enough",
        mend: "split webhook-signature at blanks; accept the request when one of them is right by one valid secret",
        by: tried!(signatures::rotation),
    },
    Check {
        id: "signature-raw-body",
        promise: "a signature is over the bytes of the body as they came",
        mend: "do not parse and write the body again before you check",
        by: tried!(signatures::raw_body),
    },
    Check {
        id: LATER_DECIDES,
        promise: "an answer of 202 is followed by a decision",
        mend: "answer the same key with the decision once there is one",
        by: By::EveryAnswer(|seen| (!seen.later).then_some("no answer was 202")),
    },
    Check {
        id: REFUSAL_REASON,
        promise: "a refusal says why",
        mend: "give `reason` as a text for people",
        by: By::EveryAnswer(|seen| (!seen.refused).then_some("nothing was refused; --refuse FILE tries it")),
    },
    Check {
        id: OUTPUT_RULES,
        promise: "an output is a small object without names of `saga_`",
        mend: "give an object with what later steps need, such as an id: at most 4 KiB and 8 levels",
        by: By::EveryAnswer(undecided),
    },
    Check {
        id: BODY_BOUND,
        promise: "an answer has at most 64 KiB",
        mend: "answer with the decision only",
        by: By::EveryAnswer(unanswered),
    },
    Check {
        id: CONTENT_TYPE,
        promise: "an answer that decides is application/json",
        mend: "send content-type: application/json",
        by: By::EveryAnswer(undecided),
    },
    Check {
        id: NO_REDIRECT,
        promise: "no answer is a redirect",
        mend: "answer at the URL that is bound, or bind the one to which it redirects",
        by: By::EveryAnswer(unanswered),
    },
];

fn undecided(seen: &Seen) -> Option<&'static str> {
    (!seen.decided).then_some("no answer decided")
}

fn unanswered(seen: &Seen) -> Option<&'static str> {
    (!seen.answered).then_some("there was no answer")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const IN_PASSING: [&str; 10] = [
        ACT_DECIDES,
        UNDO_AFTER_ACT,
        UNDO_BEFORE_ACT,
        UNDO_TWICE,
        LATER_DECIDES,
        REFUSAL_REASON,
        OUTPUT_RULES,
        BODY_BOUND,
        CONTENT_TYPE,
        NO_REDIRECT,
    ];

    #[test]
    fn the_page_has_each_check() {
        let page = include_str!("../../../../wire/SERVICES.md");
        let table = page
            .split("### Prove it")
            .nth(1)
            .unwrap()
            .split("\n## ")
            .next()
            .unwrap();
        let first = |row: &str| row.split('|').nth(1).unwrap().trim().to_owned();
        let rows = table.lines().filter(|line| line.starts_with("| `")).map(first);
        let named: Vec<String> = rows
            .flat_map(|cell| cell.split(", ").map(str::to_owned).collect::<Vec<_>>())
            .map(|name| name.trim_matches('`').to_owned())
            .collect();
        let known: BTreeSet<String> = ALL.iter().map(|check| check.id.to_owned()).collect();
        assert_eq!(known.len(), ALL.len(), "two checks have one id");
        assert_eq!(named.len(), ALL.len(), "a check has two lines on the page");
        assert_eq!(named.into_iter().collect::<BTreeSet<_>>(), known);
    }

    #[test]
    fn what_is_found_in_passing_is_a_check() {
        for id in IN_PASSING {
            assert!(ALL.iter().any(|check| check.id == id), "{id}");
        }
    }
}
