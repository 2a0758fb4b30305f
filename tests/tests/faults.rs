//! Whatever fails, and in whatever order messages come: the saga ends, and the invariants hold.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::prelude::*;
use saga_app::override_saga::Command;
use saga_app::ports::Time;
use saga_app::start_saga::NotStarted;
use saga_app::transact::back_off;
use saga_core::origin::Override;
use saga_core::{SagaId, Status, Timestamp};
use saga_memory::{Fault, OriginCloud, StepCloud};
use saga_tests::property::holds;
use saga_tests::world::{Message, World, order};

const SMALL: &str = "129.90";
const LARGE: &str = "10000.01";

/// What happens to a payment after it was started.
#[derive(Debug, Clone, Copy)]
enum Story {
    Completes,
    IsRefused,
    IsCancelled,
    IsOverridden,
    IsOverriddenByAnOutsider,
}

const STORIES: [Story; 5] = [
    Story::Completes,
    Story::IsRefused,
    Story::IsCancelled,
    Story::IsOverridden,
    Story::IsOverriddenByAnOutsider,
];

impl Story {
    fn amount(self) -> &'static str {
        match self {
            Story::IsRefused => LARGE,
            _ => SMALL,
        }
    }

    /// What the caller, the operator or the outsider does, once the opening event is on the way.
    async fn happens(self, world: &mut World, id: SagaId) {
        match self {
            Story::Completes | Story::IsRefused => {}
            Story::IsCancelled => {
                world.command(id, Command::Cancel).await;
            }
            Story::IsOverridden => {
                world.resolve(id, Override::Cancelled).await;
            }
            Story::IsOverriddenByAnOutsider => world.outsider_compensates(id),
        }
        world.publish().await;
    }
}

/// Tells a story to its end, where `carry` does what it likes with the messages, oldest first.
async fn tell(story: Story, mut carry: impl AsyncFnMut(&mut World, Message)) -> Status {
    let mut world = World::default();
    let id = world.start(story.amount()).await;
    world.publish().await;
    story.happens(&mut world, id).await;
    while !world.on_the_way.is_empty() {
        let message = world.on_the_way.remove(0);
        carry(&mut world, message).await;
        world.publish().await;
    }
    world.heal(id).await;
    world.check(&[id]);
    world.status(id)
}

#[tokio::test]
async fn every_single_message_may_be_lost() {
    for story in STORIES {
        let mut count = 0;
        let undisturbed = tell(story, async |world, message| {
            count += 1;
            world.deliver(&message).await.unwrap();
        })
        .await;
        assert!(count >= 3, "{story:?}");
        for lost in 0..count {
            let mut seen = 0;
            let end = tell(story, async |world, message| {
                if seen != lost {
                    world.deliver(&message).await.unwrap();
                }
                seen += 1;
            })
            .await;
            // A cancel may win when the opening is lost; an outsider's wish may be lost before it is heard.
            let open = matches!(story, Story::IsCancelled | Story::IsOverriddenByAnOutsider);
            assert!(end == undisturbed || open, "{story:?} without message {lost}");
        }
    }
}

#[tokio::test]
async fn all_first_messages_may_be_lost() {
    for story in STORIES {
        tell(story, async |_, _| {}).await;
    }
}

#[tokio::test]
async fn every_message_may_come_twice_or_last() {
    for story in STORIES {
        tell(story, async |world, message| {
            for _ in 0..2 {
                world.deliver(&message).await.unwrap();
            }
        })
        .await;
        // The newest first: each message overtakes those that were sent before it.
        tell(story, async |world, message| {
            world.on_the_way.insert(0, message);
            let newest = world.on_the_way.len() - 1;
            world.deliver_at(newest).await;
        })
        .await;
    }
}

