//! The contracts of all ports, held against the adapters that need nothing but memory.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::sync::Arc;

use saga_app::dead_letters::DeadLetterSource;
use saga_app::dead_letters::ports::{DeadLetterContainer, DeadLetterQueue, DeadOutbox};
use saga_app::park_saga::AtOrigin;
use saga_app::ports::{Alert, Envelope, Inserted, Parked, Parking, PortError, SagaStore};
use saga_core::{EventId, Saga, SagaId};
use saga_memory::{Clock, DeadLetters, OriginCloud, StepCloud};
use saga_runtime::clock::SystemClock;
use saga_tests::contract::carriers::{AlertsSide, ParkingSide, PublisherSide, QuarantineSide};
use saga_tests::contract::dead_letters::{
    ArchiveSide, COUNT, ContainerSide, OutboxSide, OutletSide, QueueSide, event, event_id,
};
use saga_tests::contract::given::{decision, time};
use saga_wire::dead_letter::{Destination, Forward, Received, Row, Source, events, row};

saga_tests::saga_store_contract!(memory_sagas, empty_origin);
saga_tests::step_store_contract!(memory_steps, empty_steps);
saga_tests::definitions_contract!(memory_definitions_of_sagas, empty_origin);
saga_tests::definition_names_contract!(memory_names, empty_origin);
saga_tests::definitions_contract!(memory_definitions_of_steps, empty_steps);
saga_tests::service_states_contract!(memory_services_of_sagas, empty_origin);
saga_tests::service_changes_contract!(memory_changes_of_services, empty_origin);
saga_tests::service_states_contract!(memory_services_of_steps, empty_steps);
saga_tests::publisher_contract!(memory_publisher, carrier);
saga_tests::alerts_contract!(memory_alerts, carrier);
saga_tests::quarantine_contract!(memory_quarantine, carrier);
saga_tests::parking_contract!(memory_parking, carrier);
saga_tests::parking_contract!(parking_at_the_origin, origin);
saga_tests::time_contract!(memory_clock, clock);
saga_tests::time_contract!(system_clock, system_clock);
saga_tests::dead_letter_queue_contract!(memory_queue, full_queue);
saga_tests::dead_letter_container_contract!(memory_container, full_rows);
saga_tests::dead_outbox_contract!(memory_rows, full_rows);
saga_tests::outlet_contract!(memory_outlet, empty_dead_letters);
saga_tests::archive_contract!(memory_archive, empty_dead_letters);
saga_tests::memory_contract!(memory_memory, empty_places);

async fn empty_origin() -> Option<OriginCloud> {
    Some(OriginCloud::new())
}

async fn empty_steps() -> Option<StepCloud> {
    Some(StepCloud::new())
}

struct Carrier(OriginCloud);

async fn carrier() -> Option<Carrier> {
    Some(Carrier(OriginCloud::new()))
}

impl PublisherSide for Carrier {
    type Port = OriginCloud;

    fn port(&self) -> &OriginCloud {
        &self.0
    }

    async fn arrived(&self, _: usize) -> Vec<String> {
        self.0.take_published().into_iter().map(|row| row.body).collect()
    }

    fn never(&self) -> Option<Envelope> {
        None
    }
}

impl AlertsSide for Carrier {
    type Port = OriginCloud;

    fn port(&self) -> &OriginCloud {
        &self.0
    }

    async fn arrived(&self, _: usize) -> Vec<Alert> {
        self.0.alerts()
    }
}

impl QuarantineSide for Carrier {
    type Port = OriginCloud;

    fn port(&self) -> &OriginCloud {
        &self.0
    }

    async fn kept(&self, _: usize) -> Vec<(String, String)> {
        let kept = self.0.quarantined().into_iter();
        kept.map(|kept| {
            let body = String::from_utf8(kept.body).unwrap();
            (format!("{}: {}", kept.entrance, kept.reason), body)
        })
        .collect()
    }
}

/// A port is given away; the cloud stays here.
struct Borrowed<'a>(&'a OriginCloud);

impl Parking for Borrowed<'_> {
    async fn park(&self, parked: &Parked) -> Result<(), PortError> {
        self.0.park(parked).await
    }
}

impl ParkingSide for Carrier {
    fn port(&self) -> impl Parking {
        Borrowed(&self.0)
    }

    async fn store(&self, _: &Saga) {}

    async fn reported(&self, saga: SagaId) -> Option<(EventId, String)> {
        let reported = self
            .0
            .take_parked()
            .into_iter()
            .find(|parked| parked.saga == saga);
        reported.map(|parked| (parked.event, parked.reason))
    }
}

