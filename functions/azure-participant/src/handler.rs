//! What the Functions host calls: one address a function, and every call gets an answer
//! (<https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>).
//!
//! Invariant: a call that fails, takes too long or panics is answered with 500, so the host shows its message
//! again, and the process goes on with the next one. Work that has begun ends also when the host hangs up.

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use saga_app::about;
use saga_app::log::About;
use saga_app::ports::{ParticipantCloud, PortError, causes};
use saga_wire::custom_handler::Answer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::participant::{Outcome, Participant};
use crate::{outbox_sweep, saga_step, service_call, trigger};

/// A queue message has at most 64 KiB, which the host encodes twice.
const MAX_BODY: usize = 1024 * 1024;
/// A call that takes longer fails, and its message is shown again.
const LIMIT: Duration = Duration::from_secs(20);
/// A service may take up to a minute, and what it answered is committed after that.
const CALL_LIMIT: Duration = Duration::from_secs(80);
/// How long calls under way may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(20);

/// Serves until SIGTERM, then lets calls under way end.
pub(crate) async fn serve(
    participant: Arc<Participant<impl ParticipantCloud + 'static>>,
    port: u16,
) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, router(participant)).with_graceful_shutdown(async move {
        terminate.recv().await;
        drop(stopping);
    });
    tracing::info!(port, outcome = "serving", "participant");
    let overdue = async {
        let _ = stopped.await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = server.into_future() => ended?,
        () = overdue => tracing::warn!("calls under way were cut off; their messages are shown again"),
    }
    tracing::info!(outcome = "stopped", "participant");
    Ok(())
}

fn router<C: ParticipantCloud + 'static>(participant: Arc<Participant<C>>) -> Router {
    let step = |State(participant): State<Arc<Participant<C>>>, body: Bytes| {
        let message = body.clone();
        let work = async move { saga_step::handle(&participant, &body).await };
        answer(LIMIT, work, move || trigger::about(&message))
    };
    let call = |State(participant): State<Arc<Participant<C>>>, body: Bytes| {
        let message = body.clone();
        let work = async move { service_call::handle(&participant, &body).await };
        answer(CALL_LIMIT, work, move || trigger::about(&message))
    };
    let sweep = |State(participant): State<Arc<Participant<C>>>| {
        let work = async move { outbox_sweep::handle(&participant).await };
        answer(LIMIT, work, About::default)
    };
    Router::new()
        .route("/saga-step", post(step))
        .route("/service-call", post(call))
        .route("/outbox-sweep", post(sweep))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(participant)
}

/// Does the work as a task of its own, and answers the host. What it was `about` is asked when it fails.
async fn answer(
    limit: Duration,
    work: impl Future<Output = Outcome> + Send + 'static,
    about: impl Fn() -> About + Send,
) -> Response {
    let (outcome, code, why, error) = match tokio::spawn(tokio::time::timeout(limit, work)).await {
        Ok(Ok(Ok(line))) => return Json(Answer::with_logs(vec![line])).into_response(),
        Ok(Ok(Err(error))) => ("failed", code(&error), error.to_string(), Some(causes(&error))),
        Ok(Err(_)) => {
            let why = "it took too long; it will be tried again";
            ("timed out", "timeout", why.to_owned(), None)
        }
        Err(error) => {
            let why = "the function panicked; it will be tried again";
            ("panicked", "panic", why.to_owned(), Some(error.to_string()))
        }
    };
    let seconds = (code == "timeout").then_some(limit.as_secs());
    about!(error, &about(), error, seconds, outcome, "invocation");
    failed(code, &why)
}

fn failed(code: &str, why: &str) -> Response {
    let body = serde_json::json!({ "code": code, "error": why });
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::INTERNAL_SERVER_ERROR, kind, body.to_string()).into_response()
}

