//! What an operator sees of dead letters, and what becomes of them.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_app::dead_letters::command::{Act, Command, Filter, Selection};
use saga_app::dead_letters::ports::Memory;
use saga_app::dead_letters::{Disposition, Found, find, list, watch};
use saga_app::ports::Time;
use saga_core::lifecycle::Phase;
use saga_core::mark::{Asked, Caller, ParkedMessage};
use saga_core::origin;
use saga_core::{EventId, Outcome, Saga, SagaId, Status};
use saga_memory::{DeadLetters, Fault, OriginCloud, StepCloud};
use saga_tests::contract::given;
use saga_tests::dead_letters::{Desk, all, dead, event_in, quarantined};
use saga_tests::world::{Message, Place, World, switch};
use saga_wire::dead_letter::{
    DeadLetter, DeadLetterId, Forward, Received, Source, azure_quarantine, events, quarantine,
};

/// A saga whose event to Azure fell into the poison queue.
async fn poisoned(world: &mut World, desk: &Desk) -> (SagaId, DeadLetter) {
    let saga = world.start("100").await;
    world.publish().await;
    let dead_letter = dead(&world.on_the_way.pop().unwrap(), 0, 1);
    desk.places.put(dead_letter.clone());
    (saga, dead_letter)
}

/// Whether a call asks a source for dead letters.
fn is_read(call: &str) -> bool {
    [
        "DeadLetterQueue::lease",
        "DeadLetterContainer::pages",
        "DeadLetterContainer::find",
    ]
    .contains(&call)
}

/// A desk at which another operator does something at the first call of this name.
fn interrupted(at: &'static str, other: impl Fn(&DeadLetters) + Send + Sync + 'static) -> Desk {
    let places: Arc<OnceLock<DeadLetters>> = Arc::default();
    let desk = Desk::with(|clock| {
        let (places, came) = (Arc::clone(&places), AtomicBool::new(false));
        DeadLetters::new(clock, move |call: &'static str| {
            if call == at && !came.swap(true, Ordering::SeqCst) {
                other(places.get().unwrap());
            }
            Fault::None
        })
    });
    places
        .set(desk.places.clone())
        .unwrap_or_else(|_| panic!("set once"));
    desk
}

fn only(dead_letter: &DeadLetter, act: Act) -> Command {
    Command {
        selection: Selection::Ids(vec![dead_letter.id.clone()]),
        ..all(act)
    }
}

#[tokio::test]
async fn a_list_consumes_nothing_and_names_the_saga() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, dead_letter) = poisoned(&mut world, &desk).await;
    for _ in 0..3 {
        let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
        let [listed] = &page.dead_letters[..] else {
            panic!("{page:?}");
        };
        assert_eq!(listed.id.source, Source::Poison);
        assert_eq!(listed.facts.saga, Some(saga));
        assert_eq!(listed.facts.kind.as_deref(), Some("PaymentReserved"));
        assert_eq!((&page.next, page.notices.len()), (&None, 0));
    }
    let found = find(&desk.ports(&world), &dead_letter.id).await.unwrap();
    assert!(matches!(found, Found::Here(_, prospect) if prospect.disposition == Disposition::Tried));
    assert_eq!(desk.places.stored().len(), 1);
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_says_what_would_happen() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, dead_letter) = poisoned(&mut world, &desk).await;
    let dry = Command {
        confirm: false,
        ..only(&dead_letter, Act::Replay)
    };
    let before = world.saga(saga);
    let report = desk.run(&world, &dry).await;
    assert_eq!(
        report.items[0].text,
        "would be tried again: saga is PENDING_AZURE_CONFIRMATION"
    );
    assert!(
        report.dry_run
            && report.items[0].disposition.as_str() == "tried"
            && desk.places.take_sent().is_empty()
    );
    assert_eq!((world.saga(saga), desk.places.stored().len()), (before, 1));
    // The sweeper was faster: the saga is complete, and the dead letter of no use.
    world.heal(saga).await;
    let report = desk.run(&world, &dry).await;
    assert_eq!(
        (
            report.items[0].disposition.as_str(),
            report.items[0].text.as_str()
        ),
        ("ignored", "would be ignored: saga is COMPLETED")
    );
}

#[tokio::test]
async fn a_replay_moves_the_saga_on_and_is_in_its_timeline() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, dead_letter) = poisoned(&mut world, &desk).await;
    let report = desk.run(&world, &only(&dead_letter, Act::Replay)).await;
    assert_eq!(
        (report.done, report.failed, report.items[0].disposition.as_str()),
        (1, 0, "replayed")
    );
    assert!(desk.places.stored().is_empty());
    desk.bring(&mut world);
    world.settle().await;
    assert_eq!(world.status(saga), Status::Completed);
    let timeline = world.saga(saga).timeline;
    let line = timeline
        .entries
        .iter()
        .find(|line| line.verb == "replay")
        .unwrap();
    let note = line.note.as_deref().unwrap();
    assert!(
        note.contains("the operator") && note.contains("the cause is gone"),
        "{note}"
    );
    assert!(note.ends_with("(PaymentReserved, from poison)"), "{note}");
    world.check(&[saga]);
}

