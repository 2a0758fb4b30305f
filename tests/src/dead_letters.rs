//! Dead letters beside a [`World`]: what falls out of a carrier lies where that carrier puts it, and what is replayed is
//! on the way again.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_app::dead_letters::command::{Act, Command, Filter, Selection};
use saga_app::dead_letters::{DeadLetterSource, Report};
use saga_app::dead_letters::{Ports, run};
use saga_app::ports::{Quarantined, Time};
use saga_app::runs::Bounds;
use saga_core::Timestamp;
use saga_memory::{Clock, DeadLetters, OriginCloud};
use saga_wire::dead_letter::{
    DeadLetter, Destination, Received, Row, Source, blob, destination, events, poison, row,
};
use saga_wire::quarantine::NO_HEADERS;
use serde_json::Value;

use crate::contract::given;
use crate::world::{Message, Place, World, envelope};

/// The sources and the ways back, with a clock of their own.
pub struct Desk {
    /// Where the dead letters lie.
    pub places: DeadLetters,
    /// The ports of the places.
    pub sources: Vec<DeadLetterSource>,
    /// The clock of leases and rates.
    pub clock: Arc<Clock>,
}

impl Desk {
    /// Sound places.
    #[must_use]
    pub fn new() -> Self {
        Self::with(DeadLetters::sound)
    }

    /// Places of some making.
    #[must_use]
    pub fn with(make: impl FnOnce(Arc<Clock>) -> DeadLetters) -> Self {
        let clock = Arc::new(Clock::new(given::time(1_000_000), 7));
        let places = make(Arc::clone(&clock));
        Self {
            sources: places.sources(),
            places,
            clock,
        }
    }

    /// What the use cases need.
    #[must_use]
    pub fn ports<'a>(&'a self, world: &'a World) -> Ports<'a, OriginCloud, Clock> {
        Ports {
            deployment: &world.deployment,
            sources: &self.sources,
            absent: "not set up",
            outlet: &self.places,
            archive: &self.places,
            store: &world.aws,
            time: &self.clock,
        }
    }

    /// A run with time enough.
    pub async fn run(&self, world: &World, command: &Command) -> Report {
        run(
            &self.ports(world),
            command,
            "the operator",
            None,
            self.later(600_000),
        )
        .await
    }

    /// So many milliseconds from now.
    #[must_use]
    pub fn later(&self, millis: i64) -> Timestamp {
        self.clock.now().plus_millis(millis)
    }

    /// Everything that was replayed is on the way again.
    pub fn bring(&self, world: &mut World) {
        for (to, message) in self.places.take_sent() {
            let event = saga_wire::event_bridge::event_in(&message).unwrap_or(&message);
            let event: Value = serde_json::from_str(event).unwrap_or_default();
            let target = event["sagatarget"].as_str().unwrap_or_default();
            if target.contains('.') {
                world.mailboxes.push((target.to_owned(), event.clone()));
                continue;
            }
            let place = match to {
                Destination::ServiceQueue | Destination::AzureServiceQueue => {
                    panic!("{target} is no service's")
                }
                Destination::EventsQueue => Place::EventsQueue,
                Destination::ParticipantQueue => Place::AzureQueue,
                Destination::Bus | Destination::Topic => route(to, &message),
            };
            world.on_the_way.push(sent(place, to, &message));
        }
        for message in self.places.take_requeued() {
            let event: Value = serde_json::from_str(&message).unwrap();
            let by = if event["sagaorigin"] == "aws" {
                Destination::Bus
            } else {
                Destination::Topic
            };
            world.on_the_way.push(sent(route(by, &message), by, &message));
        }
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

fn route(by: Destination, message: &str) -> Place {
    let event: Value = serde_json::from_str(message).unwrap();
    match (event["sagatarget"].as_str(), by) {
        (Some("azure"), _) => Place::AzureQueue,
        (_, Destination::Topic) => Place::Ingress,
        _ => Place::EventsQueue,
    }
}

fn sent(to: Place, by: Destination, message: &str) -> Message {
    let event: Value = serde_json::from_str(message).unwrap();
    let kind = event["type"].as_str().unwrap_or("in an envelope").to_owned();
    let body = match (to, by) {
        (Place::AzureQueue, _) => STANDARD.encode(message),
        (Place::Ingress, _) => format!("[{message}]"),
        (Place::EventsQueue, Destination::Bus) => envelope(&kind, message),
        (Place::EventsQueue, _) => message.to_owned(),
    };
    Message { to, kind, body }
}

/// The event inside a message.
#[must_use]
pub fn event_in(message: &Message) -> String {
    match message.to {
        Place::AzureQueue => String::from_utf8(STANDARD.decode(&message.body).unwrap()).unwrap(),
        Place::Ingress => message.body[1..message.body.len() - 1].to_owned(),
        Place::EventsQueue => saga_wire::event_bridge::event_in(&message.body)
            .unwrap()
            .to_owned(),
    }
}

/// The messages of a quarantine that keep this body.
#[must_use]
pub fn quarantined(entrance: &'static str, body: &[u8], max_bytes: usize) -> Vec<String> {
    let message = Quarantined {
        entrance,
        reason: "no such saga",
        at: Timestamp::from_millis(1_795_226_400_000),
        headers: &NO_HEADERS,
        body,
    };
    saga_wire::quarantine::write(&message, max_bytes)
}

/// The message falls out: `chance` says where on its way, `number` makes the dead letter one of its own.
#[must_use]
pub fn dead(message: &Message, chance: u64, number: u64) -> DeadLetter {
    let at = Timestamp::from_millis(given::time(1_000_000).millis() + i64::try_from(number).unwrap());
    let event = event_in(message);
    let received = |body: String| Received {
        key: format!("{:013}-{number}", at.millis()),
        body,
        sent: Some(at),
        ..Received::default()
    };
    let blob_of = |subscription: &str| {
        let added = r#","deadletterreason":"MaxDeliveryAttemptsExceeded","deliveryattempts":30}"#;
        let content = format!("[{}{added}]", &event[..event.len() - 1]);
        let name = format!("{subscription}/2026/11/21/2/{number:08}.json");
        blob(&name, &content, Some(at)).remove(0).dead_letter
    };
    let row_of = |source| {
        row(
            source,
            Row {
                key: format!("{number:08}"),
                body: Some(event.clone()),
                reason: Some("refused for good".to_owned()),
                dead_at: Some(at),
                ..Row::default()
            },
        )
    };
    let from_aws = event.contains(r#""sagaorigin":"aws""#);
    match (message.to, chance % 3) {
        (Place::AzureQueue, 0) => poison(&format!("{number:08}"), &message.body, Some(at)),
        (Place::AzureQueue, 1) if from_aws => destination(&received(envelope(&message.kind, &event))),
        (Place::AzureQueue, 2) if from_aws => row_of(Source::Outbox),
        (Place::AzureQueue, _) => blob_of("TO-AZURE-PARTICIPANT"),
        (Place::Ingress, 0) => row_of(Source::AzureOutbox),
        (Place::Ingress, _) => blob_of("TO-AWS-INGRESS"),
        (Place::EventsQueue, _) => events(&received(message.body.clone())),
    }
}

/// A confirmed command over all dead letters, as fast as it goes.
#[must_use]
pub fn all(act: Act) -> Command {
    Command {
        act,
        selection: Selection::All(Filter::default()),
        confirm: true,
        by: None,
        reason: "the cause is gone".to_owned(),
        bounds: Bounds {
            limit: 2_000,
            per_second: 1_000,
            stop_after: 100,
        },
    }
}