fn code(error: &PortError) -> &'static str {
    match error {
        PortError::Throttled { .. } => "throttled",
        PortError::Unavailable { .. } => "unavailable",
        PortError::Corrupt { .. } => "corrupt",
        PortError::Contended { .. } => "contended",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use saga_app::Deployment;
    use saga_app::ports::outbox::{Lease, OutboxRow};
    use saga_app::ports::{
        Alert, Alerts, Committed, Definitions, Envelope, Limits, Outbox, Page, Parked, Parking, Partition,
        Published, Publisher, Quarantine, Quarantined, ServiceStates, Snapshot, StepCommit, StepStore, Time,
        Versioned,
    };
    use saga_core::EventId;
    use saga_core::participant::EntityKey;
    use saga_core::participate::StepRecord;
    use saga_core::{Catalogue, Definition, DefinitionRef, SagaId, ServiceState, StepIndex, Timestamp};
    use saga_wire::definitions::parse;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// How the store answers when it is read.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Mood {
        Works,
        Fails,
        Panics,
    }

    /// Every port at once. Only what these tests touch does anything.
    #[derive(Clone)]
    struct Fake {
        mood: Arc<Mutex<Mood>>,
        kept: Arc<Mutex<Vec<Vec<u8>>>>,
        parked: Arc<Mutex<Vec<Parked>>>,
        committed: Arc<Mutex<usize>>,
        definitions: Arc<Mutex<Vec<String>>>,
    }

    impl StepStore for Fake {
        async fn load(
            &self,
            _: &Partition,
            _: SagaId,
            _: StepIndex,
        ) -> Result<Option<Versioned<StepRecord>>, PortError> {
            let mood = *self.mood.lock().unwrap();
            match mood {
                Mood::Works => Ok(None),
                Mood::Fails => Err(PortError::unavailable("the table", "no answer")),
                Mood::Panics => panic!("on purpose"),
            }
        }
        async fn entities(&self, _: &Partition, _: &[EntityKey]) -> Result<Snapshot, PortError> {
            Ok(Snapshot::default())
        }
        async fn commit(&self, _: StepCommit<'_>) -> Result<Committed, PortError> {
            *self.committed.lock().unwrap() += 1;
            Ok(Committed::Yes)
        }
    }

    impl ServiceStates for Fake {
        async fn service_state(&self, _: &str) -> Result<Option<ServiceState>, PortError> {
            Ok(None)
        }
        async fn keep_service_state(&self, _: &ServiceState) -> Result<Committed, PortError> {
            *self.committed.lock().unwrap() += 1;
            Ok(Committed::Yes)
        }
    }

    impl Definitions for Fake {
        async fn stored_definition(&self, _: &DefinitionRef) -> Result<Option<Definition>, PortError> {
            Ok(None)
        }
        async fn keep_definition(&self, definition: &Definition) -> Result<Definition, PortError> {
            self.definitions
                .lock()
                .unwrap()
                .push(definition.reference().to_string());
            Ok(definition.clone())
        }
    }

    impl Outbox for Fake {
        async fn overdue(&self, _: u16, _: Timestamp) -> Result<Vec<u16>, PortError> {
            Ok(Vec::new())
        }
        async fn read(&self, _: u16, _: Option<&EventId>, _: Timestamp, _: usize) -> Result<Page, PortError> {
            Ok(Page {
                rows: Vec::new(),
                next: None,
            })
        }
        async fn take(&self, _: &Lease, _: Timestamp) -> Result<bool, PortError> {
            Ok(false)
        }
        async fn renew(&self, _: &Lease) -> Result<bool, PortError> {
            Ok(false)
        }
        async fn release(&self, _: &Lease) -> Result<(), PortError> {
            Ok(())
        }
        async fn earlier(&self, _: &OutboxRow) -> Result<Vec<EventId>, PortError> {
            Ok(Vec::new())
        }
        async fn delete(&self, _: &[OutboxRow]) -> Result<(), PortError> {
            Ok(())
        }
        async fn postpone(&self, _: &[OutboxRow]) -> Result<(), PortError> {
            Ok(())
        }
        async fn set_aside(&self, _: &OutboxRow, _: Timestamp) -> Result<(), PortError> {
            Ok(())
        }
    }

    impl Publisher for Fake {
        const LIMITS: Limits = Limits {
            events: 10,
            bytes: 1_000,
        };
        async fn publish(&self, events: &[&Envelope]) -> Result<Vec<Published>, PortError> {
            Ok(vec![Ok(()); events.len()])
        }
    }

    impl Parking for Fake {
        async fn park(&self, parked: &Parked) -> Result<(), PortError> {
            self.parked.lock().unwrap().push(parked.clone());
            Ok(())
        }
    }

    impl Quarantine for Fake {
        async fn keep(&self, message: Quarantined<'_>) -> Result<(), PortError> {
            self.kept.lock().unwrap().push(message.body.to_vec());
            Ok(())
        }
    }

    impl Alerts for Fake {
        async fn raise(&self, _: Alert) -> Result<(), PortError> {
            Ok(())
        }
    }

    impl Time for Fake {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_795_226_400_000)
        }
        async fn sleep(&self, _: u64) {}
        fn below(&self, _: u64) -> u64 {
            0
        }
    }

    impl ParticipantCloud for Fake {
        type Store = Self;
        type Publisher = Self;
        type Quarantine = Self;
        type Alerts = Self;
        type Time = Self;
        fn store(&self) -> &Self {
            self
        }
        fn publisher(&self) -> &Self {
            self
        }
        fn quarantine(&self) -> &Self {
            self
        }
        fn alerts(&self) -> &Self {
            self
        }
        fn time(&self) -> &Self {
            self
        }
    }

    struct Running {
        fake: Fake,
        address: std::net::SocketAddr,
    }

    impl Running {
        async fn start(mood: Mood) -> Self {
            let fake = Fake {
                mood: Arc::new(Mutex::new(mood)),
                kept: Arc::default(),
                parked: Arc::default(),
                committed: Arc::default(),
                definitions: Arc::default(),
            };
            let mut deployment = Deployment::load(&Default::default(), Default::default(), 16).unwrap();
            let texts = [
                include_str!("../../../tests/definitions/payment.toml"),
                include_str!("../../../tests/definitions/order.toml"),
            ];
            deployment.catalogue = Catalogue::new(texts.map(|text| parse(text).unwrap())).unwrap();
            let participant = Arc::new(Participant::new(deployment, fake.clone(), None));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, router(participant)).await });
            Self { fake, address }
        }

        /// Status and body of the answer.
        async fn call(&self, path: &str, body: &str) -> (u16, serde_json::Value) {
            self.call_with(path, body.as_bytes()).await
        }

        async fn call_with(&self, path: &str, body: &[u8]) -> (u16, serde_json::Value) {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let status = head[9..12].parse().unwrap();
            (status, serde_json::from_str(body).unwrap_or_default())
        }
    }

    /// The invocation as the host writes it: the event encoded twice.
    fn invocation(event: &str) -> String {
        nth_invocation(event, 1)
    }

    fn nth_invocation(event: &str, count: u32) -> String {
        let twice = serde_json::to_string(&serde_json::to_string(event).unwrap()).unwrap();
        format!(r#"{{"Data":{{"event":{twice}}},"Metadata":{{"DequeueCount":"{count}"}}}}"#)
    }

    const EVENT: &str = r#"{"specversion":"1.0","id":"1795226400000-00000000-0000-8000-8000-000000000001-advance1",
        "source":"saga.orchestrator","type":"PaymentReserved","sagaid":"00000000-0000-8000-8000-000000000001",
        "sagadef":"payment","sagaver":1,"sagastep":1,"sagaverb":"advance","sagatarget":"azure","sagaorigin":"aws",
        "time":"2026-11-21T02:00:00Z","data":{"order_id":"o-1","reserved_amount":"129.90","currency":"EUR"}}"#;

    #[tokio::test]
    async fn a_message_is_decided_and_answered_as_the_host_expects() {
        let participant = Running::start(Mood::Works).await;
        let (status, answer) = participant.call("/saga-step", &invocation(EVENT)).await;
        let expected = serde_json::json!({ "Outputs": {}, "Logs": ["applied"], "ReturnValue": null });
        assert_eq!((status, answer), (200, expected));
        assert_eq!(*participant.fake.committed.lock().unwrap(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_kept_whole_and_acknowledged() {
        let participant = Running::start(Mood::Works).await;
        let no_text: &[u8] = b"{\"Data\":{\"event\":\"\xff\xfe\"}}";
        for body in [b"not JSON", b"{\"Data\":{}}".as_slice(), no_text] {
            assert_eq!(participant.call_with("/saga-step", body).await.0, 200, "{body:?}");
        }
        // Base64 that the host left as it is, too: what is read in it is not what lies on the queue.
        for message in ["{\"a\":1}", "eyJhIjoxfQ==", "\u{fffe}"] {
            assert_eq!(participant.call("/saga-step", &invocation(message)).await.0, 200);
        }
        assert_eq!(participant.call("/saga-step", "").await.0, 200);
        assert_eq!(
            *participant.fake.kept.lock().unwrap(),
            [
                b"not JSON",
                b"{\"Data\":{}}".as_slice(),
                no_text,
                b"{\"a\":1}",
                b"eyJhIjoxfQ==",
                "\u{fffe}".as_bytes()
            ]
        );
    }

    #[tokio::test]
    async fn a_failure_and_a_panic_are_500_and_the_next_call_is_served() {
        let participant = Running::start(Mood::Panics).await;
        let (status, answer) = participant.call("/saga-step", &invocation(EVENT)).await;
        assert_eq!((status, answer["code"].as_str()), (500, Some("panic")));
        *participant.fake.mood.lock().unwrap() = Mood::Fails;
        let (status, answer) = participant.call("/saga-step", &invocation(EVENT)).await;
        assert_eq!((status, answer["code"].as_str()), (500, Some("unavailable")));
        *participant.fake.mood.lock().unwrap() = Mood::Works;
        assert_eq!(participant.call("/saga-step", &invocation(EVENT)).await.0, 200);
        assert_eq!(
            participant
                .call("/outbox-sweep", "{\"Data\":{\"timer\":{}}}")
                .await
                .0,
            200
        );
    }

    #[tokio::test]
    async fn the_schedule_keeps_every_definition_of_the_release_once_a_process() {
        let participant = Running::start(Mood::Works).await;
        for _ in 0..3 {
            assert_eq!(participant.call("/outbox-sweep", "{}").await.0, 200);
        }
        let kept = participant.fake.definitions.lock().unwrap().clone();
        assert_eq!(kept, ["order version 1", "payment version 1"]);
    }

    #[tokio::test]
    async fn the_origin_hears_of_a_message_that_fails_for_the_last_time() {
        let participant = Running::start(Mood::Fails).await;
        let parked = || participant.fake.parked.lock().unwrap().clone();
        assert_eq!(
            participant.call("/saga-step", &nth_invocation(EVENT, 4)).await.0,
            500
        );
        assert_eq!(parked(), []);
        assert_eq!(
            participant.call("/saga-step", &nth_invocation(EVENT, 5)).await.0,
            500
        );
        let [parked] = &parked()[..] else {
            panic!("{:?}", parked())
        };
        assert!(parked.event.as_str().ends_with("advance1"), "{parked:?}");
        assert!(parked.reason.contains("no answer"), "{parked:?}");
    }

    #[test]
    fn the_last_try_is_the_hosts_last() {
        let host: serde_json::Value = serde_json::from_str(include_str!("../host.json")).unwrap();
        assert_eq!(
            host["extensions"]["queues"]["maxDequeueCount"],
            saga_step::LAST_TRY
        );
    }

    #[tokio::test]
    async fn a_body_that_no_queue_message_has_is_not_read() {
        let participant = Running::start(Mood::Works).await;
        let large = "x".repeat(MAX_BODY + 1);
        assert_eq!(participant.call("/saga-step", &large).await.0, 413);
    }
}