#[tokio::test]
async fn dead_letters_of_one_saga_in_one_millisecond_have_lines_of_their_own() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, _) = poisoned(&mut world, &desk).await;
    world.heal(saga).await;
    let body = desk.places.stored()[0].facts.text.clone();
    for number in 2..5_u8 {
        desk.places.put(events(&Received {
            key: format!("k{number}"),
            body: body.replace("\"sagatarget\":\"azure\"", "\"sagatarget\":\"aws\""),
            ..Received::default()
        }));
    }
    // They are addressed wrongly, and so can only be discarded.
    let report = desk.run(&world, &all(Act::Replay)).await;
    assert_eq!((report.done, report.left), (1, 3));
    let report = desk.run(&world, &all(Act::Discard)).await;
    assert_eq!((report.done, desk.places.archived().len()), (3, 3));
    assert_eq!(
        desk.places.archived()[0].facts.text,
        body.replace("\"azure\",\"sagaorigin", "\"aws\",\"sagaorigin")
    );
    let lines = world.saga(saga).timeline.entries;
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.verb == "discard" && line.times == 1)
            .count(),
        3
    );
}

/// A blob's name is longer than an event's id may be.
#[tokio::test]
async fn dead_letters_with_long_names_have_lines_of_their_own_whose_ids_are_read_again() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, dead_letter) = poisoned(&mut world, &desk).await;
    desk.places.clear();
    for middle in ["first", "second"] {
        let mut long = dead_letter.clone();
        long.id = DeadLetterId {
            source: Source::EventGrid,
            key: format!("{}{middle}{}", "a".repeat(600), "z".repeat(100)),
        };
        desk.places.put(long);
    }
    assert_eq!(desk.run(&world, &all(Act::Discard)).await.done, 2);
    let lines = world.saga(saga).timeline.entries;
    let ids: Vec<&str> = lines
        .iter()
        .filter(|line| line.verb == "discard" && line.times == 1)
        .map(|line| line.event.as_str())
        .collect();
    assert_eq!(ids.len(), 2, "{lines:?}");
    for id in ids {
        assert!(id.parse::<EventId>().is_ok(), "{id}");
    }
}

#[tokio::test]
async fn what_would_be_quarantined_again_is_left() {
    let (world, desk) = (World::default(), Desk::new());
    let kept = |body: &str| {
        let json = quarantined("saga-events", body.as_bytes(), 9_000).remove(0);
        quarantine(&Received {
            key: format!("k{}", body.len()),
            body: json,
            ..Received::default()
        })
    };
    desk.places.put(kept("not JSON"));
    desk.places.put(kept(&format!(
        r#"{{"specversion":"1.0","id":"1","source":"s","type":"PaymentCompensationRequested","data":{{"saga_id":"{}"}}}}"#,
        "4a3c1d70-9f52-8b11-a0de-5b1e0c7f2d93"
    )));
    let report = desk.run(&world, &all(Act::Replay)).await;
    assert_eq!((report.done, report.left, report.ended.as_str()), (0, 2, "done"));
    let texts: Vec<&str> = report.items.iter().map(|item| item.text.as_str()).collect();
    assert!(
        texts
            .iter()
            .all(|text| text.starts_with("would be quarantined again: ")),
        "{texts:?}"
    );
    assert!(
        texts
            .iter()
            .any(|text| text.contains("there is no saga 4a3c1d70")),
        "{texts:?}"
    );
    // Nothing was sent, and everything is there, not hidden.
    assert!(desk.places.take_sent().is_empty());
    let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert_eq!(page.dead_letters.len(), 2);
}

/// A dead letter of the quarantine that this entrance kept.
fn kept_at(entrance: &'static str, key: &str, body: &str) -> DeadLetter {
    let body = quarantined(entrance, body.as_bytes(), 9_000).remove(0);
    if entrance == "azure-participant" {
        return azure_quarantine(key, &STANDARD.encode(body), None);
    }
    quarantine(&Received {
        key: key.to_owned(),
        body,
        ..Received::default()
    })
}

/// What an entrance kept is sent past it, or to it once more; where it does not belong it must not come in that way either.
#[tokio::test]
async fn what_may_not_come_in_from_outside_is_not_replayed_either() {
    let (mut world, desk) = (World::default(), Desk::new());
    let body = r#"{"order_id":"order-1","amount":"129.90","currency":"EUR","destination":"DE","items":[{"sku":"sku-1","quantity":1}]}"#;
    let saga = world.try_start_of("order", "key", body).await.unwrap();
    // From AWS to Azure, from Azure to itself, from Azure to AWS.
    let mut events = Vec::new();
    for _ in 0..3 {
        world.publish().await;
        events.push(event_in(&world.on_the_way[0]));
        world.deliver_at(0).await;
    }
    let outcomes = async |entrance: &'static str, dead_letters: &[(&str, &str)]| {
        desk.places.clear();
        for (key, body) in dead_letters {
            desk.places.put(kept_at(entrance, key, body));
        }
        let report = desk.run(&world, &all(Act::Replay)).await;
        let lines = report.items.iter().map(|item| {
            let key = item.id.key.clone();
            (key, item.disposition.as_str())
        });
        let lines: BTreeMap<String, &str> = lines.collect();
        dead_letters
            .iter()
            .map(|(key, _)| lines[*key])
            .collect::<Vec<_>>()
    };
    let ours: Vec<(&str, &str)> = ["0", "1", "2"]
        .into_iter()
        .zip(events.iter().map(String::as_str))
        .collect();
    for (entrance, expected) in [
        ("event-ingress", ["left", "left", "replayed"]),
        ("saga-events", ["left", "left", "replayed"]),
        ("azure-participant", ["replayed", "replayed", "left"]),
    ] {
        assert_eq!(outcomes(entrance, &ours).await, expected, "{entrance}");
    }
    // Another team's: who may compensate, and may not say that a step is done.
    let theirs = ["PaymentCompensationRequested", "ReceiptStored"].map(|kind| {
        format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"{kind}","data":{{"saga_id":"{saga}"}}}}"#
        )
    });
    let theirs = [("3", theirs[0].as_str()), ("4", theirs[1].as_str())];
    assert_eq!(outcomes("event-ingress", &theirs).await, ["replayed", "left"]);
    assert_eq!(outcomes("azure-participant", &theirs).await, ["left", "left"]);
}

