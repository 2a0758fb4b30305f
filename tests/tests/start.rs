//! What a caller may ask for, and what is said to one who asks for something else.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use saga_app::Deployment;
use saga_app::ports::{PortError, SagaStore};
use saga_app::start_saga::{NotStarted, Request, Started, start_saga};
use saga_core::document::Fields;
use saga_core::money::Amounts;
use saga_core::participant::{
    Context, Decision, Entities, EntityKey, EntityWrite, FieldError, Participant, Placement, Work,
};
use saga_core::{Catalogue, IdempotencyKey, SagaId, TraceParent};
use saga_memory::{Fault, OriginCloud};
use saga_participants::Settings;
use saga_tests::arbitrary::nth_saga;
use saga_tests::contract::given;
use saga_tests::sagas;
use saga_tests::world::World;
use saga_wire::{MAX_EVENT_BYTES, definitions, json};

async fn start(world: &World, name: &str, key: &str, body: &str) -> Result<Started, NotStarted> {
    let key: IdempotencyKey = key.parse().unwrap();
    let request = Request {
        definition: name,
        key: &key,
        input: json::parse_object(body).unwrap(),
        trace: None,
    };
    start_saga(&world.deployment, &world.aws, &world.clock, request).await
}

const ORDER: &str = r#"{"order_id":"o-1","amount":129.90,"currency":"EUR"}"#;

