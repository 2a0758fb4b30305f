//! Two spellings of one thing are one thing: an event or a request has the same effect however its writer spells it.
//!
//! What may differ: the case of a UUID, the digits and the exponent of a decimal, escapes and white space of JSON, the order of
//! members, `data` or `data_base64`, and for another team's event the schema. The clocks of the runs go alike, so that what the
//! stores say at the end is compared whole, without the timeline.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use fastrand::Rng;
use proptest::prelude::*;
use saga_app::start_saga::{NotStarted, Request, start_saga};
use saga_core::document::Fields;
use saga_core::participant::EntityKey;
use saga_core::participate::StepRecord;
use saga_core::timeline::Timeline;
use saga_core::{Saga, SagaId, StepIndex};
use saga_participants::payments::PAYMENT;
use saga_tests::property::{holds, same};
use saga_tests::world::{Message, Place, SKU, World, envelope};
use serde_json::{Value, json};

/// Writes JSON in a spelling of its own. `true`: as another team's software may, in forms that our own APIs refuse.
struct Speller(Rng, bool);

impl Speller {
    fn coin(&mut self) -> bool {
        self.0.bool()
    }

    fn blank(&mut self) -> &'static str {
        ["", "", " ", "\n\t", "\r\n  "][self.0.usize(..5)]
    }

    fn text(&mut self, text: &str) -> String {
        let mut out = "\"".to_owned();
        for c in text.chars() {
            let mut units = [0; 2];
            if self.0.u8(..4) == 0 || c.is_control() || "\"\\".contains(c) {
                for unit in c.encode_utf16(&mut units) {
                    out += &if self.coin() {
                        format!("\\u{unit:04x}")
                    } else {
                        format!("\\u{unit:04X}")
                    };
                }
            } else {
                out.push(c);
            }
        }
        out + "\""
    }

    /// Hexadecimal digits in any mixture of cases.
    fn hex(&mut self, digits: &str) -> String {
        let each = digits
            .chars()
            .map(|c| if self.0.bool() { c.to_ascii_uppercase() } else { c });
        each.collect()
    }

    /// A UUID in any form: with hyphens, without, in braces, as a URN.
    fn id(&mut self, id: &str) -> String {
        // It may have been spelled before.
        let id = id.parse::<SagaId>().unwrap().to_string();
        let id = self.hex(&id);
        match self.0.u8(..6) {
            0 => id.replace('-', ""),
            1 => format!("{{{id}}}"),
            2 => format!("{}{id}", self.hex("urn:uuid:")),
            _ => id,
        }
    }

    /// `12.90`, `12.9`, `1.29e1`, `1290E-2`, as a number; `0012.900`, `+12.9`, `12.`, as a text.
    fn decimal(&mut self, value: &str) -> String {
        let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
        let fraction = fraction.trim_end_matches('0');
        let zeros = "0".repeat(self.0.usize(..3));
        match self.0.u8(..4) {
            0 => {
                let digits = format!("{whole}{fraction}");
                let (digits, sign) = (digits.trim_start_matches('0'), ["e-", "E-0"][self.0.usize(..2)]);
                format!("{digits}{sign}{}", fraction.len())
            }
            1 => {
                let exponent = whole.len() - 1;
                let (first, rest) = whole.split_at(1);
                format!(
                    "{first}.{rest}{fraction}{zeros}0{}{exponent}",
                    ["e", "E+", "e+0"][self.0.usize(..3)]
                )
            }
            plain => {
                let point = if fraction.is_empty() && zeros.is_empty() {
                    ""
                } else {
                    "."
                };
                let plain_text = format!("{whole}{point}{fraction}{zeros}");
                if plain == 2 {
                    plain_text
                } else {
                    let sign = if self.1 && self.coin() { "+" } else { "" };
                    let leading = "0".repeat(if self.1 {
                        self.0.usize(..90)
                    } else {
                        self.0.usize(..3)
                    });
                    let point = if self.1 && point.is_empty() { "." } else { "" };
                    self.text(&format!("{sign}{leading}{plain_text}{point}"))
                }
            }
        }
    }

    /// The value at `name`, spelled anew. `decimals`: whether amounts are.
    fn value(&mut self, name: &str, value: &Value, decimals: bool) -> String {
        match (name, value) {
            ("saga_id" | "sagaid", Value::String(id)) => {
                let id = self.id(id);
                self.text(&id)
            }
            ("subject", Value::String(subject)) => {
                let mut parts: Vec<String> = subject.split('/').map(str::to_owned).collect();
                parts[1] = self.id(&parts[1]);
                self.text(&parts.join("/"))
            }
            ("amount" | "reserved_amount", Value::String(amount)) if decimals => self.decimal(amount),
            ("sagastep" | "sagaver" | "sagahop", Value::Number(number)) => {
                // It may have been spelled before.
                let number = number.to_string();
                let whole = number.trim_end_matches(".0");
                [whole.to_owned(), format!("\"{whole}\""), format!("{whole}.0")][self.0.usize(..3)].clone()
            }
            ("sagasum", Value::String(sum)) => {
                let sum = self.hex(sum);
                self.text(&sum)
            }
            (_, Value::Object(members)) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                self.object(members, decimals)
            }
            (_, Value::Array(values)) => {
                let each: Vec<_> = values
                    .iter()
                    .map(|value| self.value("", value, decimals))
                    .collect();
                let (before, after) = (self.blank(), self.blank());
                format!("[{before}{}{after}]", each.join(","))
            }
            (_, Value::String(text)) => self.text(text),
            (_, other) => other.to_string(),
        }
    }

    fn object(&mut self, mut members: Vec<(String, Value)>, decimals: bool) -> String {
        self.0.shuffle(&mut members);
        let each = members.iter().map(|(name, value)| {
            let value = self.value(name, value, decimals);
            let (before, between) = (self.blank(), self.blank());
            format!("{before}{}{between}:{value}", self.text(name))
        });
        let each: Vec<String> = each.collect();
        format!("{{{}{}}}", each.join(","), self.blank())
    }

    /// A CloudEvent. Amounts of an event of ours stand under its checksum and are texts; another team's may be anything.
    fn event(&mut self, event: &Value, decimals: bool) -> String {
        let mut members = Vec::new();
        for (name, value) in event.as_object().unwrap() {
            if name == "data" && self.coin() {
                let data = self.value("data", value, decimals);
                let bytes = match self.0.u8(..4) {
                    0 => STANDARD.encode(&data),
                    1 => STANDARD_NO_PAD.encode(&data),
                    2 => URL_SAFE.encode(format!("\u{feff}{data}")),
                    _ => {
                        let bytes = STANDARD.encode(&data).into_bytes();
                        let lines: Vec<_> = bytes.chunks(76).map(String::from_utf8_lossy).collect();
                        lines.join("\r\n") + "\n"
                    }
                };
                members.push(("data_base64".to_owned(), json!(bytes)));
            } else {
                members.push((name.clone(), value.clone()));
            }
        }
        self.object(members, decimals)
    }
}