#[tokio::test]
async fn unknown_ids_and_dead_letters_that_others_hold_are_named() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    desk.places.hide(Source::Poison, 60);
    let gone = DeadLetterId {
        source: Source::Events,
        key: "1-2".to_owned(),
    };
    let ids = Command {
        selection: Selection::Ids(vec![dead_letter.id.clone(), gone.clone()]),
        ..all(Act::Replay)
    };
    let report = desk.run(&world, &ids).await;
    assert_eq!((report.done, report.failed), (0, 2));
    let text = |id: &DeadLetterId| {
        let item = report.items.iter().find(|item| item.id == *id).unwrap();
        assert_eq!(item.disposition.as_str(), "unknown");
        item.text.as_str()
    };
    assert_eq!(
        text(&dead_letter.id),
        "it is not there, or not now: see the notices"
    );
    assert!(text(&gone).starts_with("there is no such dead letter"));
    assert!(
        report
            .notices
            .iter()
            .any(|notice| notice.source == Source::Poison && notice.problem.contains("somebody else"))
    );
    let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert!(page.dead_letters.is_empty() && page.notices[0].problem.contains("held by somebody else"));
    assert!(
        matches!(find(&desk.ports(&world), &gone).await.unwrap(), Found::No(why) if why.contains("no dead letter"))
    );
    // They come back by themselves.
    desk.clock.advance(61_000);
    assert_eq!(desk.run(&world, &only(&dead_letter, Act::Replay)).await.done, 1);
}

#[tokio::test]
async fn dead_letters_that_the_watch_holds_for_a_moment_are_waited_for() {
    let (mut world, desk) = (World::default(), Desk::new());
    poisoned(&mut world, &desk).await;
    desk.places.hide(Source::Poison, 5);
    let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert_eq!((page.dead_letters.len(), page.notices.len()), (1, 0), "{page:?}");
    // Only while somebody holds them.
    let begun = desk.clock.now();
    list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert_eq!(desk.clock.now(), begun);
    // Not for ever.
    desk.places.hide(Source::Poison, 60);
    list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert_eq!(desk.clock.now(), begun.plus_millis(10_000));
    desk.places.hide(Source::Poison, 5);
    let report = desk.run(&world, &all(Act::Replay)).await;
    assert_eq!((report.done, report.notices.len()), (1, 0), "{report:?}");
}

/// Of two runs that hold what the other waits for, one has to give up first, and neither at once.
#[tokio::test]
async fn runs_that_wait_for_each_other_give_up_one_after_the_other_and_not_before_ten_seconds() {
    let (mut world, desk) = (World::default(), Desk::new());
    poisoned(&mut world, &desk).await;
    let mut waited = std::collections::BTreeSet::new();
    for _ in 0..20 {
        desk.places.hide(Source::Poison, 60);
        let begun = desk.clock.now();
        let report = desk.run(&world, &all(Act::Replay)).await;
        assert_eq!((report.done, report.notices.len()), (0, 1), "{report:?}");
        waited.insert(desk.clock.now().millis() - begun.millis());
    }
    assert!(
        waited.iter().all(|millis| (10_000..=20_000).contains(millis)),
        "{waited:?}"
    );
    assert!(waited.len() > 5, "{waited:?}");
}

#[tokio::test]
async fn the_watch_comes_later_while_an_operator_works_and_not_never() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    desk.places.hide(Source::Poison, 5);
    let report = watch(&desk.ports(&world), &world.aws, &desk.places).await;
    assert_eq!((report.new, report.failed), (1, 0));
    let mut more = dead_letter;
    more.id.key = "more".to_owned();
    desk.places.put(more);
    desk.places.hide(Source::Poison, 60);
    let report = watch(&desk.ports(&world), &world.aws, &desk.places).await;
    assert_eq!((report.new, report.failed), (0, 0));
    desk.clock.advance(60_000);
    let report = watch(&desk.ports(&world), &world.aws, &desk.places).await;
    assert_eq!((report.new, report.failed), (1, 0));
}

#[tokio::test]
async fn a_run_waits_at_its_end_too_for_what_came_to_be_held_meanwhile() {
    let (mut world, desk) = (
        World::default(),
        interrupted("DeadLetterQueue::remove", |places| places.hide(Source::Events, 4)),
    );
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    desk.places.clear();
    for number in 0..40_u8 {
        let mut more = dead_letter.clone();
        more.id.source = Source::Events;
        more.id.key = format!("more-{number:02}");
        desk.places.put(more);
    }
    let begun = desk.clock.now();
    let report = desk.run(&world, &all(Act::Discard)).await;
    assert_eq!(report.done, 40, "those that were taken came again");
    assert!(report.notices.is_empty(), "{:?}", report.notices);
    assert!(desk.clock.now().millis() - begun.millis() >= 4_000);
}

