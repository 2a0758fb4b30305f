//! What an operator sees of dead letters, and what becomes of them.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use saga_app::dead_letters::{Found, find, list, watch};
use saga_app::ports::Time;
use saga_core::dead_letter::{Act, DeadLetter, Filter, LetterId, Source, Verdict};
use saga_core::ends::Phase;
use saga_core::{SagaId, Status};
use saga_memory::{DeadLetters, Fault, OriginCloud, StepCloud};
use saga_tests::dead_letters::{Desk, all, dead, quarantined};
use saga_tests::world::{World, switch};
use saga_wire::dead_letter::http::{Command, Selection};
use saga_wire::dead_letter::{Received, events, quarantine};

/// A saga whose event to Azure fell into the poison queue.
async fn poisoned(world: &mut World, desk: &Desk) -> (SagaId, DeadLetter) {
    let saga = world.start("100").await;
    world.publish().await;
    let letter = dead(&world.on_the_way.pop().unwrap(), 0, 1);
    desk.places.put(letter.clone());
    (saga, letter)
}

/// A desk at which another operator takes all letters of a source for so long, at the first call of this name.
fn interrupted(at: &'static str, source: Source, seconds: i64) -> Desk {
    let places: Arc<OnceLock<DeadLetters>> = Arc::default();
    let desk = Desk::with(|clock| {
        let (places, came) = (Arc::clone(&places), AtomicBool::new(false));
        DeadLetters::new(clock, move |call: &'static str| {
            if call == at && !came.swap(true, Ordering::SeqCst) {
                places.get().unwrap().hide(source, seconds);
            }
            Fault::None
        })
    });
    places
        .set(desk.places.clone())
        .unwrap_or_else(|_| panic!("set once"));
    desk
}

fn only(letter: &DeadLetter, act: Act) -> Command {
    Command {
        selection: Selection::Ids(vec![letter.id.clone()]),
        ..all(act)
    }
}

#[tokio::test]
async fn a_list_consumes_nothing_and_names_the_saga() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, letter) = poisoned(&mut world, &desk).await;
    for _ in 0..3 {
        let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
        let page = serde_json::to_value(&page).unwrap();
        assert_eq!(page["letters"][0]["saga_id"], saga.to_string());
        assert_eq!(page["letters"][0]["source"], "poison");
        assert_eq!(page["letters"][0]["type"], "PaymentReserved");
        assert_eq!(
            (page["next"].is_null(), page["notices"].as_array().unwrap().len()),
            (true, 0)
        );
    }
    let found = find(&desk.ports(&world), &letter.id).await.unwrap();
    assert!(matches!(found, Found::Letter(_, prospect) if prospect.verdict == Verdict::Tried));
    assert_eq!(desk.places.lying().len(), 1);
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_says_what_would_happen() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, letter) = poisoned(&mut world, &desk).await;
    let dry = Command {
        confirm: false,
        ..only(&letter, Act::Replay)
    };
    let before = world.saga(saga);
    let report = desk.run(&world, &dry).await;
    assert_eq!(
        report.items[0].text,
        "would be tried again: saga is PENDING_AZURE_CONFIRMATION"
    );
    assert!(report.dry_run && report.items[0].outcome == "tried" && desk.places.take_sent().is_empty());
    assert_eq!((world.saga(saga), desk.places.lying().len()), (before, 1));
    // The sweeper was faster: the saga is complete, and the letter of no use.
    world.heal(saga).await;
    let report = desk.run(&world, &dry).await;
    assert_eq!(
        (report.items[0].outcome, report.items[0].text.as_str()),
        ("ignored", "would be ignored: saga is COMPLETED")
    );
}

#[tokio::test]
async fn a_replay_moves_the_saga_on_and_is_in_its_timeline() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, letter) = poisoned(&mut world, &desk).await;
    let report = desk.run(&world, &only(&letter, Act::Replay)).await;
    assert_eq!(
        (report.done, report.failed, report.items[0].outcome),
        (1, 0, "replayed")
    );
    assert!(desk.places.lying().is_empty());
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
        note.contains("the operator") && note.contains("the cause is gone") && note.contains("poison"),
        "{note}"
    );
    world.check(&[saga]);
}

#[tokio::test]
async fn letters_of_one_saga_in_one_millisecond_have_lines_of_their_own() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, _) = poisoned(&mut world, &desk).await;
    world.heal(saga).await;
    let body = desk.places.lying()[0].facts.text.clone();
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
    assert_eq!((report.done, report.left, report.ended), (0, 2, "done"));
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
    assert_eq!(page.letters.len(), 2);
}

