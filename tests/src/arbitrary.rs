//! Values of every type that is stored or sent, as wild as the type allows.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use saga_core::address::Address;
use saga_core::definition::{Cloud, Definition, DefinitionRef, StepDefinition, StepWork};
use saga_core::document::{Document, Fields, Number};
use saga_core::event::{Event, MAX_HOPS};
use saga_core::lifecycle::{Lifecycle, Phase};
use saga_core::mark::{Caller, Mark, ParkedMessage};
use saga_core::participate::StepRecord;
use saga_core::reports::{Observed, Reports};
use saga_core::step::{Class, StepState};
use saga_core::text::is_unseen;
use saga_core::timeline::{Entry, NOTES, Timeline};
use saga_core::{EventId, IdempotencyKey, Outcome, Saga, SagaId, Status, StepIndex, Timestamp, TraceParent};

/// An exact number of up to 38 digits, with the point anywhere.
pub fn number() -> impl Strategy<Value = Number> {
    let digits = vec(0_u8..10, 1..=Number::MAX_DIGITS);
    (any::<bool>(), digits, any::<prop::sample::Index>()).prop_map(|(negative, digits, point)| {
        let digits: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let (whole, fraction) = digits.split_at(point.index(digits.len()) + 1);
        let sign = if negative { "-" } else { "" };
        let text = match fraction {
            "" => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{fraction}"),
        };
        text.parse().unwrap()
    })
}

/// Any text: every character of Unicode, control characters too. Never empty: DynamoDB takes no empty names, and
/// the DynamoDB Local of 2020 no empty texts either (DynamoDB itself does, since that year).
pub fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 1..12).prop_map(|chars| chars.into_iter().collect())
}

/// A name such as definitions allow.
pub fn plain_name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-]{1,20}"
}

/// Any value, nested up to four deep.
pub fn document() -> impl Strategy<Value = Document> {
    let leaf = prop_oneof![
        Just(Document::Null),
        any::<bool>().prop_map(Document::Bool),
        number().prop_map(Document::Number),
        text().prop_map(Document::Text),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Document::List),
            btree_map(text(), inner, 0..4).prop_map(Document::Map),
        ]
    })
}

/// Any fields, except the two of an event's data that are the envelope's own.
pub fn fields() -> impl Strategy<Value = Fields> {
    btree_map(text(), document(), 0..5).prop_map(|mut fields| {
        fields.remove("saga_id");
        fields.remove(Reports::MEMBER);
        fields
    })
}

/// A time up to the year 2286, whose milliseconds have the 13 digits of an event's id.
pub fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0_i64..10_000_000_000_000).prop_map(Timestamp::from_millis)
}

/// A saga's id.
pub fn saga_id() -> impl Strategy<Value = SagaId> {
    any::<u64>().prop_map(nth_saga)
}

/// The saga of this number, the same in every run.
#[must_use]
pub fn nth_saga(number: u64) -> SagaId {
    let key: IdempotencyKey = format!("saga number {number}").parse().unwrap();
    SagaId::derive("payment", &key)
}

/// An event's id: one like ours, or any that another publisher may choose.
pub fn event_id() -> impl Strategy<Value = EventId> {
    let ours = (timestamp(), saga_id(), 0_u8..4)
        .prop_map(|(at, saga, step)| format!("{:013}-{saga}-advance{step}", at.millis()));
    let theirs = vec(any::<char>(), 1..40).prop_map(|chars| {
        let plain = |c: &char| *c == ' ' || !(c.is_whitespace() || is_unseen(*c));
        let text: String = chars.into_iter().filter(plain).collect();
        format!("!{text}!")
    });
    // Signs that an adapter might use for itself.
    let odd = "[-~_|#/\\\\?%:. ]{1,12}".prop_map(|text| format!("!{text}!"));
    let odd = prop_oneof![odd, "[a-z0-9]-~-[a-z0-9]", "[a-z0-9]%[0-9]{2}¤2F[a-z0-9]"];
    prop_oneof![ours, theirs, odd].prop_map(|text| text.parse().unwrap())
}