/// What the stores say.
#[derive(Debug, PartialEq)]
struct Facts {
    saga: Saga,
    steps: Vec<Option<StepRecord>>,
    payment: Option<Fields>,
    stock: i64,
    quarantined: usize,
}

fn facts(world: &World, id: SagaId) -> Facts {
    Facts {
        saga: Saga {
            timeline: Timeline::default(),
            ..world.saga(id)
        },
        steps: (0..4)
            .map(|index| world.azure.step(id, StepIndex::new(index)))
            .collect(),
        payment: world.aws.entity(&EntityKey::new(PAYMENT, id)),
        stock: world.stock(),
        quarantined: world.aws.quarantined().len() + world.azure.quarantined().len(),
    }
}

fn respelled(message: &Message, speller: &mut Speller) -> Message {
    let event = match message.to {
        Place::AzureQueue => serde_json::from_slice(&STANDARD.decode(&message.body).unwrap()).unwrap(),
        Place::Ingress => serde_json::from_str::<Value>(&message.body).unwrap()[0].take(),
        Place::EventsQueue => serde_json::from_str::<Value>(&message.body).unwrap()["detail"].take(),
    };
    let event = speller.event(&event, false);
    let body = match message.to {
        Place::AzureQueue => STANDARD.encode(event),
        Place::Ingress => format!("[{event}]"),
        Place::EventsQueue => envelope(&message.kind, &event),
    };
    Message {
        body,
        ..message.clone()
    }
}

fn body(order: &str, amount: &str, more: &str) -> String {
    format!(
        r#"{{"order_id":"{order}","amount":"{amount}","currency":"EUR"{more},"items":[{{"sku":"{SKU}","quantity":3}}]}}"#
    )
}