#[tokio::test]
async fn unknown_ids_and_letters_that_others_hold_are_named() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, letter) = poisoned(&mut world, &desk).await;
    desk.places.hide(Source::Poison, 60);
    let gone = LetterId {
        source: Source::Events,
        key: "1-2".to_owned(),
    };
    let ids = Command {
        selection: Selection::Ids(vec![letter.id.clone(), gone.clone()]),
        ..all(Act::Replay)
    };
    let report = desk.run(&world, &ids).await;
    assert_eq!((report.done, report.failed), (0, 2));
    assert!(
        report.items.iter().all(|item| item.outcome == "unknown"),
        "{report:?}"
    );
    assert!(
        report
            .notices
            .iter()
            .any(|notice| notice.source == "poison" && notice.problem.contains("somebody else"))
    );
    let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert!(page.letters.is_empty() && page.notices[0].problem.contains("held by somebody else"));
    assert!(
        matches!(find(&desk.ports(&world), &gone).await.unwrap(), Found::No(why) if why.contains("no dead letter"))
    );
    // They come back by themselves.
    desk.clock.advance(61_000);
    assert_eq!(desk.run(&world, &only(&letter, Act::Replay)).await.done, 1);
}

#[tokio::test]
async fn letters_that_the_watch_holds_for_a_moment_are_waited_for() {
    let (mut world, desk) = (World::default(), Desk::new());
    poisoned(&mut world, &desk).await;
    desk.places.hide(Source::Poison, 5);
    let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert_eq!((page.letters.len(), page.notices.len()), (1, 0), "{page:?}");
    desk.places.hide(Source::Poison, 5);
    let report = desk.run(&world, &all(Act::Replay)).await;
    assert_eq!((report.done, report.notices.len()), (1, 0), "{report:?}");
}

#[tokio::test]
async fn the_watch_comes_later_while_an_operator_works_and_not_never() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, letter) = poisoned(&mut world, &desk).await;
    desk.places.hide(Source::Poison, 5);
    let report = watch(&desk.ports(&world), &world.aws, &desk.places).await;
    assert_eq!((report.new, report.failed), (1, 0));
    let mut more = letter;
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
        interrupted("LetterSource::remove", Source::Events, 4),
    );
    let (_, letter) = poisoned(&mut world, &desk).await;
    desk.places.clear();
    for number in 0..40_u8 {
        let mut more = letter.clone();
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
async fn a_source_that_cannot_be_counted_is_named_and_keeps_its_letters() {
    let (broken, choose) = switch("LetterSource::depth", true);
    let (mut world, desk) = (
        World::default(),
        Desk::with(|clock| DeadLetters::new(clock, choose)),
    );
    let (_, letter) = poisoned(&mut world, &desk).await;
    let page = list(&desk.ports(&world), &Filter::default(), None, 10).await;
    assert!(page.notices.iter().any(|notice| notice.source == "poison"));
    let report = desk.run(&world, &all(Act::Replay)).await;
    assert_eq!((report.done, report.failed), (0, 0));
    assert!(report.notices.iter().any(|notice| notice.source == "poison"));
    broken.store(false, Ordering::SeqCst);
    assert_eq!(desk.run(&world, &only(&letter, Act::Replay)).await.done, 1);
}

#[tokio::test]
async fn a_letter_that_another_operator_takes_meanwhile_is_not_lost() {
    // The other operator's receipt is the newer one: he comes when the lease of the first has ended, between the
    // sending and the removal.
    let (mut world, desk) = (World::default(), interrupted("Outlet::send", Source::Poison, 60));
    let (_, letter) = poisoned(&mut world, &desk).await;
    let report = desk.run(&world, &only(&letter, Act::Replay)).await;
    assert_eq!(
        (report.done, report.left, report.items[0].outcome),
        (0, 1, "taken")
    );
    assert!(
        report.items[0].text.contains("another operator took it"),
        "{report:?}"
    );
    assert_eq!(desk.places.lying().len(), 1);
}

#[tokio::test]
async fn a_letter_whose_saga_cannot_be_told_stays() {
    let (broken, choose) = switch("SagaStore::commit", false);
    let (mut world, desk) = (
        World::new(OriginCloud::with_faults(choose), StepCloud::new()),
        Desk::new(),
    );
    let (_, letter) = poisoned(&mut world, &desk).await;
    broken.store(true, Ordering::SeqCst);
    for act in [Act::Replay, Act::Discard] {
        let report = desk.run(&world, &only(&letter, act)).await;
        assert_eq!((report.done, report.failed), (0, 1), "{report:?}");
        assert!(report.items[0].text.contains("the letter stays"), "{report:?}");
        assert_eq!(desk.places.lying().len(), 1);
    }
    broken.store(false, Ordering::SeqCst);
    assert_eq!(desk.run(&world, &only(&letter, Act::Discard)).await.done, 1);
}

#[tokio::test]
async fn a_receiver_that_refuses_stops_the_run_and_takes_nothing() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, letter) = poisoned(&mut world, &desk).await;
    for number in 0..9_u8 {
        let mut more = letter.clone();
        more.id.key = format!("more-{number}");
        desk.places.put(more);
    }
    desk.places.refuse(true);
    let mut command = all(Act::Replay);
    command.bounds.stop_after = 3;
    let report = desk.run(&world, &command).await;
    assert_eq!((report.done, report.ended, report.more), (0, "failures", true));
    assert!(
        report.items[0]
            .text
            .contains("refuses it: it refuses everything; it stays"),
        "{report:?}"
    );
    assert_eq!(desk.places.lying().len(), 10);
    desk.places.refuse(false);
    assert_eq!(desk.run(&world, &command).await.done, 10);
}

