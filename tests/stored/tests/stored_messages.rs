//! Events and messages as an earlier release sent or kept them (`fixtures/release_*`, recorded by `tests/record_fixtures.py`): each is
//! read from what carried it, and an event that is written again says what it said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of these tests are tests, too"
)]

use base64::Engine;
use saga_core::event::Event;
use saga_stored_forms::recorded::{Recorded, recorded};
use saga_wire::dead_letter::{Received, azure_quarantine, blob, events, poison, quarantine};
use saga_wire::event_grid::Delivery;
use saga_wire::saga_event::{SagaEvent, check};
use saga_wire::{cloud_event, custom_handler, event_bridge, event_grid};
use serde_json::Value;

fn messages(prefix: &str) -> Vec<Recorded> {
    let files = recorded("messages").into_iter();
    let files: Vec<_> = files.filter(|file| file.name.starts_with(prefix)).collect();
    assert!(!files.is_empty(), "{prefix}");
    files
}

/// The text of a message of a storage queue.
fn decoded(file: &Recorded) -> String {
    let bytes = base64::engine::general_purpose::STANDARD.decode(&file.text);
    String::from_utf8(bytes.unwrap()).unwrap()
}

/// The event in a text, which is one of ours that fits its definition.
fn event_of(file: &Recorded, text: &str) -> Event {
    let read = cloud_event::parse(text).unwrap_or_else(|error| panic!("{file}: {error:?}"));
    let SagaEvent::Ours(event) = read else {
        panic!("{file}: {read:?}")
    };
    let definitions = saga_wire::definitions::all().unwrap();
    let checked = check(&event, definitions.get(&event.definition).unwrap());
    checked.unwrap_or_else(|error| panic!("{file}: {error:?}"));
    event
}

/// Each event, as it lies in whatever carries it: the file, the text of the event, and what the release means by it.
fn carried() -> Vec<(Recorded, String)> {
    let mut all = Vec::new();
    for file in messages("event_bridge_entry_") {
        all.push((file.json()["Detail"].as_str().unwrap().to_owned(), file));
    }
    for file in messages("events_queue_") {
        all.push((event_bridge::event_in(&file.text).unwrap().to_owned(), file));
    }
    for file in messages("azure_queue") {
        all.push((custom_handler::event_in(&decoded(&file)).into_owned(), file));
    }
    for file in messages("webhook") {
        let Delivery::Events(events) = event_grid::delivery(&file.text).unwrap() else {
            panic!("{file}")
        };
        let [event] = &events[..] else { panic!("{file}") };
        all.push((String::from_utf8(event.clone()).unwrap(), file));
    }
    all.into_iter().map(|(text, file)| (file, text)).collect()
}

#[test]
fn events_are_read_from_every_carrier_and_written_as_they_were() {
    for (file, text) in carried() {
        let said: Value = serde_json::from_str(&text).unwrap();
        let event = event_of(&file, &text);
        assert_eq!(event.id.as_str(), said["id"], "{file}");
        assert_eq!(event.saga.to_string(), said["sagaid"], "{file}");
        assert_eq!(event.address.verb(), said["sagaverb"], "{file}");
        // What this version says of the same event, the release reads: nothing is missing, and nothing says anything else.
        let again: Value = serde_json::from_str(&cloud_event::write(&event)).unwrap();
        for (name, value) in said.as_object().unwrap() {
            assert_eq!(&again[name], value, "{file}: {name}");
        }
    }
}

#[test]
fn messages_that_came_to_rest_are_read_as_dead_letters() {
    for file in messages("events_dlq") {
        let message = file.json();
        let dead_letter = events(&Received {
            key: "k".to_owned(),
            body: message["Body"].as_str().unwrap().to_owned(),
            ..Received::default()
        });
        let event = event_of(&file, &dead_letter.facts.text);
        assert_eq!(dead_letter.facts.saga, Some(event.saga), "{file}");
        assert_eq!(dead_letter.facts.verb.as_deref(), Some("complete"), "{file}");
    }
    for file in messages("azure_poison_queue") {
        let dead_letter = poison("k", &file.text, None);
        let event = event_of(&file, &dead_letter.facts.text);
        assert_eq!(dead_letter.facts.saga, Some(event.saga), "{file}");
        assert_eq!(dead_letter.facts.verb.as_deref(), Some("advance"), "{file}");
    }
    for file in messages("event_grid_dead_letter") {
        let [dead_letter] = &blob("a/blob.json", &file.text, None)[..] else {
            panic!("{file}")
        };
        let event = event_of(&file, &dead_letter.dead_letter.facts.text);
        assert_eq!(dead_letter.dead_letter.facts.saga, Some(event.saga), "{file}");
        assert!(
            dead_letter.dead_letter.reason.contains("BadRequest"),
            "{file}: {}",
            dead_letter.dead_letter.reason
        );
        assert_eq!(
            dead_letter.dead_letter.facts.verb.as_deref(),
            Some("complete"),
            "{file}"
        );
    }
}

#[test]
fn quarantined_messages_are_read_with_their_entrance_and_reason() {
    let on_aws = messages("quarantine_").into_iter().map(|file| {
        let dead_letter = quarantine(&Received {
            key: "k".to_owned(),
            body: file.text.clone(),
            ..Received::default()
        });
        let kept = file.json();
        (file, kept, dead_letter)
    });
    let on_azure = messages("azure_quarantine").into_iter().map(|file| {
        let dead_letter = azure_quarantine("k", &file.text, None);
        let kept = serde_json::from_str(&decoded(&file)).unwrap();
        (file, kept, dead_letter)
    });
    for (file, kept, dead_letter) in on_aws.chain(on_azure) {
        let entrance = kept["entrance"].as_str().unwrap();
        assert!(
            dead_letter.reason.starts_with(&format!("{entrance}: ")),
            "{file}: {}",
            dead_letter.reason
        );
        let why = kept["reason"].as_str().unwrap();
        assert!(dead_letter.reason.contains(why), "{file}: {}", dead_letter.reason);
        match kept["body"].as_str() {
            Some(body) => assert_eq!(dead_letter.facts.text, body, "{file}"),
            None => assert!(dead_letter.facts.is_base64, "{file}"),
        }
    }
}