#[tokio::test]
async fn a_source_that_cannot_be_counted_is_named_and_keeps_its_dead_letters() {
    let (broken, choose) = switch("DeadLetterQueue::depth", true);
    let (mut world, desk) = (
        World::default(),
        Desk::with(|clock| DeadLetters::new(clock, choose)),
    );
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert!(page.notices.iter().any(|notice| notice.source == Source::Poison));
    let report = desk.run(&world, &all(Act::Replay)).await;
    assert_eq!((report.done, report.failed), (0, 0));
    assert!(
        report
            .notices
            .iter()
            .any(|notice| notice.source == Source::Poison)
    );
    // One that was asked for has a line of its own: nothing is known of it, not even that it is gone.
    let report = desk.run(&world, &only(&dead_letter, Act::Replay)).await;
    assert_eq!((report.done, report.failed, report.items.len()), (0, 1, 1));
    assert_eq!(report.items[0].disposition.as_str(), "failed");
    assert!(
        report.items[0].text.starts_with("its source could not be read"),
        "{report:?}"
    );
    broken.store(false, Ordering::SeqCst);
    assert_eq!(desk.run(&world, &only(&dead_letter, Act::Replay)).await.done, 1);
}

#[tokio::test]
async fn a_dead_letter_that_another_operator_takes_meanwhile_is_not_lost() {
    // The other operator's receipt is the newer one: he comes when the lease of the first has ended, between the
    // sending and the removal.
    let take = |places: &DeadLetters| places.hide(Source::Poison, 60);
    let (mut world, desk) = (World::default(), interrupted("Outlet::send", take));
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    let report = desk.run(&world, &only(&dead_letter, Act::Replay)).await;
    assert_eq!(
        (report.done, report.left, report.items[0].disposition.as_str()),
        (0, 1, "taken")
    );
    let text = &report.items[0].text;
    assert!(
        text.starts_with("sent to the ") && text.contains("but meanwhile another operator took it"),
        "{text}"
    );
    assert_eq!(desk.places.stored().len(), 1);
}

/// A dead row is made pending in one step, so whoever comes second has done nothing at all.
#[tokio::test]
async fn of_a_row_that_another_operator_takes_it_is_said_what_was_done() {
    for (act, at, said) in [
        (Act::Replay, "DeadOutbox::requeue", "nothing was done"),
        (
            Act::Discard,
            "DeadLetterContainer::remove",
            "archived, but meanwhile",
        ),
    ] {
        let (mut world, desk) = (World::default(), interrupted(at, DeadLetters::clear));
        world.start("100").await;
        world.publish().await;
        desk.places.put(dead(&world.on_the_way.pop().unwrap(), 2, 1));
        let report = desk.run(&world, &all(act)).await;
        assert_eq!((report.done, report.left, report.failed), (0, 1, 0), "{act:?}");
        let item = &report.items[0];
        assert!(
            item.disposition.as_str() == "taken" && item.text.contains(said),
            "{item:?}"
        );
        assert!(desk.places.take_requeued().is_empty());
    }
}

#[tokio::test]
async fn a_dead_letter_whose_saga_cannot_be_written_stays() {
    let (broken, choose) = switch("SagaStore::commit", false);
    let (mut world, desk) = (
        World::new(OriginCloud::with_faults(choose), StepCloud::new()),
        Desk::new(),
    );
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    broken.store(true, Ordering::SeqCst);
    for act in [Act::Replay, Act::Discard] {
        let report = desk.run(&world, &only(&dead_letter, act)).await;
        assert_eq!((report.done, report.failed), (0, 1), "{report:?}");
        assert!(
            report.items[0].text.contains("the dead letter stays"),
            "{report:?}"
        );
        assert_eq!(desk.places.stored().len(), 1);
    }
    broken.store(false, Ordering::SeqCst);
    assert_eq!(desk.run(&world, &only(&dead_letter, Act::Discard)).await.done, 1);
}

#[tokio::test]
async fn a_receiver_that_refuses_stops_the_run_and_takes_nothing() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    for number in 0..9_u8 {
        let mut more = dead_letter.clone();
        more.id.key = format!("more-{number}");
        desk.places.put(more);
    }
    desk.places.refuse(true);
    let mut command = all(Act::Replay);
    command.bounds.stop_after = 3;
    let report = desk.run(&world, &command).await;
    assert_eq!(
        (report.done, report.ended.as_str(), report.ended.is_resumable()),
        (0, "failures", true)
    );
    assert!(
        report.items[0]
            .text
            .contains("refuses it: it refuses everything; it stays"),
        "{report:?}"
    );
    assert_eq!(desk.places.stored().len(), 10);
    desk.places.refuse(false);
    assert_eq!(desk.run(&world, &command).await.done, 10);
}

#[tokio::test]
async fn failures_within_the_bounds_end_no_run() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    for number in 0..9_u8 {
        let mut more = dead_letter.clone();
        more.id.key = format!("more-{number}");
        desk.places.put(more);
    }
    desk.places.refuse(true);
    let report = desk.run(&world, &all(Act::Replay)).await;
    assert_eq!(
        (
            report.done,
            report.failed,
            report.ended.as_str(),
            report.ended.is_resumable()
        ),
        (0, 10, "done", false)
    );
}