#[tokio::test]
async fn each_arrival_is_told_once_with_a_count_an_example_and_the_command() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (saga, letter) = poisoned(&mut world, &desk).await;
    let told = async |expected: usize| {
        let report = watch(&desk.ports(&world), &world.aws, &desk.places).await;
        assert_eq!((report.new, report.failed), (expected, 0));
        world.aws.alerts()
    };
    let alerts = told(1).await;
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
    told(0).await;
    // Ten more, one of them with a clock that is behind.
    for number in 0..10_i64 {
        let mut more = letter.clone();
        more.id.key = format!("more-{number}");
        more.last = more.last.map(|at| at.plus_millis(number * 1_000 - 2_000));
        desk.places.put(more);
    }
    let alerts = told(10).await;
    assert_eq!(
        (alerts.len(), alerts[1].subject.as_str()),
        (2, "saga-bridge: 10 new dead letters in poison")
    );
    told(0).await;
}

#[tokio::test]
async fn a_flood_is_told_once_and_the_next_one_after_it_was_drained_again() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, mut letter) = poisoned(&mut world, &desk).await;
    desk.places.clear();
    letter.id.source = Source::EventGrid;
    let flood = |from: i64, count: i64| {
        for number in from..from + count {
            let mut more = letter.clone();
            more.id.key = format!("blob-{number}");
            more.last = more.last.map(|at| at.plus_millis(from));
            desk.places.put(more);
        }
    };
    let told = async || watch(&desk.ports(&world), &world.aws, &desk.places).await.new;
    flood(0, 6_000);
    assert_eq!(told().await, 6_000);
    for _ in 0..3 {
        assert_eq!(told().await, 0);
    }
    desk.places.clear();
    assert_eq!(told().await, 0);
    flood(10_000, 3_000);
    assert_eq!(told().await, 3_000);
    assert_eq!(told().await, 0);
}

#[tokio::test]
async fn of_a_deep_queue_only_the_growth_is_told() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (_, letter) = poisoned(&mut world, &desk).await;
    for (count, new) in [(1_500, 1_500), (1_500, 0), (1_600, 100)] {
        for number in 1..count {
            let mut more = letter.clone();
            more.id.key = format!("more-{number}");
            desk.places.put(more);
        }
        let report = watch(&desk.ports(&world), &world.aws, &desk.places).await;
        assert_eq!((report.new, report.failed), (new, 0), "{count}");
    }
    assert!(
        world
            .aws
            .alerts()
            .iter()
            .all(|alert| alert.text.contains("list --source poison"))
    );
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
    assert_eq!((report.told, report.failed), (0, 1));
    let report = watch(&failing.ports(&world), &world.aws, &failing.places).await;
    assert_eq!((report.told, report.failed, world.aws.alerts().len()), (1, 0, 2));
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
                    let parcel = world.on_the_way.remove(index);
                    number += 1;
                    let letter = dead(&parcel, chance.below(3), number);
                    fallen.push(letter.clone());
                    desk.places.put(letter);
                    if chance.below(3) == 0 {
                        world.on_the_way.push(parcel);
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
                .all(|saga| world.saga(*saga).ends.phase != Phase::Open)
        );
        world.check(&sagas);
        assert!(
            desk.places.lying().is_empty(),
            "seed {seed}: {:#?}",
            desk.places.lying()
        );
    }
    assert!(replayed > 500, "only {replayed} replays were tried");
}