/// An id in a timeline, which may be older than the rules of today.
fn stored_event_id() -> impl Strategy<Value = EventId> {
    let old = vec(any::<char>(), 1..40).prop_map(|chars| EventId::stored(chars.into_iter().collect()));
    prop_oneof![event_id(), old]
}

/// A trace context.
pub fn trace() -> impl Strategy<Value = TraceParent> {
    let caller = ("[0-9a-f]{31}[1-9a-f]", "[0-9a-f]{15}[1-9a-f]", "[0-9a-f]{2}")
        .prop_map(|(trace, span, flags)| format!("00-{trace}-{span}-{flags}").parse().unwrap());
    prop_oneof![saga_id().prop_map(TraceParent::for_saga), caller]
}

fn cloud() -> impl Strategy<Value = Cloud> {
    prop_oneof![Just(Cloud::Aws), Just(Cloud::Azure)]
}

fn state() -> impl Strategy<Value = StepState> {
    prop_oneof![
        Just(StepState::Done),
        Just(StepState::Refused),
        Just(StepState::Undone)
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Applied),
        Just(Outcome::Repeated),
        Just(Outcome::Late),
        Just(Outcome::Contradicted),
    ]
}

/// A step's record.
pub fn step_record() -> impl Strategy<Value = StepRecord> {
    let parts = (
        state(),
        timestamp(),
        any::<u16>(),
        option::of(text()),
        fields(),
        fields(),
        reports(),
    );
    parts.prop_map(|(state, at, hop, reason, data, output, reports)| StepRecord {
        progress: None,
        state,
        at,
        hop,
        reason,
        data,
        output,
        reports,
    })
}

/// What steps have said of themselves; or any text, as another version might write it.
fn reports() -> impl Strategy<Value = Reports> {
    let word = (0_u8..16, state(), timestamp())
        .prop_map(|(step, state, at)| format!("{step} {} {}", state.as_str(), at.millis()));
    let words = vec(word, 0..4).prop_map(|words| words.join(", "));
    prop_oneof![words, text()].prop_map(|text| Reports::new(&text))
}

fn mark() -> impl Strategy<Value = Mark> {
    (timestamp(), text(), text()).prop_map(|(at, by, reason)| Mark { at, by, reason })
}

fn parked() -> impl Strategy<Value = ParkedMessage> {
    let parts = (stored_event_id(), timestamp(), text());
    parts.prop_map(|(event, at, reason)| ParkedMessage { event, at, reason })
}

fn lifecycle() -> impl Strategy<Value = Lifecycle> {
    let phase = prop_oneof![Just(Phase::Open), Just(Phase::Completed), Just(Phase::Cancelled)];
    (phase, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(phase, closing, cancelling, overridden)| Lifecycle {
            followed: closing && overridden,
            phase,
            closing,
            cancelling,
            overridden,
        },
    )
}

/// The verb of a line says whether it moved nothing.
fn verb_and_outcome() -> impl Strategy<Value = (String, Outcome)> {
    let note = prop::sample::select(NOTES.to_vec()).prop_map(|verb| (verb.to_owned(), Outcome::Noted));
    let other = plain_name().prop_filter("not the verb of a note", |verb| !NOTES.contains(&verb.as_str()));
    prop_oneof![1 => note, 4 => (other, outcome())]
}

fn entry() -> impl Strategy<Value = Entry> {
    let parts = (
        (timestamp(), stored_event_id(), verb_and_outcome(), any::<i32>()),
        (
            cloud(),
            option::of(text()),
            1_u32..,
            option::of(text()),
            any::<bool>(),
        ),
    );
    parts.prop_map(
        |((at, event, (verb, outcome), step), (cloud, note, times, caller, unverified))| Entry {
            at,
            event,
            verb,
            step,
            cloud,
            outcome,
            note,
            times,
            caller: caller.and_then(|caller| Caller::new(&caller)),
            unverified,
        },
    )
}

/// A timeline.
pub fn timeline() -> impl Strategy<Value = Timeline> {
    let observed = btree_map((0_u8..16).prop_map(StepIndex::new), observed(), 0..4);
    (vec(entry(), 0..=Timeline::MAX_ENTRIES), any::<u32>(), observed).prop_map(
        |(entries, dropped, observed)| Timeline {
            entries,
            dropped,
            observed,
        },
    )
}