#[tokio::test]
async fn a_filter_takes_what_is_all_that_it_says() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, dead_letter) = poisoned(&mut world, &desk).await;
    let other = world.start("100").await;
    let filter = Filter {
        source: Some(Source::Poison),
        saga: Some(saga),
        kind: Some("PaymentReserved".to_owned()),
        reason: Some(dead_letter.reason.to_uppercase()),
        since: Some(dead_letter.arrived()),
    };
    assert!(Filter::default().takes(&dead_letter) && filter.takes(&dead_letter));
    let since = |millis| Filter {
        since: Some(dead_letter.arrived().plus_millis(millis)),
        ..filter.clone()
    };
    assert!(since(-1).takes(&dead_letter) && !since(1).takes(&dead_letter));
    for other in [
        Filter {
            source: Some(Source::Events),
            ..filter.clone()
        },
        Filter {
            saga: Some(other),
            ..filter.clone()
        },
        Filter {
            kind: Some("Another".to_owned()),
            ..filter.clone()
        },
        Filter {
            reason: Some("another".to_owned()),
            ..filter.clone()
        },
    ] {
        assert!(!other.takes(&dead_letter), "{other:?}");
    }
}

/// Azure's step may still have to act for a saga whose record has expired at the origin.
#[tokio::test]
async fn a_dead_letter_for_azure_is_tried_also_when_its_saga_is_not_known() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, dead_letter) = poisoned(&mut world, &desk).await;
    let elsewhere = World::default();
    let dry = Command {
        confirm: false,
        ..only(&dead_letter, Act::Replay)
    };
    let report = desk.run(&elsewhere, &dry).await;
    assert_eq!(report.items[0].disposition.as_str(), "tried", "{report:?}");
    assert!(report.items[0].text.contains("the saga is not known here"));
    // The origin would find nothing to do for it.
    desk.places.clear();
    world
        .deliver(&Message {
            to: Place::AzureQueue,
            kind: dead_letter.facts.kind.clone().unwrap(),
            body: STANDARD.encode(&dead_letter.facts.text),
        })
        .await
        .unwrap();
    let answer = world.on_the_way.pop().unwrap();
    desk.places.put(dead(&answer, 0, 2));
    let report = desk.run(&elsewhere, &all(Act::Replay)).await;
    assert_eq!((report.done, report.left), (0, 1));
    assert!(
        report.items[0].text.contains(&format!("there is no saga {saga}")),
        "{report:?}"
    );
}

#[tokio::test]
async fn pages_go_through_one_source_after_the_other_and_one_dead_letter_is_found_without_all_others() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let desk = Desk::with(|clock| {
        DeadLetters::new(clock, move |call: &'static str| {
            counted.fetch_add(usize::from(is_read(call)), Ordering::SeqCst);
            Fault::None
        })
    });
    let mut world = World::default();
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    desk.places.clear();
    for source in [Source::Events, Source::Outbox, Source::EventGrid] {
        for number in 10..35_u8 {
            let mut more = dead_letter.clone();
            more.id = DeadLetterId {
                source,
                key: format!("more-{number}"),
            };
            desk.places.put(more);
        }
    }
    let all: Vec<String> = desk
        .places
        .stored()
        .iter()
        .map(|one| one.id.to_string())
        .collect();
    for limit in [1, 7, 25, 100] {
        let (mut seen, mut cursor) = (Vec::new(), None::<DeadLetterId>);
        loop {
            assert!(seen.len() <= all.len(), "pages without end");
            let page = list(&desk.ports(&world), &Filter::default(), cursor.as_ref(), limit).await;
            assert!(page.dead_letters.len() <= limit);
            assert!(page.notices.is_empty(), "{:?}", page.notices);
            seen.extend(page.dead_letters.iter().map(|one| one.id.to_string()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all, "pages of {limit}");
    }
    asked.store(0, Ordering::SeqCst);
    let id = DeadLetterId {
        source: Source::EventGrid,
        key: "more-34".to_owned(),
    };
    assert!(matches!(
        find(&desk.ports(&world), &id).await.unwrap(),
        Found::Here(..)
    ));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let gone = DeadLetterId {
        source: Source::EventGrid,
        key: "gone".to_owned(),
    };
    let found = find(&desk.ports(&world), &gone).await.unwrap();
    assert!(
        matches!(&found, Found::No(why) if why.contains("there is no dead letter event-grid.gone")),
        "{found:?}"
    );
}

/// A source is a store or a queue of a cloud, where each request costs time and money.
#[tokio::test]
async fn no_more_is_read_of_a_source_than_what_is_asked_for() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let desk = Desk::with(|clock| {
        DeadLetters::new(clock, move |call: &'static str| {
            counted.fetch_add(usize::from(is_read(call)), Ordering::SeqCst);
            Fault::None
        })
    });
    let mut world = World::default();
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    desk.places.clear();
    let put = |source, number: i64, minutes: i64| {
        let mut more = dead_letter.clone();
        more.id = DeadLetterId {
            source,
            key: format!("more-{number}"),
        };
        more.last = more.last.map(|at| at.plus_millis(minutes * 60_000));
        desk.places.put(more);
    };
    for source in [Source::Poison, Source::EventGrid] {
        (100..160).for_each(|number| put(source, number, 0));
    }
    let asked_by = async |command: &Command| {
        asked.store(0, Ordering::SeqCst);
        let report = desk.run(&world, command).await;
        (report.done, report.failed, asked.load(Ordering::SeqCst))
    };
    // Looked up where that can be; in a queue, until it was seen.
    for (source, number) in [
        (Source::EventGrid, 159),
        (Source::EventGrid, 101),
        (Source::Poison, 103),
    ] {
        let id = DeadLetterId {
            source,
            key: format!("more-{number}"),
        };
        let one = Command {
            selection: Selection::Ids(vec![id]),
            ..all(Act::Discard)
        };
        assert_eq!(asked_by(&one).await, (1, 0, 1), "{source} {number}");
    }
    // As many as one run may take.
    for source in [Source::Poison, Source::EventGrid] {
        let filter = Filter {
            source: Some(source),
            ..Filter::default()
        };
        let mut few = Command {
            selection: Selection::All(filter),
            ..all(Act::Discard)
        };
        few.bounds.limit = 5;
        assert_eq!(asked_by(&few).await, (5, 0, 1), "{source}");
    }
    // What came since, where that can be told.
    put(Source::EventGrid, 200, 60);
    let late = Filter {
        source: Some(Source::EventGrid),
        since: Some(dead_letter.arrived().plus_millis(1)),
        ..Filter::default()
    };
    let since = Command {
        selection: Selection::All(late),
        ..all(Act::Discard)
    };
    assert_eq!(asked_by(&since).await, (1, 0, 2));
    // The watch, every minute: what it has not told.
    put(Source::EventGrid, 201, 60);
    desk.places.hide(Source::Poison, 0);
    watch(&desk.ports(&world), &world.aws, &desk.places).await;
    put(Source::EventGrid, 202, 61);
    asked.store(0, Ordering::SeqCst);
    let report = watch(&desk.ports(&world), &world.aws, &desk.places).await;
    assert_eq!((report.new, report.failed), (1, 0));
    let of_the_queue = desk
        .places
        .stored()
        .iter()
        .filter(|one| one.id.source == Source::Poison)
        .count()
        .div_ceil(10)
        + 1;
    // A page of what is new and the end; of each outbox, that it is empty.
    assert_eq!(asked.load(Ordering::SeqCst), of_the_queue + 4);
}

