//! Requests to outside services that were given up: what an operator sees of them, and what becomes of them.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_app::dead_letters::command::{Act, Filter};
use saga_app::dead_letters::{Disposition, Found, Prospect, find, list, watch};
use saga_app::ports::PortError;
use saga_app::transact::{Sagas, transact};
use saga_core::call::Undecided;
use saga_core::document::Fields;
use saga_core::origin::{Answer, Command};
use saga_core::step::Reply;
use saga_core::{SagaId, StepIndex, Timestamp};
use saga_tests::dead_letters::{Desk, all, quarantined};
use saga_tests::sagas::TRANSFER;
use saga_tests::world::{World, envelope};
use saga_wire::dead_letter::{
    DeadLetter, DeadLetterId, Destination, Forward, Received, Row, Source, azure_quarantine,
    azure_service_request, blob, listed, quarantine, row, service_request,
};
use saga_wire::definitions::parse;
use serde_json::Value;

const AT_MILLIS: i64 = 1_795_226_500_000;
const DEBIT: StepIndex = StepIndex::new(0);

fn at() -> Option<Timestamp> {
    Some(Timestamp::from_millis(AT_MILLIS))
}

/// A transfer whose request to the ledger is on its way.
async fn transfer() -> (World, SagaId) {
    let mut world = World::default();
    world.release([parse(TRANSFER).unwrap()]);
    let id = world.try_start_of("transfer", "key", r#"{"amount":"5"}"#).await;
    let id = id.unwrap();
    world.settle().await;
    (world, id)
}

/// The last request to the service of this name, such as `aws.ledger`.
fn request(world: &World, mailbox: &str) -> String {
    let mut all = world.mailboxes.iter().rev();
    let (_, event) = all.find(|(to, _)| to == mailbox).unwrap();
    event.to_string()
}

/// The request in the dead-letter queue of its service's caller.
fn fallen(service: &str, event: &str) -> DeadLetter {
    service_request(&Received {
        key: format!("{service}_{:013}-7d1c", AT_MILLIS),
        body: envelope("SagaStepActRequested", event),
        sent: at(),
        ..Received::default()
    })
}

async fn origin(world: &World, id: SagaId, command: Command<'_>) {
    let sagas = Sagas::new(&world.deployment, &world.aws, &world.clock);
    let decide = |_: &_, _: Option<&_>, _| Ok::<_, PortError>(Some(command.clone()));
    transact(&sagas, id, decide).await.unwrap().unwrap();
}

/// The ledger has debited; the bank is asked next.
async fn debited(world: &mut World, id: SagaId) {
    let answer = Answer {
        step: DEBIT,
        reply: Reply::Accepted,
        data: Fields::new(),
        asked: None,
    };
    origin(world, id, Command::Answer(answer)).await;
    world.settle().await;
}

async fn prospect(world: &World, dead_letter: &DeadLetter) -> Prospect {
    prospect_after(world, dead_letter, 0).await
}

/// What it is so many milliseconds later.
async fn prospect_after(world: &World, dead_letter: &DeadLetter, millis: i64) -> Prospect {
    let desk = Desk::new();
    desk.clock.advance(millis);
    desk.places.put(dead_letter.clone());
    match find(&desk.ports(world), &dead_letter.id).await.unwrap() {
        Found::Here(_, prospect) => prospect,
        Found::No(why) => panic!("{why}"),
    }
}

fn to(dead_letter: &DeadLetter) -> Destination {
    match &dead_letter.forward {
        Forward::Send { to, .. } => *to,
        other => panic!("nothing is sent: {other:?}"),
    }
}

#[tokio::test]
async fn a_request_names_its_service_and_goes_back_to_that_services_queue() {
    let (mut world, id) = transfer().await;
    let event = request(&world, "aws.ledger");
    let dead_letter = fallen("ledger", &event);
    let shown = listed(&dead_letter);
    for (name, wanted) in [
        ("source", "services"),
        ("cloud", "aws"),
        ("verb", "act"),
        ("service", "ledger"),
        ("saga_id", &id.to_string()),
    ] {
        assert_eq!(shown[name], wanted, "{name}: {shown}");
    }
    assert_eq!(
        (&shown["step"], &shown["unreadable"]),
        (&Value::from(0), &Value::Null)
    );
    let text = shown["id"].as_str().unwrap();
    assert_eq!(text.parse::<DeadLetterId>().unwrap(), dead_letter.id);
    assert!(text.starts_with("services.ledger_"), "{text}");
    assert_eq!(to(&dead_letter), Destination::ServiceQueue);
    // The queue says which service it is, whatever the name and the message.
    for name in ["a_b", "a-b", "A1"] {
        assert_eq!(fallen(name, &event).service(), Some(name));
        assert_eq!(fallen(name, "what?").service(), Some(name));
    }

    let desk = Desk::new();
    desk.places.put(dead_letter.clone());
    let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert_eq!((page.dead_letters.len(), page.notices.len()), (1, 0));
    let report = watch(&desk.ports(&world), &world.aws, &desk.places).await;
    assert_eq!((report.new, report.failed), (1, 0));
    let alert = world.aws.alerts().pop().unwrap();
    assert!(alert.text.contains("list --source services"), "{}", alert.text);
    assert!(world.saga(id).parked[0].reason.contains("lies in services"));

    world.mailboxes.clear();
    let report = desk.run(&world, &all(Act::Replay)).await;
    assert_eq!((report.done, report.failed), (1, 0), "{report:?}");
    desk.bring(&mut world);
    assert_eq!(request(&world, "aws.ledger"), event);
    assert!(desk.places.stored().is_empty() && world.saga(id).parked.is_empty());

    desk.places.put(dead_letter.clone());
    let report = desk.run(&world, &all(Act::Discard)).await;
    assert_eq!((report.done, desk.places.archived().len()), (1, 1));
}

#[tokio::test]
async fn the_forecast_of_a_request_is_what_the_record_asks_for() {
    let (world, id) = transfer().await;
    let dead_letter = fallen("ledger", &request(&world, "aws.ledger"));
    let says_after = async |world: &World, millis: i64, disposition: Disposition, text: &str| {
        let prospect = prospect_after(world, &dead_letter, millis).await;
        assert_eq!(prospect.disposition, disposition, "{prospect:?}");
        assert!(prospect.text.contains(text), "{prospect:?}");
    };
    let says = async |world: &World, disposition: Disposition, text: &str| {
        says_after(world, 0, disposition, text).await;
    };
    says(&world, Disposition::Tried, "step `debit` still asks for it").await;

    // A request that comes before its time is not sent; one that is far too early is put back.
    for (millis, disposition, text) in [
        (60_000, Disposition::Ignored, "a request of its own comes then"),
        (3_600_000, Disposition::Tried, "would wait on its queue"),
    ] {
        let attempt = Undecided {
            verb: None,
            alerted: false,
            paused: false,
            why: "it answered 500".to_owned(),
            hold: false,
            next: Some(Desk::new().later(millis)),
        };
        origin(&world, id, Command::Undecided { step: DEBIT, attempt }).await;
        says(&world, disposition, text).await;
        says_after(&world, millis, Disposition::Tried, "still asks for it").await;
    }
    says_after(
        &world,
        2 * 86_400_000,
        Disposition::Tried,
        "would not call the service",
    )
    .await;

    let (mut world, id) = transfer().await;
    debited(&mut world, id).await;
    says(&world, Disposition::Ignored, "does not ask for it any more").await;
    // A saga that is gone, or that this version cannot read.
    let nothing_known = World::default();
    says(&nothing_known, Disposition::Left, "would be quarantined again").await;
    let mut known = World::default();
    known.release([parse(TRANSFER).unwrap()]);
    says(&known, Disposition::Tried, "is unknown").await;
}

#[tokio::test]
async fn of_a_request_on_azure_the_forecast_says_that_it_is_unknown() {
    let (mut world, id) = transfer().await;
    debited(&mut world, id).await;
    let event = request(&world, "azure.bank");
    let in_a_blob = blob(
        "TO-AZURE-SERVICES/2026/11/21/2/1.json",
        &format!("[{event}]"),
        at(),
    );
    for dead_letter in [
        azure_service_request("1795226500000-1", &STANDARD.encode(&event), at()),
        in_a_blob[0].dead_letter.clone(),
    ] {
        assert_eq!(to(&dead_letter), Destination::AzureServiceQueue);
        assert_eq!(dead_letter.service(), Some("bank"));
        let prospect = prospect(&world, &dead_letter).await;
        assert_eq!(prospect.disposition, Disposition::Tried);
        assert!(prospect.text.contains("is unknown here"), "{prospect:?}");
    }
    let dead_letter = azure_service_request("1", &STANDARD.encode(&event), at());
    let shown = listed(&dead_letter);
    assert_eq!(
        (&shown["source"], &shown["cloud"]),
        (&"azure-services".into(), &"azure".into())
    );
    assert_eq!((dead_letter.attempts, &shown["step"]), (Some(5), &2.into()));
    // The other subscription's events go to the topic, as before.
    let other = blob(
        "TO-AZURE-PARTICIPANT/2026/11/21/2/1.json",
        &format!("[{event}]"),
        at(),
    );
    assert_eq!(to(&other[0].dead_letter), Destination::Topic);
}

#[tokio::test]
async fn what_is_no_request_does_not_come_in_on_a_queue_of_requests() {
    let (mut world, id) = transfer().await;
    let ledger = request(&world, "aws.ledger");
    debited(&mut world, id).await;
    let bank = request(&world, "azure.bank");
    let poison = saga_wire::dead_letter::poison("1", &STANDARD.encode(&bank), None);
    let queued = saga_wire::dead_letter::events(&Received {
        key: "1".to_owned(),
        body: envelope("SagaStepActRequested", &ledger),
        ..Received::default()
    });
    for dead_letter in [
        fallen("ledger", &bank),
        azure_service_request("1", &STANDARD.encode(&ledger), None),
        fallen("ledger", r#"{"id":"1"}"#),
        poison,
        queued,
    ] {
        let prospect = prospect(&world, &dead_letter).await;
        assert_eq!(prospect.disposition, Disposition::Left, "{prospect:?}");
        assert!(
            prospect.text.contains("would be quarantined again"),
            "{prospect:?}"
        );
    }
}

#[tokio::test]
async fn a_request_that_its_caller_quarantined_goes_back_to_its_queue() {
    let (mut world, id) = transfer().await;
    let body = envelope("SagaStepActRequested", &request(&world, "aws.ledger"));
    let kept = quarantined("service-caller", body.as_bytes(), 9_000).remove(0);
    let dead_letter = quarantine(&Received {
        key: "1".to_owned(),
        body: kept,
        ..Received::default()
    });
    assert_eq!(
        (to(&dead_letter), dead_letter.service()),
        (Destination::ServiceQueue, Some("ledger"))
    );
    assert_eq!(
        prospect(&world, &dead_letter).await.disposition,
        Disposition::Tried
    );
    debited(&mut world, id).await;
    let bank = request(&world, "azure.bank");
    let kept = quarantined("service-caller", bank.as_bytes(), 9_000).remove(0);
    let dead_letter = azure_quarantine("1", &STANDARD.encode(kept), None);
    assert_eq!(to(&dead_letter), Destination::AzureServiceQueue);
}

#[tokio::test]
async fn a_dead_row_of_a_request_is_forecast_like_the_request() {
    let (mut world, id) = transfer().await;
    let dead = |world: &World| Row {
        key: "1".to_owned(),
        body: Some(request(world, "aws.ledger")),
        ..Row::default()
    };
    let dead_letter = row(Source::Outbox, dead(&world));
    assert!(
        prospect(&world, &dead_letter)
            .await
            .text
            .contains("still asks for it")
    );
    debited(&mut world, id).await;
    let after = prospect(&world, &dead_letter).await;
    assert_eq!(after.disposition, Disposition::Ignored);
}

/// A deployment without outside services misses nothing; whoever asks for them is told.
#[tokio::test]
async fn a_source_that_is_not_configured_is_absent() {
    let (world, mut desk) = (World::default(), Desk::new());
    let is_of_services = |source: Source| matches!(source, Source::Services | Source::AzureServices);
    desk.sources.retain(|source| !is_of_services(source.source()));
    let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert_eq!((page.sources.len(), page.notices.len()), (9, 0));
    for source in [Source::Services, Source::AzureServices] {
        let only = Filter {
            source: Some(source),
            ..Filter::default()
        };
        let page = list(&desk.ports(&world), &only, None, 10).await;
        assert!(
            page.notices[0].problem.contains("calls no outside service"),
            "{page:?}"
        );
        let id = DeadLetterId {
            source,
            key: "1".to_owned(),
        };
        let found = find(&desk.ports(&world), &id).await.unwrap();
        assert!(matches!(found, Found::No(why) if why.contains("calls no outside service")));
    }
    // Without Azure, its sources are not there for one reason.
    desk.sources
        .retain(|source| source.source() < Source::AzureOutbox);
    let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert_eq!(page.notices.len(), 5);
    assert!(page.notices.iter().all(|notice| notice.problem == "not set up"));
}
