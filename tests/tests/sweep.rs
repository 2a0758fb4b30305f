//! A sweep is bounded in time, and fair to every bucket.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use saga_app::ports::Time;
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_app::sweep_sagas::{Report, sweep_sagas};
use saga_core::{SagaId, Timestamp};
use saga_memory::{Clock, Fault, OriginCloud, StepCloud};
use saga_tests::world::{World, order};

/// A second passes at each look at it, and chance is what the test says.
struct Ticking<'a> {
    clock: &'a Clock,
    chance: u64,
}

impl Time for Ticking<'_> {
    fn now(&self) -> Timestamp {
        self.clock.advance(1_000);
        self.clock.now()
    }

    async fn sleep(&self, millis: u64) {
        self.clock.sleep(millis).await;
    }

    fn below(&self, bound: u64) -> u64 {
        self.chance % bound
    }
}

async fn due(count: usize) -> (World, Vec<SagaId>) {
    let world = World::default();
    let mut sagas = Vec::new();
    for number in 0..count {
        sagas.push(
            world
                .try_start(&format!("key-{number}"), &order("100"))
                .await
                .unwrap(),
        );
    }
    world.clock.advance(60_000);
    (world, sagas)
}

#[tokio::test]
async fn sagas_that_moved_meanwhile_are_counted_and_left() {
    let moving = Arc::new(AtomicBool::new(false));
    let faults = {
        let moving = Arc::clone(&moving);
        move |call: &'static str| {
            if call == "SagaStore::commit" && moving.load(Ordering::SeqCst) {
                Fault::Conflict
            } else {
                Fault::None
            }
        }
    };
    let world = World::new(OriginCloud::with_faults(faults), StepCloud::new());
    world.start("100").await;
    world.start("100").await;
    world.clock.advance(70_000);
    moving.store(true, Ordering::SeqCst);
    let report = sweep(&world, 0, 3_600).await;
    assert_eq!((report.sent, report.moved), (0, 2));
    moving.store(false, Ordering::SeqCst);
    let report = sweep(&world, 0, 3_600).await;
    assert_eq!((report.sent, report.moved), (2, 0));
}

#[tokio::test]
async fn a_saga_that_gets_stuck_is_counted_once_and_as_sent() {
    let world = World::default();
    // What opened it is lost each time.
    let id = world.start("100").await;
    let mut stuck = Vec::new();
    for _ in 0..90 {
        world.clock.advance(60_000);
        let report = sweep(&world, 0, 3_600).await;
        if report.stuck > 0 {
            stuck.push((report.sent, report.stuck));
        }
    }
    assert_eq!(stuck, [(1, 1)]);
    assert!(world.saga(id).stuck.is_some());
}

async fn sweep(world: &World, chance: u64, seconds: i64) -> Report {
    let clock = &world.clock;
    let until = clock.now().plus_millis(seconds * 1_000);
    let time = Ticking { clock, chance };
    sweep_sagas(&world.deployment, &world.aws, &world.aws, &time, 100, until)
        .await
        .unwrap()
}

#[tokio::test]
async fn it_ends_in_time_and_the_next_one_goes_on() {
    let (world, sagas) = due(12).await;
    let first = sweep(&world, 0, 20).await.sent;
    assert!((1..12).contains(&first), "{first}");
    sweep(&world, 0, 3_600).await;
    let nudged = sagas.iter().map(|id| world.saga(*id).nudges);
    assert!(nudged.min().unwrap() >= 1, "none is left out");
}

/// Two hundred sagas that wait for the same slow service are due at the same time. All at once they would slow every other saga.
#[tokio::test]
async fn what_is_sent_again_is_spread_over_half_a_minute_and_a_few_are_not_held_up() {
    for (count, least, most) in [
        (1, 0, 200),
        (5, 0, 1_000),
        (200, 20_000, 30_000),
        (1_200, 25_000, 30_000),
    ] {
        let (world, sagas) = due(count).await;
        let begun = world.clock.now();
        assert_eq!(swept(&world).await.sent, count);
        let took = world.clock.now().millis() - begun.millis();
        assert!((least..=most).contains(&took), "{count} took {took} ms");
        let sent = |id: &SagaId| world.saga(*id).due.unwrap().millis();
        let (mut at, mut at_once): (Vec<i64>, usize) = (sagas.iter().map(sent).collect(), 0);
        at.sort_unstable();
        for second in at.chunk_by(|a, b| a / 1_000 == b / 1_000) {
            at_once = at_once.max(second.len());
        }
        assert!(at_once <= 5 + count / 15, "{at_once} of {count} in a second");
    }
}

#[tokio::test]
async fn it_begins_with_any_bucket() {
    for first in 0..DEFAULT_SHARDS {
        let (world, sagas) = due(24).await;
        sweep(&world, u64::from(first), 20).await;
        let place = |id: &SagaId| (id.bucket(DEFAULT_SHARDS) + DEFAULT_SHARDS - first) % DEFAULT_SHARDS;
        let nudged = |id: &&SagaId| world.saga(**id).nudges > 0;
        let last = sagas.iter().filter(nudged).map(place).max().unwrap();
        let left = sagas.iter().filter(|id| !nudged(id)).map(place).min().unwrap();
        assert!(last <= left, "from {first}: {last} before {left}");
    }
}

/// The saga is looked at in the very millisecond in which it has not moved for long enough, and one alert is sent, whatever
/// the deployment calls long.
#[tokio::test]
async fn a_saga_is_stuck_as_soon_as_its_patience_is_over() {
    for minutes in [1, 15, 200] {
        let mut world = World::default();
        world.deployment.patience.stuck_millis = minutes * 60_000;
        let id = world.start("100").await;
        let stuck_at = world.saga(id).deadline.plus_millis(minutes * 60_000);
        for _ in 0..100 {
            let Some(due) = world.saga(id).due else { break };
            world.clock.advance(due.millis() - world.clock.now().millis());
            swept(&world).await;
            if world.saga(id).stuck.is_some() {
                break;
            }
        }
        assert_eq!(world.saga(id).stuck, Some(stuck_at), "{minutes} minutes");
        for _ in 0..5 {
            world.clock.advance(3_600_000);
            swept(&world).await;
        }
        assert_eq!(world.saga(id).stuck, Some(stuck_at), "{minutes} minutes");
        assert_eq!(world.aws.alerts().len(), 1, "{minutes} minutes");
    }
}

async fn swept(world: &World) -> Report {
    let (clock, until) = (&world.clock, world.clock.now().plus_millis(60_000));
    sweep_sagas(&world.deployment, &world.aws, &world.aws, clock, 100, until)
        .await
        .unwrap()
}

/// A saga that needs what this deployment lacks is looked at again after the pauses that the deployment says.
#[tokio::test]
async fn a_saga_that_cannot_be_moved_is_looked_at_again_after_the_pause_of_the_deployment() {
    let mut world = World::default();
    let id = world.start("100").await;
    let own = world.deployment.patience.first_millis / 10;
    world.deployment.patience.first_millis = own;
    world.deployment.participants.clear();
    world
        .clock
        .advance(world.saga(id).due.unwrap().millis() - world.clock.now().millis());
    let now = world.clock.now();
    assert_eq!(swept(&world).await.held, 1);
    assert_eq!(world.saga(id).due, Some(now.plus_millis(2 * own)));
}