#[tokio::test]
async fn what_came_to_rest_since_the_look_stays_parked() {
    let mut world = World::default();
    let (saga, _) = poisoned(&mut world, &Desk::new()).await;
    let looked = world.clock.now();
    let parked = |at| ParkedMessage::new("an event".parse().unwrap(), at, "it failed");
    let mut saga = world.saga(saga);
    saga.parked = [-1, 0, 1]
        .map(|millis| parked(looked.plus_millis(millis)))
        .to_vec();
    let caller = Caller::new("arn:aws:iam::1:user/o").unwrap();
    let asked = Asked {
        by: "o",
        caller: Some(&caller),
        why: "nothing is left",
    };
    let unpark = origin::Command::Unpark { looked, asked };
    let unparked = |saga: &Saga| given::decided(saga, looked, &unpark);
    let done = unparked(&saga).unwrap();
    assert_eq!(done.saga.parked, [parked(looked.plus_millis(1))]);
    let line = done.saga.timeline.entries.last().unwrap();
    assert_eq!(
        (line.outcome, line.caller.as_ref()),
        (Outcome::Noted, Some(&caller))
    );
    assert!(unparked(&done.saga).is_none());
}

#[tokio::test]
async fn a_run_goes_as_far_as_it_is_asked_to() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    for number in 10..40_u8 {
        for source in [Source::Poison, Source::Events] {
            let mut more = dead_letter.clone();
            more.id = DeadLetterId {
                source,
                key: format!("more-{number}"),
            };
            desk.places.put(more);
        }
    }
    // A dry run, too, looks at no more than it is allowed.
    let mut few = Command {
        confirm: false,
        ..all(Act::Replay)
    };
    few.bounds.limit = 7;
    let report = desk.run(&world, &few).await;
    assert_eq!(
        (
            report.done,
            report.items.len(),
            report.ended.as_str(),
            report.ended.is_resumable()
        ),
        (7, 7, "limit", true)
    );
    // What would be left counts as little as it does in a run that is confirmed.
    let other = Desk::new();
    for number in 0..5_u8 {
        let mut odd = dead_letter.clone();
        odd.id = DeadLetterId {
            source: Source::Poison,
            key: format!("0-odd-{number}"),
        };
        odd.forward = Forward::Nothing("it cannot be sent".to_owned());
        other.places.put(odd);
        let mut more = dead_letter.clone();
        more.id.key = format!("1-more-{number}");
        other.places.put(more);
    }
    few.bounds.limit = 2;
    for confirm in [false, true] {
        few.confirm = confirm;
        let report = other.run(&world, &few).await;
        assert_eq!(
            (report.done, report.ended.as_str()),
            (2, "limit"),
            "confirmed: {confirm}"
        );
    }
    // Two of one queue, far apart in it.
    let ids = ["more-10", "more-39"].map(|key| DeadLetterId {
        source: Source::Poison,
        key: key.to_owned(),
    });
    let two = Command {
        selection: Selection::Ids(ids.to_vec()),
        ..all(Act::Discard)
    };
    let report = desk.run(&world, &two).await;
    assert_eq!((report.done, report.failed), (2, 0), "{report:?}");
    // One source, and nothing of another.
    let poison = Filter {
        source: Some(Source::Poison),
        ..Filter::default()
    };
    let those = Command {
        selection: Selection::All(poison),
        ..all(Act::Discard)
    };
    let report = desk.run(&world, &those).await;
    assert_eq!(
        (report.done, report.failed, report.ended.as_str()),
        (29, 0, "done")
    );
    let left = desk.places.stored();
    assert_eq!(left.len(), 30);
    assert!(
        left.iter()
            .all(|dead_letter| dead_letter.id.source == Source::Events)
    );
}

