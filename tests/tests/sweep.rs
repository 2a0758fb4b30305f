//! A sweep is bounded in time, and fair to every bucket.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use saga_app::ports::Time;
use saga_app::sweep_sagas::{Report, sweep_sagas};
use saga_core::outbox::DEFAULT_SHARDS;
use saga_core::{SagaId, Timestamp};
use saga_memory::Clock;
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