fn observed() -> impl Strategy<Value = Observed> {
    (option::of(state()), option::of(timestamp()), option::of(text())).prop_map(|(state, at, reason)| {
        Observed {
            state,
            at,
            reason,
            progress: None,
        }
    })
}

/// A saga, whose fields need not make sense together: a store keeps them as they are.
pub fn saga() -> impl Strategy<Value = Saga> {
    let own_steps = btree_map((0_u8..16).prop_map(StepIndex::new), step_record(), 0..3);
    let parts = (
        (saga_id(), plain_name(), 1_u32.., fields()),
        (timestamp(), timestamp(), trace(), lifecycle()),
        (own_steps, any::<bool>(), option::of(mark()), option::of(mark())),
        (
            timeline(),
            option::of(timestamp()),
            any::<u32>(),
            prop::sample::select(Status::ALL.to_vec()),
        ),
        (vec(parked(), 0..3), option::of(timestamp())),
    );
    parts.prop_map(|(what, times, known, rest, (parked, stuck))| {
        let (id, name, version, input) = what;
        let (created, deadline, trace, lifecycle) = times;
        let (mut steps, same_data, cancel, resolved) = known;
        let (timeline, due, nudges, shown) = rest;
        for record in steps.values_mut() {
            record.reports = Reports::default();
        }
        if same_data {
            // The usual case: a step was given just the saga's input.
            for record in steps.values_mut() {
                record.data.clone_from(&input);
            }
        }
        let definition = DefinitionRef { name, version };
        Saga {
            id,
            definition,
            input,
            created,
            deadline,
            trace,
            lifecycle,
            steps,
            cancel,
            resolved,
            parked,
            stuck,
            shown,
            timeline,
            due,
            nudges,
        }
    })
}

/// A definition of 2 to 16 steps, each on either cloud.
pub fn definition() -> impl Strategy<Value = Definition> {
    let parts = (
        plain_name(),
        1_u32..,
        1..=i64::from(u32::MAX),
        vec(cloud(), 2..=Definition::MAX_STEPS),
    );
    parts.prop_map(|(name, version, seconds, clouds)| {
        let steps = clouds
            .into_iter()
            .enumerate()
            .map(|(index, cloud)| StepDefinition {
                name: format!("step{index}"),
                cloud,
                work: StepWork::Local {
                    participant: "anybody".to_owned(),
                },
                class: Class::default(),
                done: format!("Step{index}Done"),
                compensate: format!("Step{index}UndoRequested"),
                cancel: format!("Step{index}CancelRequested"),
            });
        Definition::new(DefinitionRef { name, version }, seconds * 1_000, steps.collect()).unwrap()
    })
}

/// An event that some definition allows, and that definition.
pub fn event() -> impl Strategy<Value = (Definition, Event)> {
    let address = (0_u8..5, any::<prop::sample::Index>());
    let parts = (
        (definition(), address, cloud()),
        (event_id(), timestamp(), saga_id()),
        (0..=MAX_HOPS, trace(), fields(), reports()),
    );
    parts.prop_map(
        |((definition, (verb, step), sender), (id, time, saga), (hop, trace, data, reports))| {
            let step = StepIndex::new(step.index(definition.steps().len()) as u8);
            let address = match verb {
                0 => Address::Advance(step),
                1 => Address::Compensate(step),
                2 => Address::Cancel(step),
                3 => Address::Complete,
                _ => Address::Cancelled,
            };
            let sender = if definition.may_send(address, sender) {
                sender
            } else {
                [Cloud::Aws, Cloud::Azure]
                    .into_iter()
                    .find(|cloud| definition.may_send(address, *cloud))
                    .unwrap()
            };
            let event = Event {
                mailbox: None,
                id,
                kind: definition.type_of(address).unwrap().to_owned(),
                time,
                saga,
                definition: definition.reference().clone(),
                address,
                step_number: definition.step_number(address),
                target: definition.target(address).unwrap(),
                sender,
                // With room for its answers.
                hop: hop.min(MAX_HOPS - definition.answers(address)),
                trace,
                data,
                reports,
                unverified: false,
            };
            (definition, event)
        },
    )
}