#[tokio::test]
async fn each_arrival_is_announced_once_with_a_count_an_example_and_the_command() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, dead_letter) = poisoned(&mut world, &desk).await;
    let announced = async |expected: usize| {
        let report = watch(&desk.ports(&world), &world.aws, &desk.places).await;
        assert_eq!((report.new, report.failed), (expected, 0));
        world.aws.alerts()
    };
    let alerts = announced(1).await;
    assert_eq!(alerts[0].subject, "saga-bridge: 1 new dead letter in poison");
    for part in [
        saga.to_string().as_str(),
        "PaymentReserved",
        "make dlq ARGS=\"list --source poison\"",
        "show poison.",
    ] {
        assert!(alerts[0].text.contains(part), "{part}: {}", alerts[0].text);
    }
    let parked = world.saga(saga).parked.pop().expect("its saga shows it");
    assert!(
        parked.reason.contains("PaymentReserved lies in poison"),
        "{parked:?}"
    );
    announced(0).await;
    // Ten more, one of them with a clock that is behind.
    for number in 0..10_i64 {
        let mut more = dead_letter.clone();
        more.id.key = format!("more-{number}");
        more.last = more.last.map(|at| at.plus_millis(number * 1_000 - 2_000));
        desk.places.put(more);
    }
    let alerts = announced(10).await;
    assert_eq!(
        (alerts.len(), alerts[1].subject.as_str()),
        (2, "saga-bridge: 10 new dead letters in poison")
    );
    assert!(
        alerts[1].text.contains("show poison.more-9\""),
        "the newest: {}",
        alerts[1].text
    );
    announced(0).await;
    // So far clocks may differ, and so long somebody may have held it.
    let mut behind = dead_letter.clone();
    behind.id.key = "behind".to_owned();
    behind.last = behind.last.map(|at| at.plus_millis(7_000 - 4 * 60_000));
    desk.places.put(behind);
    announced(1).await;
    announced(0).await;
    // What is older than clocks may differ is not told again, when that is forgotten.
    let mut later = dead_letter.clone();
    later.id.key = "later".to_owned();
    later.last = later.last.map(|at| at.plus_millis(3_600_000));
    desk.places.put(later);
    announced(1).await;
    announced(0).await;
    let watched = desk.places.load(Source::Poison).await.unwrap();
    assert_eq!(watched.announced.len(), 1, "and it is forgotten");
    // Nor is it remembered when it comes late itself.
    for hours in [1, 2] {
        let mut more = dead_letter.clone();
        more.id.key = format!("hours-{hours}");
        more.last = more.last.map(|at| at.plus_millis(hours * 3_600_000 + 1_000));
        desk.places.put(more);
    }
    announced(2).await;
    let watched = desk.places.load(Source::Poison).await.unwrap();
    assert_eq!(watched.announced.len(), 1, "of the newest alone");
    announced(0).await;
}

#[tokio::test]
async fn a_flood_is_announced_once_and_the_next_one_after_it_was_drained_again() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, mut dead_letter) = poisoned(&mut world, &desk).await;
    desk.places.clear();
    dead_letter.id.source = Source::EventGrid;
    let flood = |from: i64, count: i64| {
        for number in from..from + count {
            let mut more = dead_letter.clone();
            more.id.key = format!("blob-{number}");
            more.last = more.last.map(|at| at.plus_millis(from));
            desk.places.put(more);
        }
    };
    let announced = async || watch(&desk.ports(&world), &world.aws, &desk.places).await.new;
    // So many are remembered one by one; of more, only the time.
    let remembered = async || desk.places.load(Source::EventGrid).await.unwrap().announced.len();
    flood(0, 6_000);
    assert_eq!((announced().await, remembered().await), (6_000, 0));
    for _ in 0..3 {
        assert_eq!(announced().await, 0);
    }
    desk.places.clear();
    assert_eq!(announced().await, 0);
    flood(10_000, 3_000);
    assert_eq!((announced().await, remembered().await), (3_000, 3_000));
    assert_eq!(announced().await, 0);
    flood(20_000, 1_000);
    assert_eq!((announced().await, remembered().await), (1_000, 4_000));
    flood(30_000, 1);
    assert_eq!((announced().await, remembered().await), (1, 0));
}

