use super::*;

const STATES: [&str; 8] = [
    "-", "DONE", "REFUSED", "UNDONE", "WAITING", "ACTING", "STOPPING", "UNDOING",
];

/// The tables of the design, written out a second time. A row is what reaches the step, and a cell for each of [`STATES`]:
/// the new state (`=`: unchanged) and what leaves; `.` where nothing happens. Local and waiting steps never reach the
/// states that are left out.
const LOCAL: &str = "
    advance    DONE+advance       =advance    =compensate =compensate
    compensate REFUSED+compensate UNDONE+compensate =compensate =compensate
    cancel     REFUSED+compensate =cancel     =compensate =compensate
    accepted   .                  .           .           .
    refused    .                  .           .           .
    undone     .                  .           .           .";

const WAIT: &str = "
    advance    WAITING+waiting    =advance    =compensate =compensate =waiting
    compensate REFUSED+compensate UNDONE+compensate =compensate =compensate REFUSED+compensate
    cancel     REFUSED+compensate =cancel     =compensate =compensate REFUSED+compensate
    accepted   .                  .           .           .           DONE+advance
    refused    .                  .           .           .           REFUSED+compensate
    undone     .                  .           .           .           .";

const KEY: &str = "
    advance    ACTING+act         =advance    =compensate =compensate ? =act         =act         =undo
    compensate REFUSED+compensate UNDOING+undo =compensate =compensate ? STOPPING+act =act         =undo
    cancel     REFUSED+compensate =cancel     =compensate =compensate ? STOPPING+act =act         =undo
    accepted   .                  .           .           .           ? DONE+advance UNDOING+undo .
    refused    .                  .           .           .           ? REFUSED+compensate REFUSED+compensate .
    undone     .                  .           .           .           ? .            .            UNDONE+compensate";

const TOMBSTONE: &str = "
    advance    ACTING+act         =advance    =compensate =compensate ? =act          =undo        =undo
    compensate REFUSED+compensate UNDOING+undo =compensate =compensate ? STOPPING+undo =undo        =undo
    cancel     REFUSED+compensate =cancel     =compensate =compensate ? STOPPING+undo =undo        =undo
    accepted   .                  .           .           .           ? DONE+advance  UNDOING+undo .
    refused    .                  .           .           .           ? REFUSED+compensate REFUSED+compensate .
    undone     .                  .           .           .           ? .             UNDONE+compensate UNDONE+compensate";

const PIVOT_CALL: &str = "
    advance    ACTING+act         =advance    =compensate =compensate ? =act
    compensate REFUSED+compensate =contradiction =compensate =compensate ? =act
    cancel     REFUSED+compensate =advance    =compensate =compensate ? =act
    accepted   .                  .           .           .           ? DONE+advance
    refused    .                  .           .           .           ? REFUSED+compensate
    undone     .                  .           .           .           ? .";

const RETRIABLE_CALL: &str = "
    advance    ACTING+act         =advance    =compensate =compensate ? =act
    compensate REFUSED+compensate =contradiction =compensate =compensate ? =act
    cancel     REFUSED+compensate =cancel     =compensate =compensate ? =act
    accepted   .                  .           .           .           ? DONE+advance
    refused    .                  .           .           .           ? .
    undone     .                  .           .           .           ? .";

fn word(emission: Emission) -> &'static str {
    match emission {
        Emission::Advance => "advance",
        Emission::Compensate => "compensate",
        Emission::Cancel => "cancel",
        Emission::Act => "act",
        Emission::Undo => "undo",
        Emission::Waiting => "waiting",
        Emission::Contradiction => "contradiction",
    }
}

fn verb(word: &str) -> StepVerb {
    match word {
        "advance" => StepVerb::Advance,
        "compensate" => StepVerb::Compensate,
        "cancel" => StepVerb::Cancel,
        "accepted" => StepVerb::Answer(Reply::Accepted),
        "refused" => StepVerb::Answer(Reply::Refused),
        "undone" => StepVerb::Answer(Reply::Undone),
        other => panic!("{other}"),
    }
}

