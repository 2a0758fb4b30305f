//! A list shows each saga that is looked for once, newest first, whatever lies between them.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use saga_app::list_sagas::{Query, list_sagas};
use saga_app::ports::{Inserted, SagaStore};
use saga_core::lifecycle::Phase;
use saga_core::saga::Flag;
use saga_core::{Saga, Status};
use saga_memory::{Fault, OriginCloud, StepCloud};
use saga_tests::contract::given::{decision, saga, time};
use saga_tests::property::{holds, same};
use saga_tests::world::World;
use saga_wire::http;
use serde_json::Value;

/// The saga of this number: every `every`th is COMPLETED and stuck, the others are pending. Three start in one millisecond.
fn numbered(number: usize, every: usize) -> Saga {
    let mut saga = saga(number as u64, time((number / 3) as i64));
    if number.is_multiple_of(every) {
        saga.lifecycle.phase = Phase::Completed;
        saga.stuck = Some(time(0));
    }
    saga
}

async fn stored(count: usize, every: usize) -> World {
    stored_in(World::default(), count, every).await
}

async fn stored_in(world: World, count: usize, every: usize) -> World {
    for number in 0..count {
        let saga = numbered(number, every);
        let inserted = world.aws.insert(&decision(&saga), None).await.unwrap();
        assert_eq!(inserted, Inserted::Yes);
    }
    world
}

/// The ids of all pages, followed by their cursors as a caller does, and how many pages there were.
async fn all_pages(world: &World, mut query: Query, at_most: usize) -> Result<(Vec<String>, usize), String> {
    let mut ids = Vec::new();
    for pages in 1..=at_most {
        let page = list_sagas(&world.deployment, &world.aws, &world.clock, query.clone())
            .await
            .unwrap();
        assert!(page.sagas.len() <= query.limit);
        let page: Value = serde_json::from_str(&http::page(&page.sagas, page.next)).unwrap();
        let sagas = page["sagas"].as_array().unwrap();
        ids.extend(
            sagas
                .iter()
                .map(|saga| saga["saga_id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            return Ok((ids, pages));
        };
        query.cursor = Some(http::parse_cursor(next).unwrap());
    }
    Err(format!("{at_most} pages, and no end: {} sagas", ids.len()))
}

fn query(status: Option<Status>, flag: Option<Flag>, limit: usize) -> Query {
    Query {
        status,
        flag,
        since: None,
        limit,
        cursor: None,
    }
}

#[tokio::test]
async fn the_pages_of_a_filtered_list_are_the_filtered_list() {
    holds(
        64,
        (0..90usize, 1..40usize, 1..20usize, 0..4u8),
        async |(count, every, limit, by)| {
            let world = stored(count, every).await;
            let (status, flag) = match by {
                0 => (None, None),
                1 => (Some(Status::Completed), None),
                2 => (Some(Status::PendingAwsConfirmation), None),
                _ => (None, Some(Flag::Stuck)),
            };
            let mut wanted: Vec<Saga> = (0..count).map(|number| numbered(number, every)).collect();
            wanted.retain(|saga| by == 0 || (saga.lifecycle.phase == Phase::Completed) == (by != 2));
            wanted.sort_by_key(|saga| std::cmp::Reverse((saga.created, saga.id)));
            let wanted: Vec<String> = wanted.iter().map(|saga| saga.id.to_string()).collect();
            let found = all_pages(&world, query(status, flag, limit), count + 1).await?;
            same(&found.0, &wanted)
        },
    )
    .await;
}

/// One request looks at a thousand sagas and no more; its cursor says where it stopped looking, not what it found last.
#[tokio::test]
async fn what_is_rare_is_found_behind_thousands_that_are_not_looked_for() {
    let world = stored(2_500, 2_499).await;
    let (found, pages) = all_pages(&world, query(Some(Status::Completed), None, 10), 10)
        .await
        .unwrap();
    let newest_and_oldest = [2_499, 0].map(|number| numbered(number, 1).id.to_string());
    assert_eq!(found, newest_and_oldest);
    assert!(pages >= 3, "{pages}");
}

/// Each page of the store is a dozen requests. Were they as small as the caller's, one request of a caller would take minutes.
#[tokio::test]
async fn a_filter_reads_large_pages_however_small_the_callers_are() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let aws = OriginCloud::with_faults(move |call: &'static str| {
        if call == "SagaStore::list" {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        Fault::None
    });
    let world = stored_in(World::new(aws, StepCloud::new()), 1_500, 1_499).await;
    let pages = all_pages(&world, query(None, Some(Flag::Closing), 1), 3)
        .await
        .unwrap();
    assert_eq!((pages.0.len(), pages.1), (0, 2));
    assert_eq!(
        asked.load(Ordering::SeqCst),
        16,
        "a hundred sagas each, and the end"
    );
    asked.store(0, Ordering::SeqCst);
    all_pages(&world, query(None, None, 1), 2).await.unwrap_err();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}