#[tokio::test]
async fn every_message_may_be_handled_by_three_processes_at_once() {
    for story in STORIES {
        tell(story, async |world, message| {
            let (a, b, c) = tokio::join!(
                world.handle(&message),
                world.handle(&message),
                world.handle(&message)
            );
            a.and(b).and(c).unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn a_message_may_race_with_every_command() {
    for override_to in [None, Some(Override::Cancelled)] {
        for race in 0..3 {
            let mut world = World::default();
            let id = world.start(SMALL).await;
            world.publish().await;
            for _ in 0..race {
                world.deliver_at(0).await;
            }
            let message = world.on_the_way.remove(0);
            let command = override_to.map_or(Command::Cancel, |to| Command::Resolve { to, force: false });
            let (handled, _) = tokio::join!(world.handle(&message), world.command(id, command));
            handled.unwrap();
            world.heal(id).await;
            world.check(&[id]);
        }
    }
}

/// A fault at the `nth` call of either cloud, and the number of calls so far.
fn at_call(nth: usize, fault: Fault) -> (impl Fn(&'static str) -> Fault + Clone, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let choose = move |_: &'static str| match counter.fetch_add(1, Ordering::SeqCst) {
        call if call == nth => fault,
        _ => Fault::None,
    };
    (choose, calls)
}

/// A caller who tries again, with the same key, until somebody answers.
async fn start(world: &World, amount: &str) -> SagaId {
    for _ in 0..3 {
        match world.try_start("key", &order(amount)).await {
            Ok(id) => return id,
            Err(NotStarted::Port(_)) => world.clock.advance(1_000),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("three attempts failed");
}

#[tokio::test]
async fn every_single_call_may_fail_before_or_after_its_effect() {
    for (amount, expected) in [
        (SMALL, Status::Completed),
        (LARGE, Status::CancelledViaCompensation),
    ] {
        for fault in [
            Fault::FailBefore,
            Fault::FailAfter,
            Fault::Throttle,
            Fault::Conflict,
        ] {
            for nth in 0.. {
                let (choose, calls) = at_call(nth, fault);
                let mut world = World::new(
                    OriginCloud::with_faults(choose.clone()),
                    StepCloud::with_faults(choose),
                );
                let id = start(&world, amount).await;
                world.heal(id).await;
                world.settle().await;
                assert_eq!(world.status(id), expected, "{fault:?} at call {nth}");
                world.check(&[id]);
                if nth > calls.load(Ordering::SeqCst) {
                    assert!(nth > 20, "only {nth} calls were disturbed");
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_is_always_contended_gives_up_and_leaves_the_message_on_its_queue() {
    let choose = |call: &'static str| match call {
        "StepStore::commit" => Fault::Conflict,
        _ => Fault::None,
    };
    let mut world = World::new(OriginCloud::new(), StepCloud::with_faults(choose));
    world.start(SMALL).await;
    world.publish().await;
    let message = world.on_the_way.remove(0);
    let error = world.deliver(&message).await.unwrap_err();
    assert!(error.to_string().contains("every one of 12 attempts"), "{error}");
}

#[tokio::test]
async fn a_message_that_its_queue_gives_up_is_reported_to_the_origin_and_no_other() {
    let choose = |call: &'static str| match call {
        "StepStore::load" => Fault::FailBefore,
        _ => Fault::None,
    };
    let mut world = World::new(OriginCloud::new(), StepCloud::with_faults(choose));
    let id = world.start(SMALL).await;
    world.publish().await;
    let message = world.on_the_way.remove(0);
    for last_try in [false, true] {
        world.last_try = last_try;
        world.deliver(&message).await.unwrap_err();
        let parked = world.azure.take_parked();
        let sagas: Vec<SagaId> = parked.iter().map(|parked| parked.saga).collect();
        assert_eq!(sagas, if last_try { vec![id] } else { Vec::new() });
    }
}

/// One thing that chance does.
#[derive(Debug, Clone)]
enum Whim {
    Deliver(prop::sample::Index),
    DeliverTwice(prop::sample::Index),
    Lose(prop::sample::Index),
    Wait(i64),
    Cancel,
    Override,
    Outsider,
}

fn whim() -> impl Strategy<Value = Whim> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => index().prop_map(Whim::Deliver),
        2 => index().prop_map(Whim::DeliverTwice),
        2 => index().prop_map(Whim::Lose),
        2 => (1_000_i64..400_000).prop_map(Whim::Wait),
        1 => Just(Whim::Cancel),
        1 => Just(Whim::Override),
        1 => Just(Whim::Outsider),
    ]
}

#[tokio::test]
async fn any_order_of_deliveries_losses_cancels_and_overrides_ends_all_or_nothing() {
    let stories = (vec(whim(), 0..24), any::<bool>());
    holds(400, stories, async |(whims, small)| {
        let mut world = World::default();
        let id = world.start(if small { SMALL } else { LARGE }).await;
        for whim in &whims {
            world.publish().await;
            let any = |index: &prop::sample::Index| index.index(world.on_the_way.len().max(1));
            let there = !world.on_the_way.is_empty();
            match whim {
                Whim::Deliver(index) if there => world.deliver_at(any(index)).await,
                Whim::DeliverTwice(index) if there => {
                    let message = world.on_the_way[any(index)].clone();
                    world.deliver(&message).await.unwrap();
                }
                Whim::Lose(index) if there => {
                    world.on_the_way.remove(any(index));
                }
                Whim::Deliver(_) | Whim::DeliverTwice(_) | Whim::Lose(_) => {}
                Whim::Wait(millis) => world.wait_and_sweep(*millis).await,
                Whim::Cancel => {
                    world.command(id, Command::Cancel).await;
                }
                Whim::Override => {
                    world.resolve(id, Override::Cancelled).await;
                }
                Whim::Outsider => world.outsider_compensates(id),
            }
        }
        world.heal(id).await;
        world.settle().await;
        world.check(&[id]);
        Ok(())
    })
    .await;
}

/// Time that only remembers how long was slept; chance is the lowest or the highest that there is.
struct Sleeper {
    lowest: bool,
    slept: Mutex<Vec<u64>>,
}

impl Time for Sleeper {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    async fn sleep(&self, millis: u64) {
        self.slept.lock().unwrap().push(millis);
    }

    fn below(&self, bound: u64) -> u64 {
        if self.lowest { 0 } else { bound - 1 }
    }
}

/// Whoever was overtaken does not come again with all others at once, and not at once either.
#[tokio::test]
async fn after_a_conflict_it_waits_a_moment_by_chance_and_longer_each_time() {
    for (lowest, expected) in [
        (true, [1; 9]),
        (false, [20, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000]),
    ] {
        let time = Sleeper {
            lowest,
            slept: Mutex::default(),
        };
        for attempt in 1..=9 {
            back_off(&time, attempt).await;
        }
        assert_eq!(*time.slept.lock().unwrap(), expected);
    }
}