fn check(rules: Rules, table: &str) {
    let answer = match rules.kind {
        Kind::Local => Answer::Accepted,
        Kind::Call(_) | Kind::Wait => Answer::Later,
    };
    let mut cells = 0;
    for row in table.lines().filter(|row| !row.trim().is_empty()) {
        let mut words = row.split_whitespace();
        let said = words.next().unwrap();
        for (state, expected) in STATES.into_iter().zip(words) {
            if expected == "?" {
                continue;
            }
            let known = (state != "-").then(|| state.parse().unwrap());
            let became = transition(rules, known, verb(said), || answer);
            let state_after = became.state.map(|state| format!("{}+", state.as_str()));
            let found = match (state_after, became.emit) {
                (None, None) => ".".to_owned(),
                (after, emit) => after.unwrap_or("=".into()) + emit.map_or("", word),
            };
            assert_eq!(found, expected, "{said} on {state} of {rules:?}");
            cells += 1;
        }
    }
    assert!(cells >= 24, "{cells}");
}

fn rules(kind: Kind, class: Class) -> Rules {
    Rules {
        kind,
        class,
        last: false,
    }
}

#[test]
fn every_cell_is_as_designed() {
    let compensatable = Class::Compensatable;
    check(rules(Kind::Local, compensatable), LOCAL);
    check(rules(Kind::Wait, compensatable), WAIT);
    check(rules(Kind::Call(Recover::Key), compensatable), KEY);
    check(rules(Kind::Call(Recover::Tombstone), compensatable), TOMBSTONE);
    for recover in [Recover::Key, Recover::Tombstone] {
        check(rules(Kind::Call(recover), Class::Pivot), PIVOT_CALL);
        check(rules(Kind::Call(recover), Class::Retriable), RETRIABLE_CALL);
    }
}

#[test]
fn a_cancel_that_finds_the_last_step_or_a_pivot_done_comes_too_late() {
    for kind in [
        Kind::Local,
        Kind::Wait,
        Kind::Call(Recover::Key),
        Kind::Call(Recover::Tombstone),
    ] {
        for class in [Class::Compensatable, Class::Pivot, Class::Retriable] {
            for last in [false, true] {
                let rules = Rules { kind, class, last };
                let row = transition(rules, Some(StepState::Done), StepVerb::Cancel, || unreachable!());
                let late = last || class == Class::Pivot;
                let expected = if late { Emission::Advance } else { Emission::Cancel };
                assert_eq!((row.state, row.emit), (None, Some(expected)), "{rules:?}");
            }
        }
    }
}

#[test]
fn a_refusal_is_recorded_and_falls_and_a_retriable_step_cannot_refuse() {
    let refused = |class| {
        let rules = rules(Kind::Local, class);
        transition(rules, None, StepVerb::Advance, || Answer::Refused)
    };
    let expected = Transition {
        state: Some(StepState::Refused),
        effect: Effect::Refuse,
        emit: Some(Emission::Compensate),
    };
    assert_eq!(refused(Class::Compensatable), expected);
    assert_eq!(refused(Class::Pivot), expected);
    let contradicted = refused(Class::Retriable);
    assert_eq!(
        (contradicted.state, contradicted.emit),
        (None, Some(Emission::Contradiction))
    );
}

#[test]
fn a_wait_whose_condition_does_not_hold_is_done_at_once() {
    let rules = rules(Kind::Wait, Class::Compensatable);
    let row = transition(rules, None, StepVerb::Advance, || Answer::Accepted);
    assert_eq!(
        (row.state, row.emit),
        (Some(StepState::Done), Some(Emission::Advance))
    );
}

#[test]
fn the_participant_is_asked_once_and_only_for_an_advance_that_finds_nothing() {
    let states = StepState::ALL.into_iter().map(Some).chain([None]);
    for state in states {
        for said in ["advance", "compensate", "cancel", "accepted", "refused", "undone"] {
            let mut asked = 0;
            transition(Rules::local(false), state, verb(said), || {
                asked += 1;
                Answer::Accepted
            });
            let expected = u32::from(said == "advance" && state.is_none());
            assert_eq!(asked, expected, "{said} on {state:?}");
        }
    }
}