#[tokio::test]
async fn of_a_deep_queue_only_the_growth_is_announced() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    for (count, new) in [(1_000, 1_000), (1_500, 500), (1_500, 0), (1_600, 100)] {
        for number in 1..count {
            let mut more = dead_letter.clone();
            more.id.key = format!("more-{number}");
            desk.places.put(more);
        }
        let report = watch(&desk.ports(&world), &world.aws, &desk.places).await;
        assert_eq!((report.new, report.failed), (new, 0), "{count}");
    }
    let alerts = world.aws.alerts();
    let subjects: Vec<&str> = alerts.iter().map(|alert| alert.subject.as_str()).collect();
    assert_eq!(
        subjects,
        [1_000, 500, 100].map(|new| format!("saga-bridge: {new} new dead letters in poison"))
    );
    // So many are still looked at one by one.
    let examples: Vec<bool> = alerts
        .iter()
        .map(|alert| alert.text.contains("For instance"))
        .collect();
    assert_eq!(examples, [true, false, false]);
    assert!(
        alerts
            .iter()
            .all(|alert| alert.text.contains("list --source poison"))
    );
}

/// The growth is that since the last look, also when there were fewer in between, or none.
#[tokio::test]
async fn a_queue_that_shrinks_and_grows_again_is_announced_again() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, dead_letter) = poisoned(&mut world, &desk).await;
    let announced = async |count: usize| {
        desk.places.clear();
        for number in 0..count {
            let mut more = dead_letter.clone();
            more.id.key = format!("more-{number:05}");
            desk.places.put(more);
        }
        let report = watch(&desk.ports(&world), &world.aws, &desk.places).await;
        assert_eq!(report.failed, 0);
        report.new
    };
    assert_eq!(announced(1_500).await, 1_500);
    assert_eq!(announced(0).await, 0);
    assert_eq!(announced(1_200).await, 1_200);
    // Few enough to look at each: none is known by name yet.
    assert_eq!(announced(900).await, 900);
    assert_eq!(announced(800).await, 0);
    assert_eq!(announced(1_300).await, 500);
}

#[tokio::test]
async fn an_alert_that_cannot_be_sent_is_sent_by_the_next_watch() {
    let mut world = World::default();
    let failing = Desk::with(|clock| {
        let first = std::sync::atomic::AtomicBool::new(true);
        DeadLetters::new(clock, move |call: &'static str| {
            let first = call == "Memory::save" && first.swap(false, std::sync::atomic::Ordering::SeqCst);
            if first { Fault::FailBefore } else { Fault::None }
        })
    });
    poisoned(&mut world, &failing).await;
    let report = watch(&failing.ports(&world), &world.aws, &failing.places).await;
    assert_eq!((report.alerts, report.failed), (0, 1));
    let report = watch(&failing.ports(&world), &world.aws, &failing.places).await;
    assert_eq!(
        (report.alerts, report.failed, world.aws.alerts().len()),
        (1, 0, 2)
    );
}

#[tokio::test]
async fn replaying_everything_twice_in_any_order_while_sagas_run_does_no_harm() {
    use saga_app::ports::Time;
    let seeds = 60;
    let mut replayed = 0;
    for seed in 0..seeds {
        let (mut world, desk) = (World::default(), Desk::new());
        let chance = saga_memory::Clock::new(saga_core::Timestamp::from_millis(0), seed * 7_919 + 1);
        let (mut sagas, mut fallen, mut number) = (Vec::new(), Vec::new(), 0);
        for step in 0..220 {
            match chance.below(12) {
                0 if sagas.len() < 6 => {
                    let amount = if chance.below(3) == 0 { "20000" } else { "100" };
                    sagas.push(world.start(amount).await);
                }
                1 if !sagas.is_empty() && chance.below(4) == 0 => {
                    let saga = sagas[usize::try_from(chance.below(sagas.len() as u64)).unwrap()];
                    world
                        .command(saga, saga_app::override_saga::Command::Cancel)
                        .await;
                }
                2 | 3 if !world.on_the_way.is_empty() => {
                    // It falls out; sometimes only its carrier believes so.
                    let index = usize::try_from(chance.below(world.on_the_way.len() as u64)).unwrap();
                    let message = world.on_the_way.remove(index);
                    number += 1;
                    let dead_letter = dead(&message, chance.below(3), number);
                    fallen.push(dead_letter.clone());
                    desk.places.put(dead_letter);
                    if chance.below(3) == 0 {
                        world.on_the_way.push(message);
                    }
                }
                4 if step > 60 => {
                    replayed += desk.run(&world, &all(Act::Replay)).await.done;
                    desk.bring(&mut world);
                }
                5 if chance.below(5) == 0 => world.wait_and_sweep(90_000).await,
                _ => {
                    world.publish().await;
                    if !world.on_the_way.is_empty() {
                        let index = usize::try_from(chance.below(world.on_the_way.len() as u64)).unwrap();
                        world.deliver_at(index).await;
                    }
                }
            }
        }
        // Everything that ever fell out, once more, in another order and while the rest still runs.
        while !fallen.is_empty() {
            let index = usize::try_from(chance.below(fallen.len() as u64)).unwrap();
            desk.places.put(fallen.swap_remove(index));
            replayed += desk.run(&world, &all(Act::Replay)).await.done;
            desk.bring(&mut world);
            world.publish().await;
            if !world.on_the_way.is_empty() && chance.below(2) == 0 {
                world.deliver_at(0).await;
            }
        }
        for saga in &sagas {
            world.heal(*saga).await;
        }
        world.settle().await;
        assert!(
            sagas
                .iter()
                .all(|saga| world.saga(*saga).lifecycle.phase != Phase::Open)
        );
        world.check(&sagas);
        assert!(
            desk.places.stored().is_empty(),
            "seed {seed}: {:#?}",
            desk.places.stored()
        );
    }
    assert!(replayed > 500, "only {replayed} replays were tried");
}