#[tokio::test]
async fn our_own_events_mean_the_same_in_every_spelling() {
    let cases = (any::<u64>(), prop_oneof![Just("129.90"), Just("15000.00")]);
    holds(150, cases, async |(seed, amount)| {
        let mut ended = Vec::new();
        for respell in [false, true] {
            let mut speller = Speller(Rng::with_seed(seed), true);
            let mut world = World::default();
            let id = world
                .try_start_of(
                    "order",
                    "one",
                    &body("order-ä-1", amount, r#","destination":"DE""#),
                )
                .await
                .unwrap();
            world.publish().await;
            while !world.on_the_way.is_empty() {
                let message = world.on_the_way.remove(0);
                let message = if respell {
                    respelled(&message, &mut speller)
                } else {
                    message
                };
                world.deliver(&message).await.map_err(|error| error.to_string())?;
                world.publish().await;
            }
            if let Some(kept) = world
                .aws
                .quarantined()
                .first()
                .or(world.azure.quarantined().first())
            {
                return Err(format!("{kept:?}"));
            }
            ended.push(facts(&world, id));
        }
        let found = ended.pop().unwrap();
        same(&found, &ended[0])?;
        same(&found.saga.due, &None)
    })
    .await;
}

#[tokio::test]
async fn another_teams_events_mean_the_same_in_every_spelling_and_schema() {
    let kind = prop_oneof![Just("PaymentCompensationRequested"), Just("InventoryReserved")];
    let names = prop_oneof![Just((true, true)), Just((true, false)), Just((false, true))];
    holds(300, (any::<u64>(), kind, names, any::<bool>()), async |(seed, kind, (in_data, in_subject), own_schema)| {
        let mut ended = Vec::new();
        for respell in [false, true] {
            let mut speller = Speller(Rng::with_seed(seed), true);
            let mut world = World::default();
            let id = world.try_start("one", &body("order-1", "1250.90", "")).await.unwrap();
            let mut event = json!({
                "specversion": "1.0", "id": "their-1", "source": "/team", "type": kind,
                "data": {"order_id": "order-1", "amount": "1250.90", "reserved_amount": "1250.9", "currency": "EUR", "reason": "x"},
            });
            if in_data {
                event["data"]["saga_id"] = json!(id.to_string());
            }
            if in_subject {
                event["subject"] = json!(format!("saga/{id}/compensation"));
            }
            let text = if !respell {
                event.to_string()
            } else if own_schema {
                let members = event.as_object_mut().unwrap();
                members.remove("specversion");
                for (ours, theirs) in [("source", "topic"), ("type", "eventType")] {
                    let value = members.remove(ours).unwrap();
                    members.insert(theirs.to_owned(), value);
                }
                members.insert("dataVersion".to_owned(), json!("1"));
                members.insert("eventTime".to_owned(), json!("2026-10-01T00:00:00Z"));
                speller.value("", &event, true)
            } else {
                speller.event(&event, true)
            };
            let message = Message {
                to: Place::Ingress,
                kind: kind.to_owned(),
                body: format!("[{text}]"),
            };
            world.deliver(&message).await.map_err(|error| error.to_string())?;
            for message in std::mem::take(&mut world.on_the_way) {
                if message.to == Place::EventsQueue {
                    world.deliver(&message).await.map_err(|error| error.to_string())?;
                }
            }
            ended.push(facts(&world, id));
        }
        let found = ended.pop().unwrap();
        same(&found, &ended[0])?;
        same(&(found.quarantined, found.saga.resolved.is_some()), &(0, true))
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_is_the_same_saga_in_every_spelling_of_its_body() {
    holds(300, (any::<u64>(), 1_u32..1_000_000), async |(seed, cents)| {
        let world = World::default();
        let mut speller = Speller(Rng::with_seed(seed), false);
        let order = json!({
            "order_id": "order-ä/1", "amount": format!("{}.{:02}", cents / 100 + 1, cents % 100), "currency": "EUR",
            "items": [{"sku": SKU, "quantity": 3}],
        });
        let key = "one".parse().unwrap();
        let mut first = None;
        for _ in 0..3 {
            let body = speller.value("", &order, true);
            let request = Request {
                definition: "payment",
                key: &key,
                input: saga_wire::json::parse_object(&body).map_err(|error| format!("{body}: {error}"))?,
                trace: None,
            };
            let started = start_saga(&world.deployment, &world.aws, &world.clock, request).await;
            let started = started.map_err(|error| format!("{body}: {error}"))?;
            same(&started.new, &first.is_none())?;
            same(&started.saga.id, first.get_or_insert(started.saga.id))?;
        }
        Ok(())
    })
    .await;
}

/// Orders 007 and 7 are two, and so are other texts that only look alike.
#[tokio::test]
async fn what_differs_in_more_than_spelling_is_another_body() {
    let world = World::default();
    let order = |id: &str, amount: &str| format!(r#"{{"order_id":{id},"amount":{amount},"currency":"EUR"}}"#);
    world
        .try_start("one", &order("\"007\"", "\"1.50\""))
        .await
        .unwrap();
    for (id, amount) in [
        ("\"7\"", "1.5"),
        ("\"007\"", "1.51"),
        ("\"0007\"", "1.5"),
        ("\"007 \"", "1.5"),
    ] {
        let error = world.try_start("one", &order(id, amount)).await.unwrap_err();
        assert!(
            matches!(error, NotStarted::KeyReused(_)),
            "{id} {amount}: {error}"
        );
    }
    world.try_start("one", &order("\"007\"", "15e-1")).await.unwrap();
}

/// An amount that a caller wrote as a JSON number reaches Azure as text, whatever software lies between; so does every number
/// that a float may change.
#[tokio::test]
async fn no_event_carries_a_number_that_software_may_rewrite() {
    for amount in [
        "12.90",
        "1e3",
        "0.01",
        "9007199254740993",
        "99999999999999999999.99",
    ] {
        let mut world = World::default();
        let body = format!(
            r#"{{"order_id":"o","amount":{amount},"currency":"EUR","items":[{{"sku":"{SKU}","quantity":2.0}}]}}"#
        );
        let id = world.try_start("one", &body).await.unwrap();
        world.publish().await;
        let sent = STANDARD.decode(&world.on_the_way[0].body).unwrap();
        let event: Value = serde_json::from_slice(&sent).unwrap();
        assert!(event["data"]["amount"].is_string(), "{event}");
        assert!(event["data"]["reserved_amount"].is_string(), "{event}");
        assert_eq!(event["data"]["items"][0]["quantity"].as_i64(), Some(2), "{event}");
        world.settle().await;
        world.heal(id).await;
        assert_eq!(world.azure.quarantined().len(), 0, "{amount}");
    }
}

/// Both members at once, or bytes that are no JSON, are malformed and say so; the saga stays as it was.
#[tokio::test]
async fn data_in_base64_that_is_not_understood_is_quarantined_with_the_true_reason() {
    let base64 = |text: &str| STANDARD.encode(text);
    for (member, reason) in [
        (
            format!(r#""data":{{}},"data_base64":"{}""#, base64("{}")),
            "exclude each other",
        ),
        (format!(r#""data_base64":"{}""#, base64("not JSON")), "JSON"),
        (format!(r#""data_base64":"{}""#, base64("[1]")), "JSON object"),
        (
            format!(r#""data_base64":"{}""#, STANDARD.encode([0xff, 0xfe, 0x7b, 0x00])),
            "UTF-8",
        ),
        (r#""data_base64":"*""#.to_owned(), "not base64"),
        (r#""data_base64":7"#.to_owned(), "must be a text"),
        (
            format!(r#""data_base64":"{}""#, base64(r#"{"saga_id":"x"}"#)),
            "saga id",
        ),
        (
            format!(
                r#""data_base64":"{}""#,
                base64(r#"{"saga_id":"0193e0b1-0000-8000-8000-00000000ffff","order_id":"other"}"#)
            ),
            "two sagas",
        ),
    ] {
        let mut world = World::default();
        let id = world.start("12.90").await;
        let event = format!(
            r#"{{"specversion":"1.0","id":"e-1","source":"/team","type":"PaymentCompensationRequested","subject":"saga/{id}/x",{member}}}"#
        );
        let message = Message {
            to: Place::Ingress,
            kind: "PaymentCompensationRequested".to_owned(),
            body: event,
        };
        world.deliver(&message).await.unwrap();
        let kept = world.aws.quarantined();
        assert_eq!(kept.len(), 1, "{member}");
        assert!(format!("{:?}", kept[0]).contains(reason), "{member}: {kept:?}");
        assert_eq!(world.saga(id).resolved, None, "{member}");
    }
}

#[tokio::test]
async fn a_number_that_nobody_compares_holds_no_event_back() {
    for number in [
        "1e-40",
        "1e100",
        "0.1000000000000000055511151231257827021181583404541015625",
        "123456789012345678901234567890123456789",
    ] {
        for schema in ["data", "data_base64", "Event Grid"] {
            let mut world = World::default();
            let id = world.start("12.90").await;
            let data = format!(r#"{{"saga_id":"{id}","order_id":"order-1","reason":"x","score":{number}}}"#);
            let order = world.saga(id).input.get("order_id").cloned();
            let data = match order {
                Some(saga_core::document::Document::Text(order)) => data.replace("order-1", &order),
                other => panic!("{other:?}"),
            };
            let kind = "PaymentCompensationRequested";
            let body = match schema {
                "data" => format!(
                    r#"{{"specversion":"1.0","id":"e-1","source":"/team","type":"{kind}","data":{data}}}"#
                ),
                "data_base64" => format!(
                    r#"{{"specversion":"1.0","id":"e-1","source":"/team","type":"{kind}","data_base64":"{}"}}"#,
                    STANDARD.encode(&data)
                ),
                _ => format!(
                    r#"{{"id":"e-1","topic":"/team","subject":"x","eventType":"{kind}","eventTime":"2026-01-01T00:00:00Z","dataVersion":"1","data":{data}}}"#
                ),
            };
            let message = Message {
                to: Place::Ingress,
                kind: kind.to_owned(),
                body,
            };
            world.deliver(&message).await.unwrap();
            world.settle().await;
            assert_eq!(world.aws.quarantined(), [], "{schema} {number}");
            assert!(world.saga(id).resolved.is_some(), "{schema} {number}");
        }
    }
}

#[tokio::test]
async fn what_would_be_passed_over_in_event_grids_schema_is_quarantined() {
    let mut world = World::default();
    let id = world.start("12.90").await;
    let message = Message {
        to: Place::Ingress,
        kind: "PaymentCompensationRequested".to_owned(),
        body: format!(
            r#"{{"id":"e-1","topic":"/team","subject":"saga/{id}/x","eventType":"PaymentCompensationRequested","eventTime":"2026-01-01T00:00:00Z","dataVersion":"1","data_base64":"{}"}}"#,
            STANDARD.encode(r#"{"order_id":"another"}"#)
        ),
    };
    world.deliver(&message).await.unwrap();
    assert!(format!("{:?}", world.aws.quarantined()).contains("data_base64"));
    assert_eq!(world.saga(id).resolved, None);
}

#[tokio::test]
async fn the_name_of_a_definition_is_bounded_before_anybody_looks_for_it() {
    let mut world = World::default();
    world.start("12.90").await;
    world.publish().await;
    let ours = world.on_the_way.remove(0);
    for name in [
        "x".repeat(201),
        "x".repeat(3000),
        "a\u{202e}b".to_owned(),
        " ".to_owned(),
    ] {
        let mut event: Value = serde_json::from_slice(&STANDARD.decode(&ours.body).unwrap()).unwrap();
        event["sagadef"] = json!(name);
        let message = Message {
            to: Place::AzureQueue,
            kind: ours.kind.clone(),
            body: STANDARD.encode(event.to_string()),
        };
        let before = world.azure.quarantined().len();
        world.deliver(&message).await.unwrap();
        let kept = world.azure.quarantined();
        assert_eq!(kept.len(), before + 1, "{name}");
        assert!(format!("{:?}", kept[before]).contains("sagadef"), "{kept:?}");
    }
}

#[tokio::test]
async fn nobody_vouches_on_the_way_for_an_event_that_came_without_a_checksum() {
    let mut world = World::default();
    world.start("12.90").await;
    world.publish().await;
    let mut event: Value =
        serde_json::from_slice(&STANDARD.decode(&world.on_the_way[0].body).unwrap()).unwrap();
    for with in [true, false] {
        if !with {
            event.as_object_mut().unwrap().remove("sagasum").unwrap();
        }
        let saga_wire::saga_event::SagaEvent::Ours(read) =
            saga_wire::cloud_event::parse(&event.to_string()).unwrap()
        else {
            panic!("it is ours");
        };
        let written: Value = serde_json::from_str(&saga_wire::cloud_event::write(&read)).unwrap();
        assert_eq!(written.get("sagasum").is_some(), with);
    }
}