struct Origin {
    cloud: OriginCloud,
    clock: Clock,
}

async fn origin() -> Option<Origin> {
    Some(Origin {
        cloud: OriginCloud::new(),
        clock: Clock::new(time(10), 7),
    })
}

impl ParkingSide for Origin {
    fn port(&self) -> impl Parking {
        AtOrigin::new(&self.cloud, &self.clock)
    }

    async fn store(&self, saga: &Saga) {
        let stored = self.cloud.insert(&decision(saga), None).await.unwrap();
        assert_eq!(stored, Inserted::Yes);
    }

    async fn reported(&self, saga: SagaId) -> Option<(EventId, String)> {
        let mark = self.cloud.load(saga).await.unwrap()?.value.parked.pop()?;
        Some((mark.event, mark.reason))
    }
}

async fn clock() -> Option<Clock> {
    Some(Clock::new(time(0), 7))
}

async fn system_clock() -> Option<SystemClock> {
    Some(SystemClock)
}

struct FilledPlace {
    places: DeadLetters,
    source: DeadLetterSource,
    clock: Arc<Clock>,
}

fn dead_letters(source: Source) -> FilledPlace {
    let clock = Arc::new(Clock::new(time(0), 7));
    let places = DeadLetters::sound(Arc::clone(&clock));
    FilledPlace {
        source: places.source(source),
        places,
        clock,
    }
}

async fn full_queue() -> Option<FilledPlace> {
    let dead_letters = dead_letters(Source::Events);
    for number in 0..COUNT {
        dead_letters.places.put(events(&Received {
            key: event_id(number),
            body: event(number),
            ..Received::default()
        }));
    }
    Some(dead_letters)
}

async fn full_rows() -> Option<FilledPlace> {
    let dead_letters = dead_letters(Source::Outbox);
    for number in 0..COUNT {
        let dead_letter = row(
            Source::Outbox,
            Row {
                key: event_id(number),
                body: Some(event(number)),
                reason: Some("refused".to_owned()),
                attempts: Some(7),
                at: Some(time(5)),
                dead_at: Some(time(6)),
                unreadable: None,
            },
        );
        assert_eq!(dead_letter.forward, Forward::Requeue);
        dead_letters.places.put(dead_letter);
    }
    Some(dead_letters)
}

impl OutboxSide for FilledPlace {
    fn outbox(&self) -> &dyn DeadOutbox {
        let DeadLetterSource::Outbox(outbox) = &self.source else {
            panic!("{} is no outbox", self.source.source());
        };
        outbox.as_ref()
    }
}

impl ContainerSide for FilledPlace {
    fn container(&self) -> &dyn DeadLetterContainer {
        self.outbox()
    }
}

impl QueueSide for FilledPlace {
    fn queue(&self) -> &dyn DeadLetterQueue {
        let DeadLetterSource::Queue(queue) = &self.source else {
            panic!("{} is no queue", self.source.source());
        };
        queue.as_ref()
    }

    async fn pass(&self, seconds: u32) {
        self.clock.advance(i64::from(seconds) * 1_000);
    }
}

async fn empty_dead_letters() -> Option<FilledPlace> {
    Some(dead_letters(Source::Events))
}

async fn empty_places() -> Option<DeadLetters> {
    Some(dead_letters(Source::Events).places)
}

impl OutletSide for FilledPlace {
    type Port = DeadLetters;

    fn port(&self) -> &DeadLetters {
        &self.places
    }

    fn destinations(&self) -> Vec<Destination> {
        vec![
            Destination::Bus,
            Destination::EventsQueue,
            Destination::Topic,
            Destination::ParticipantQueue,
            Destination::ServiceQueue,
            Destination::AzureServiceQueue,
        ]
    }

    async fn arrived(&self, to: Destination) -> Vec<String> {
        let sent = self
            .places
            .take_sent()
            .into_iter()
            .filter(|(place, _)| *place == to);
        sent.map(|(_, message)| message).collect()
    }
}

impl ArchiveSide for FilledPlace {
    type Port = DeadLetters;

    fn port(&self) -> &DeadLetters {
        &self.places
    }

    async fn kept(&self, id: &str) -> Vec<String> {
        let kept = self
            .places
            .archived()
            .into_iter()
            .filter(|dead_letter| dead_letter.id.to_string() == id);
        kept.map(|dead_letter| dead_letter.facts.text).collect()
    }
}
