//! A saga that this version cannot read (a deployment was rolled back, say) stands in nobody else's way.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::collections::BTreeSet;

use saga_app::list_sagas::{Query, list_sagas};
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_app::ports::{Inserted, SagaStore, Time};
use saga_app::sweep_sagas::sweep_sagas;
use saga_core::Saga;
use saga_tests::arbitrary::nth_saga;
use saga_tests::contract::given::{decision, saga, time};
use saga_tests::world::World;

/// A world with sagas that are due: the records of the first half of them cannot be read.
async fn world_with(count: u64) -> World {
    let world = World::default();
    for number in 1..=count {
        let mut due: Saga = saga(number, time(0));
        due.due = Some(time(0));
        due.deadline = time(i64::from(u32::MAX));
        let stored = world.aws.insert(&decision(&due), None).await.unwrap();
        assert_eq!(stored, Inserted::Yes);
        if number <= count / 2 {
            world.aws.spoil(due.id);
        }
    }
    let wait = time(1_000).millis() - saga_app::ports::Time::now(&world.clock).millis();
    world.clock.advance(wait.max(0));
    world
}

#[tokio::test]
async fn the_sweep_looks_after_all_others() {
    let world = world_with(40).await;

    let until = world.clock.now().plus_millis(60_000);
    let report = sweep_sagas(&world.deployment, &world.aws, &world.aws, &world.clock, 50, until)
        .await
        .unwrap();

    assert_eq!((report.sent, report.unreadable), (20, 20));
}

#[tokio::test]
async fn they_do_not_fill_the_page_of_all_others() {
    let world = world_with(40).await;
    let readable = (21..=40).map(|number| nth_saga(number).bucket(DEFAULT_SHARDS));
    let buckets: BTreeSet<u16> = readable.collect();

    let until = world.clock.now().plus_millis(60_000);
    let report = sweep_sagas(&world.deployment, &world.aws, &world.aws, &world.clock, 1, until)
        .await
        .unwrap();

    assert_eq!(report.sent, buckets.len(), "one of each bucket that has any");
}

#[tokio::test]
async fn the_list_shows_all_others() {
    let world = world_with(4).await;
    let query = Query {
        flag: None,
        status: None,
        since: None,
        limit: 10,
        cursor: None,
    };

    let page = list_sagas(&world.deployment, &world.aws, &world.clock, query)
        .await
        .unwrap();

    assert_eq!(page.sagas.len(), 2);
}
