//! The contracts of what carries something away: events, alerts, messages that came to rest, messages that nobody
//! understands. Whoever holds an adapter to one says what has arrived where it carries to.

use std::collections::BTreeSet;

use saga_app::ports::{
    Alert, Alerts, Envelope, Parked, Parking, PortError, Publisher, Quarantine, Quarantined, Refusal,
};
use saga_core::{EventId, Saga, SagaId};
use saga_wire::quarantine::NO_HEADERS;
use serde_json::Value;

use super::given::{AWKWARD, saga, time};
use crate::arbitrary::nth_saga;

/// A [`Publisher`], and the place where its events arrive.
pub trait PublisherSide {
    /// The adapter.
    type Port: Publisher;

    /// The adapter.
    fn port(&self) -> &Self::Port;

    /// The events that have arrived, once there are so many.
    fn arrived(&self, count: usize) -> impl Future<Output = Vec<String>>;

    /// An event that its service takes as it is at no time; `None` where there is no such event.
    fn never(&self) -> Option<Envelope>;
}

/// An event that every service takes.
fn event(number: u64) -> Envelope {
    let (saga, at) = (nth_saga(number), time(number.cast_signed()));
    let id: EventId = format!("{:013}-{saga}-contract{number}", at.millis())
        .parse()
        .unwrap();
    let body = serde_json::json!({
        "specversion": "1.0", "id": id.as_str(), "source": "saga.participant.azure", "type": "PaymentReserved",
        "sagatarget": "azure", "data": {"saga_id": saga.to_string(), "text": format!("{number} ü 𝄞 \"\\\n")},
    });
    Envelope {
        id,
        saga,
        kind: "PaymentReserved".to_owned(),
        body: body.to_string(),
    }
}

/// As JSON, each once: a bus may write it anew, and bring it twice.
fn values<'a>(bodies: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    let value = |body: &String| serde_json::from_str::<Value>(body).unwrap().to_string();
    bodies.into_iter().map(value).collect()
}

/// One event, and as many as one call takes: each is answered for, and arrives as it was.
pub async fn every_event_that_was_taken_arrives(side: &impl PublisherSide) {
    let most = most(side);
    let events: Vec<Envelope> = (0..=most as u64).map(event).collect();
    let all: Vec<&Envelope> = events.iter().collect();
    let mut answers = side.port().publish(&all[..1]).await.unwrap();
    answers.extend(side.port().publish(&all[1..]).await.unwrap());
    assert_eq!(answers, vec![Ok(()); all.len()]);
    let arrived = side.arrived(all.len()).await;
    assert_eq!(values(&arrived), values(events.iter().map(|event| &event.body)));
}

fn most<S: PublisherSide>(_: &S) -> usize {
    S::Port::LIMITS.events
}

/// An answer for each event: for none, none.
pub async fn nothing_is_said_of_nothing(side: &impl PublisherSide) {
    assert_eq!(side.port().publish(&[]).await.unwrap(), []);
}

/// Each has its own answer, in order.
pub async fn what_is_never_taken_holds_back_no_neighbour(side: &impl PublisherSide) {
    let Some(never) = side.never() else {
        return;
    };
    let answers = side
        .port()
        .publish(&[&event(1), &never, &event(2)])
        .await
        .unwrap();
    assert_eq!((&answers[0], &answers[2]), (&Ok(()), &Ok(())));
    assert!(matches!(&answers[1], Err(Refusal::Never(_))), "{answers:?}");
    let arrived = side.arrived(2).await;
    assert_eq!(values(&arrived), values([&event(1).body, &event(2).body]));
}

/// An [`Alerts`], and the place where they arrive.
pub trait AlertsSide {
    /// The adapter.
    type Port: Alerts;

    /// The adapter.
    fn port(&self) -> &Self::Port;

    /// The alerts that have arrived, once there are so many.
    fn arrived(&self, count: usize) -> impl Future<Output = Vec<Alert>>;
}

/// With its subject and text.
pub async fn an_alert_arrives(side: &impl AlertsSide) {
    let alert = Alert {
        subject: "saga-bridge: 2 new dead letters in events".to_owned(),
        text: "What it means, with an ü.\n\nWhat to do:\n  make dlq ARGS=\"list\"".to_owned(),
    };
    side.port().raise(alert.clone()).await.unwrap();
    assert_eq!(side.arrived(1).await[0], alert);
}