/// The order, with fields set to other values, or removed where the value is empty.
fn with(changes: &[(&str, &str)]) -> String {
    let mut fields: BTreeMap<&str, &str> = [
        ("order_id", r#""o-1""#),
        ("amount", "129.90"),
        ("currency", r#""EUR""#),
    ]
    .into();
    for (name, value) in changes {
        fields.insert(name, value);
    }
    let pairs: Vec<String> = fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!(r#""{name}":{value}"#))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

/// Nothing of a start that failed is stored.
fn nothing_is_stored(world: &World, id: Option<SagaId>) {
    assert_eq!(world.aws.outbox(), []);
    assert!(id.is_none_or(|id| world.aws.saga(id).is_none()));
}

#[tokio::test]
async fn the_same_key_and_body_give_the_same_saga() {
    let world = World::default();
    let first = start(&world, "payment", "key", ORDER).await.unwrap();
    assert!(first.new);
    world.clock.advance(5_000);
    // Other order of fields, another spelling of the same number.
    let same = r#"{ "currency":"EUR", "amount":129.9, "order_id":"o-1" }"#;
    let second = start(&world, "payment", "key", same).await.unwrap();
    assert!(!second.new);
    assert_eq!(second.saga, first.saga);
    assert_eq!(world.aws.outbox().len(), 1);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let world = World::default();
    let first = start(&world, "payment", "key", ORDER).await.unwrap().saga;
    for body in [
        with(&[("amount", "129.91")]),
        with(&[("order_id", r#""o-2""#)]),
        with(&[("items", "[]")]),
    ] {
        let error = start(&world, "payment", "key", &body).await.unwrap_err();
        assert!(
            matches!(error, NotStarted::KeyReused(id) if id == first.id),
            "{error}"
        );
    }
    assert_eq!(world.aws.saga(first.id), Some(first));
    assert_eq!(world.aws.outbox().len(), 1);
}

#[tokio::test]
async fn other_keys_give_other_sagas() {
    let world = World::default();
    let first = start(&world, "payment", "key", ORDER).await.unwrap().saga.id;
    let second = start(&world, "payment", "Key", ORDER).await.unwrap().saga.id;
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_start_whose_answer_was_lost_is_found_again() {
    let choose = |call: &'static str| match call {
        "SagaStore::insert" => Fault::FailAfter,
        _ => Fault::None,
    };
    let world = World::new(OriginCloud::with_faults(choose), saga_memory::StepCloud::new());
    let error = start(&world, "payment", "key", ORDER).await.unwrap_err();
    assert!(matches!(error, NotStarted::Port(_)), "{error}");
    assert_eq!(world.aws.outbox().len(), 1, "it is committed all the same");
}

#[tokio::test]
async fn a_start_that_met_another_writer_is_tried_again_at_once() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let choose = move |call: &'static str| match call {
        "SagaStore::insert" if calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 3 => Fault::Conflict,
        _ => Fault::None,
    };
    let world = World::new(OriginCloud::with_faults(choose), saga_memory::StepCloud::new());
    assert!(start(&world, "payment", "key", ORDER).await.unwrap().new);
    assert_eq!(world.aws.outbox().len(), 1);
}

#[tokio::test]
async fn a_start_that_meets_another_writer_each_time_gives_up_and_stores_nothing() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let choose = move |call: &'static str| match call {
        "SagaStore::insert" => {
            counted.fetch_add(1, Ordering::SeqCst);
            Fault::Conflict
        }
        _ => Fault::None,
    };
    let world = World::new(OriginCloud::with_faults(choose), saga_memory::StepCloud::new());
    let error = start(&world, "payment", "key", ORDER).await.unwrap_err();
    let NotStarted::Port(PortError::Contended { attempts, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!((attempts, calls.load(Ordering::SeqCst)), (12, 12));
    nothing_is_stored(&world, None);
}

#[tokio::test]
async fn callers_at_once_with_one_key_share_one_saga() {
    let world = World::default();
    let (a, b, c) = tokio::join!(
        start(&world, "payment", "key", ORDER),
        start(&world, "payment", "key", ORDER),
        start(&world, "payment", "key", ORDER)
    );
    let all = [a.unwrap(), b.unwrap(), c.unwrap()];
    assert_eq!(all.iter().filter(|started| started.new).count(), 1);
    assert!(all.iter().all(|started| started.saga == all[0].saga));
    assert_eq!(world.aws.outbox().len(), 1);
}

#[tokio::test]
async fn a_callers_trace_is_carried_and_one_is_made_for_a_caller_without() {
    let world = World::default();
    let trace: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();
    let key: IdempotencyKey = "with trace".parse().unwrap();
    let request = Request {
        definition: "payment",
        key: &key,
        input: json::parse_object(ORDER).unwrap(),
        trace: Some(trace.clone()),
    };
    let saga = start_saga(&world.deployment, &world.aws, &world.clock, request)
        .await
        .unwrap()
        .saga;
    assert_eq!(saga.trace, trace);
    assert!(world.aws.outbox()[0].body.contains(trace.as_str()));

    let without = start(&world, "payment", "without", ORDER).await.unwrap().saga;
    assert_eq!(without.trace, TraceParent::for_saga(without.id));
}

#[tokio::test]
async fn an_unknown_definition_is_named() {
    let world = World::default();
    for name in ["no-such-saga", "", "Payment", "payment "] {
        let error = start(&world, name, "key", ORDER).await.unwrap_err();
        assert!(
            matches!(&error, NotStarted::UnknownDefinition(said) if said == name),
            "{error}"
        );
    }
    nothing_is_stored(&world, None);
}

#[tokio::test]
async fn each_field_that_is_wrong_is_named_with_what_to_change() {
    let long = format!(r#""{}""#, "x".repeat(129));
    let digits = format!("\"{}\"", "9".repeat(39));
    let negative_item = r#"[{"sku":"a","quantity":1},{"sku":"b","quantity":-1}]"#;
    let many = format!("[{}]", vec![r#"{"sku":"a","quantity":1}"#; 51].join(","));
    let cases: &[(&str, &str, &str)] = &[
        ("order_id", "", "is missing"),
        ("order_id", "null", "is missing"),
        ("order_id", r#""""#, "must not be empty"),
        ("order_id", r#""  ""#, "must not be empty"),
        ("order_id", r#""a\u0000b""#, "control characters"),
        ("order_id", &long, "at most 128 characters"),
        ("order_id", "7", "must be a text"),
        ("order_id", "{}", "must be a text"),
        ("amount", "", "is missing"),
        ("amount", "0", "greater than zero"),
        ("amount", "-1", "greater than zero"),
        ("amount", r#""0.00""#, "greater than zero"),
        ("amount", r#""a lot""#, "decimal number"),
        ("amount", r#""""#, "decimal number"),
        ("amount", r#""1e3""#, "decimal number"),
        ("amount", r#""NaN""#, "decimal number"),
        ("amount", "true", "decimal number"),
        ("amount", "[1]", "decimal number"),
        ("amount", &digits, "at most 38 digits"),
        ("amount", "129.901", "at most 2 decimal places in EUR"),
        ("amount", r#""0.001""#, "at most 2 decimal places in EUR"),
        ("currency", "", "is missing"),
        ("currency", r#""XXXX""#, "ISO 4217"),
        ("currency", r#""XXX""#, "ISO 4217"),
        ("currency", r#""HRK""#, "ISO 4217"),
        ("currency", r#""ZWL""#, "ISO 4217"),
        ("currency", r#""eur""#, "ISO 4217"),
        ("currency", "978", "must be a text"),
        ("items", r#""all""#, "must be a list"),
        ("items", "{}", "must be a list"),
        ("items", &many, "at most 50"),
        ("items[0]", "[7]", "must be {sku, quantity}"),
        ("items[0].sku", r#"[{"quantity":1}]"#, "must be a text"),
        (
            "items[0].sku",
            r#"[{"sku":"a b","quantity":1}]"#,
            "printable ASCII",
        ),
        (
            "items[0].sku",
            r#"[{"sku":"a/b","quantity":1}]"#,
            "printable ASCII",
        ),
        (
            "items[0].sku",
            r#"[{"sku":"","quantity":1}]"#,
            "must not be empty",
        ),
        ("items[0].quantity", r#"[{"sku":"a"}]"#, "whole number"),
        (
            "items[0].quantity",
            r#"[{"sku":"a","quantity":0}]"#,
            "whole number",
        ),
        (
            "items[0].quantity",
            r#"[{"sku":"a","quantity":1.5}]"#,
            "whole number",
        ),
        (
            "items[0].quantity",
            r#"[{"sku":"a","quantity":1000001}]"#,
            "whole number",
        ),
        (
            "items[0].quantity",
            r#"[{"sku":"a","quantity":"1"}]"#,
            "whole number",
        ),
        ("items[1].quantity", negative_item, "whole number"),
        (
            "items[0].colour",
            r#"[{"sku":"a","quantity":1,"colour":"red"}]"#,
            "not a known field",
        ),
        ("ammount", "1", "is not a field of this saga"),
        ("reserved_amount", "1", "is not a field of this saga"),
        ("saga_id", r#""x""#, "is not a field of this saga"),
    ];
    let world = World::default();
    for (field, value, problem) in cases {
        let name = field.split('[').next().unwrap();
        let body = with(&[(name, value)]);
        let error = start(&world, "payment", "key", &body).await.unwrap_err();
        let NotStarted::Invalid(problems) = &error else {
            panic!("{body}: {error}")
        };
        assert_eq!(problems.len(), 1, "{body}: {problems:?}");
        assert_eq!(problems[0].field, *field, "{body}");
        assert!(problems[0].problem.contains(problem), "{body}: {problems:?}");
    }
    nothing_is_stored(&world, None);
}

/// The rules of an input have become stricter since it started: a caller that did not hear of it asks again.
#[tokio::test]
async fn a_saga_that_nobody_could_start_today_is_found_by_its_key() {
    let world = World::default();
    let input = json::parse_object(&with(&[("order_id", r#""o\u200b1""#)])).unwrap();
    let mut old = given::saga(7, given::time(0));
    old.id = SagaId::derive("payment", &"key".parse().unwrap());
    old.input = input;
    world.aws.insert(&given::decision(&old), None).await.unwrap();

    let again = start(&world, "payment", "key", &with(&[("order_id", r#""o\u200b1""#)]))
        .await
        .unwrap();
    assert_eq!((again.saga.id, again.new), (old.id, false));

    let other = with(&[("order_id", r#""o\u200b2""#)]);
    let error = start(&world, "payment", "key", &other).await.unwrap_err();
    assert!(
        matches!(error, NotStarted::KeyReused(id) if id == old.id),
        "{error}"
    );
    let error = start(&world, "payment", "another key", &other).await.unwrap_err();
    assert!(matches!(error, NotStarted::Invalid(_)), "{error}");
}

#[tokio::test]
async fn an_amount_has_no_more_decimals_than_its_currency() {
    let world = World::default();
    for (amount, currency, places) in [
        (r#""10.5""#, "JPY", Some(0)),
        ("10.5", "JPY", Some(0)),
        (r#""10.00""#, "JPY", None),
        (r#""10""#, "JPY", None),
        (r#""1.234""#, "BHD", None),
        (r#""1.2345""#, "BHD", Some(3)),
        (r#""1.23450""#, "CLF", None),
        (r#""1.005""#, "EUR", Some(2)),
        (r#""0.0001""#, "XAU", None),
    ] {
        for definition in ["payment", "order"] {
            let currency = format!(r#""{currency}""#);
            let destination = if definition == "order" { r#""DE""# } else { "" };
            let body = with(&[
                ("amount", amount),
                ("currency", &currency),
                ("destination", destination),
            ]);
            let started = start(&world, definition, &body.replace(['"', ' ', ','], ""), &body).await;
            match (started, places) {
                (Ok(started), None) => assert!(started.new, "{body}"),
                (Err(NotStarted::Invalid(wrong)), Some(places)) => {
                    assert_eq!((wrong.len(), wrong[0].field.as_str()), (1, "amount"), "{body}");
                    let said = format!("at most {places} decimal places");
                    assert!(wrong[0].problem.contains(&said), "{wrong:?}");
                }
                (other, _) => panic!("{body}: {other:?}"),
            }
        }
    }
}

/// A definition may say that its amounts are priced in fractions.
#[tokio::test]
async fn a_definition_that_prices_in_fractions_takes_them() {
    let mut world = World::default();
    let file = sagas::PAYMENT.replacen("version = 1", "version = 2\namounts = \"fractions\"", 1);
    world.deployment.catalogue = Catalogue::new([definitions::parse(&file).unwrap()]).unwrap();
    let body = with(&[("amount", r#""1.0349""#)]);
    let saga = start(&world, "payment", "key", &body).await.unwrap().saga;
    assert_eq!(saga.input["amount"].as_text(), Some("1.0349"));
}

/// What is on its way was started under other rules.
#[test]
fn no_step_refuses_an_amount_for_its_decimals() {
    let participants = saga_participants::all(&Settings::default());
    let data = json::parse_object(
        r#"{"order_id":"o","amount":"10.5","reserved_amount":"10.5","currency":"JPY","destination":"DE"}"#,
    );
    let data = data.unwrap();
    for participant in participants.values() {
        let context = Context {
            saga: nth_saga(1),
            data: &data,
        };
        let decision = participant.act(context, &Entities::new());
        assert!(
            matches!(decision, Decision::Accept { .. }),
            "{}: {decision:?}",
            participant.name()
        );
    }
}

#[tokio::test]
async fn all_fields_that_are_wrong_are_named_at_once() {
    let world = World::default();
    let body = with(&[
        ("order_id", ""),
        ("amount", "0"),
        ("currency", r#""???""#),
        ("note", "1"),
    ]);
    let error = start(&world, "payment", "key", &body).await.unwrap_err();
    let NotStarted::Invalid(problems) = error else {
        panic!("{error}")
    };
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["order_id", "amount", "currency", "note"]);
}

#[tokio::test]
async fn the_largest_order_that_is_allowed_starts() {
    let world = World::default();
    let items: Vec<String> = (0..50)
        .map(|index| format!(r#"{{"sku":"{index:0>128}","quantity":1000000}}"#))
        .collect();
    let order_id = format!(r#""{}""#, "ü".repeat(128));
    let amount = "9".repeat(38);
    let body = with(&[
        ("order_id", &order_id),
        ("amount", &amount),
        ("items", &format!("[{}]", items.join(","))),
    ]);
    let saga = start(&world, "payment", "key", &body).await.unwrap().saga;
    assert!(world.aws.outbox()[0].body.len() < MAX_EVENT_BYTES);
    assert_eq!(saga.input["amount"].as_number().unwrap().to_string(), amount);
}

/// A participant whose field may be of any size.
struct DeadLetters;

impl Participant for DeadLetters {
    fn name(&self) -> &'static str {
        "inventory"
    }

    fn accepts(&self) -> &'static [&'static str] {
        &["note"]
    }

    fn check(&self, _: &Fields, _: Amounts) -> Vec<FieldError> {
        Vec::new()
    }

    fn placement(&self) -> Placement {
        Placement::BySaga
    }

    fn reads(&self, _: Work, _: Context<'_>) -> Vec<EntityKey> {
        Vec::new()
    }

    fn act(&self, _: Context<'_>, _: &Entities) -> Decision {
        Decision::Refuse("no dead letters".to_owned())
    }

    fn undo(&self, _: Context<'_>, _: &Entities) -> Vec<EntityWrite> {
        Vec::new()
    }
}

#[tokio::test]
async fn an_input_whose_events_could_not_travel_is_too_large() {
    let mut world = World::default();
    let dead_letters: Box<dyn Participant> = Box::new(DeadLetters);
    let deployment = &mut world.deployment;
    let participants = std::mem::take(&mut deployment.participants);
    deployment.participants = participants
        .into_iter()
        .chain([("inventory", dead_letters)])
        .collect();
    let dead_letter = |size: usize| with(&[("note", &format!(r#""{}""#, "x".repeat(size)))]);

    let small = start(&world, "payment", "small", &dead_letter(40_000))
        .await
        .unwrap();
    assert!(small.new);
    let before = world.aws.outbox();
    for size in [MAX_EVENT_BYTES - 1_500, MAX_EVENT_BYTES, 10 * MAX_EVENT_BYTES] {
        let error = start(&world, "payment", "large", &dead_letter(size))
            .await
            .unwrap_err();
        assert!(
            matches!(error, NotStarted::TooLarge(bytes) if bytes > size),
            "{error}"
        );
    }
    assert_eq!(world.aws.outbox(), before);
}

#[tokio::test]
async fn a_first_step_that_refuses_leaves_nothing() {
    let mut world = World::default();
    let dead_letters: Box<dyn Participant> = Box::new(DeadLetters);
    let Deployment { participants, .. } = &mut world.deployment;
    participants.insert("payments", dead_letters);
    let error = start(&world, "payment", "key", "{}").await.unwrap_err();
    assert!(
        matches!(&error, NotStarted::Refused(why) if why == "no dead letters"),
        "{error}"
    );
    let id = SagaId::derive("payment", &"key".parse().unwrap());
    nothing_is_stored(&world, Some(id));
}

#[test]
fn an_idempotency_key_is_printable_and_short() {
    for key in ["k", "a key with blanks", &"x".repeat(255)] {
        assert_eq!(key.parse::<IdempotencyKey>().unwrap().as_str(), key);
    }
    for key in ["", "   ", "a\nb", "ü", &"x".repeat(256)] {
        assert!(key.parse::<IdempotencyKey>().is_err(), "{key:?}");
    }
}