/// It quotes what others wrote: whatever that is, it is told.
pub async fn an_alert_arrives_whatever_it_quotes(side: &impl AlertsSide) {
    for (number, character) in AWKWARD.into_iter().enumerate() {
        let quoted = format!("begin{character}end");
        let alert = Alert {
            subject: quoted.clone(),
            text: quoted,
        };
        side.port().raise(alert).await.unwrap();
        let arrived = side.arrived(number + 1).await;
        let reported = |text: &str| text.starts_with("begin") && text.ends_with("end");
        let all = arrived
            .iter()
            .all(|alert| reported(&alert.subject) && reported(&alert.text));
        assert!(all, "{character:?}: {arrived:?}");
    }
}

/// A [`Parking`], and what is known of it where the sagas are.
pub trait ParkingSide {
    /// The adapter.
    fn port(&self) -> impl Parking;

    /// Stores the saga, where the adapter wants it to be there.
    fn store(&self, saga: &Saga) -> impl Future<Output = ()>;

    /// What the origin has been reported this saga: the message, and why.
    fn reported(&self, saga: SagaId) -> impl Future<Output = Option<(EventId, String)>>;
}

fn parked(number: u64) -> Parked {
    Parked {
        saga: nth_saga(number),
        event: event(number).id,
        reason: "PaymentReserved lies in poison: it failed at every try".to_owned(),
        at: time(5),
    }
}

/// The saga shows where and why; told again, it shows the same.
pub async fn the_origin_gets_a_report_of_what_came_to_rest(side: &impl ParkingSide) {
    let parked = parked(1);
    side.store(&saga(1, time(0))).await;
    assert!(!side.port().is_parked(parked.saga, &parked.event).await.unwrap());
    for _ in 0..2 {
        side.port().park(&parked).await.unwrap();
        let reported = side.reported(parked.saga).await;
        assert_eq!(reported, Some((parked.event.clone(), parked.reason.clone())));
    }
}

/// Its saga may have expired, or never have been.
pub async fn a_saga_that_is_not_there_is_no_error(side: &impl ParkingSide) {
    let parked = parked(2);
    side.port().park(&parked).await.unwrap();
    assert!(!side.port().is_parked(parked.saga, &parked.event).await.unwrap());
}

/// A [`Quarantine`], and what lies in it.
pub trait QuarantineSide {
    /// The adapter.
    type Port: Quarantine;

    /// The adapter.
    fn port(&self) -> &Self::Port;

    /// What lies there, once there is so much: where it came in and why, and the message.
    fn kept(&self, count: usize) -> impl Future<Output = Vec<(String, String)>>;
}

async fn keep(side: &impl QuarantineSide, reason: &str, body: &str) -> Result<(), PortError> {
    let message = Quarantined {
        entrance: "event-ingress",
        reason,
        headers: &NO_HEADERS,
        body: body.as_bytes(),
        at: time(0),
    };
    side.port().keep(message).await
}

/// With where it came in and why.
pub async fn a_message_is_kept_with_its_reason(side: &impl QuarantineSide) {
    keep(side, "it is no event", "{\"no\":\"event\"}").await.unwrap();
    let kept = side.kept(1).await;
    let (why, body) = &kept[0];
    assert!(
        why.contains("event-ingress") && why.contains("it is no event"),
        "{why}"
    );
    assert_eq!(body, "{\"no\":\"event\"}");
}

/// Others wrote it: whatever it holds, it is kept as it is.
pub async fn any_text_is_kept_whole(side: &impl QuarantineSide) {
    let mut bodies: BTreeSet<String> = AWKWARD.iter().map(|c| format!("a{c}b{c}")).collect();
    bodies.extend([String::new(), "ä𝄞\"".repeat(3_000)]);
    for body in &bodies {
        keep(side, &format!("it holds {body}"), body).await.unwrap();
    }
    let kept = side.kept(bodies.len()).await;
    let kept: BTreeSet<String> = kept.into_iter().map(|(_, body)| body).collect();
    assert_eq!(kept, bodies);
}
