//! The contract of an outbox. Whoever holds an adapter to it has stored the rows in the way of that adapter's store.

use futures_util::future::join_all;
use saga_app::ports::outbox::{DEFAULT_SHARDS, Lease, OutboxRow, Tries};
use saga_app::ports::{Outbox, Page};
use saga_core::{EventId, Timestamp};

use super::given::{much_later, pending, time};

fn lease(shard: u16, owner: &str, until: i64) -> Lease {
    Lease {
        shard,
        owner: owner.to_owned(),
        until: time(until),
    }
}

/// Taken by one, kept by him, run out and taken by another; and nobody gives back what is not his.
pub async fn a_lease_is_taken_renewed_and_given_back(outbox: &impl Outbox, shard: u16) {
    let take =
        async |owner: &str, until, now| outbox.take(&lease(shard, owner, until), time(now)).await.unwrap();
    let renew = async |owner: &str, until| outbox.renew(&lease(shard, owner, until)).await.unwrap();
    let release = async |owner: &str| outbox.release(&lease(shard, owner, 0)).await.unwrap();

    assert!(!renew("ann", 10).await, "nobody has it");
    release("ann").await;
    assert!(take("ann", 10, 0).await);
    assert!(!take("bob", 19, 9).await);
    assert!(renew("ann", 20).await);
    assert!(!take("bob", 29, 19).await);

    // It runs out, and Bob takes it; Ann, who was slow, can neither keep it nor give it back.
    assert!(take("bob", 40, 20).await);
    assert!(!renew("ann", 50).await);
    release("ann").await;
    assert!(!take("cid", 60, 21).await);
    assert!(renew("bob", 60).await);

    release("bob").await;
    release("bob").await;
    assert!(take("cid", 70, 22).await);
    let elsewhere = lease(shard + 1, "ann", 70);
    assert!(
        outbox.take(&elsewhere, time(22)).await.unwrap(),
        "each shard has its own"
    );
}

/// All at once, first of a lease that nobody has, then of one that has run out.
pub async fn of_many_who_take_a_lease_at_once_one_gets_it(outbox: &impl Outbox, shard: u16) {
    for round in 1..4 {
        let wanted: Vec<Lease> = (0..8)
            .map(|nth| lease(shard, &format!("{round} {nth}"), round))
            .collect();
        let takes = wanted.iter().map(|wanted| outbox.take(wanted, time(round - 1)));
        let got = join_all(takes).await;
        assert_eq!(got.into_iter().filter(|got| *got.as_ref().unwrap()).count(), 1);
    }
}

/// The shards with rows that are old enough, and those with a lease.
pub async fn overdue_shards_are_known(outbox: &impl Outbox, rows: &[OutboxRow]) {
    let (shard, oldest) = (rows[0].shard, rows[0].at);
    let overdue = async |before: Timestamp| outbox.overdue(DEFAULT_SHARDS, before).await.unwrap();
    assert_eq!(overdue(oldest).await, Vec::<u16>::new());
    assert_eq!(overdue(oldest.plus_millis(1)).await, [shard]);
    assert_eq!(
        outbox.overdue(shard, much_later()).await.unwrap(),
        Vec::<u16>::new()
    );
    let other = (shard + 1) % DEFAULT_SHARDS;
    assert!(outbox.take(&lease(other, "ann", 10), time(0)).await.unwrap());
    let mut both = vec![shard, other];
    both.sort_unstable();
    assert_eq!(overdue(oldest.plus_millis(1)).await, both);
    assert_eq!(overdue(oldest).await, [other]);
}

/// Rows of one shard, oldest first, in pages of every size; a lease among them is no row.
pub async fn pages_neither_skip_nor_repeat(outbox: &impl Outbox, rows: &[OutboxRow]) {
    let shard = rows[0].shard;
    for leased in [false, true] {
        if leased {
            assert!(outbox.take(&lease(shard, "ann", 10), time(0)).await.unwrap());
        }
        for limit in 1..=rows.len() + 1 {
            let (mut found, mut after): (Vec<OutboxRow>, Option<EventId>) = (Vec::new(), None);
            for _ in 0..=rows.len() {
                let page: Page = outbox
                    .read(shard, after.as_ref(), much_later(), limit)
                    .await
                    .unwrap();
                assert!(page.rows.len() <= limit, "a page of {limit}");
                found.extend(page.rows);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, rows, "pages of {limit}");
        }
    }
}

/// None decided at or after `before`.
pub async fn a_reading_ends_where_it_should(outbox: &impl Outbox, rows: &[OutboxRow]) {
    let shard = rows[0].shard;
    for before in rows.iter().map(|row| row.at) {
        let found = outbox.read(shard, None, before, 100).await.unwrap().rows;
        let expected: Vec<OutboxRow> = rows.iter().filter(|row| row.at < before).cloned().collect();
        assert_eq!(found, expected);
    }
}

/// What failed is stored with the row; a row that is gone stays gone.
pub async fn a_row_is_postponed_where_it_is(outbox: &impl Outbox, rows: &[OutboxRow]) {
    let later = |row: &OutboxRow| OutboxRow {
        tries: Tries {
            failed: 3,
            next: Some(time(77)),
            reason: Some("InternalFailure: \"ü\"".to_owned()),
        },
        ..row.clone()
    };
    let [first, others @ ..] = rows else {
        panic!("no rows")
    };
    outbox.delete(std::slice::from_ref(&others[0])).await.unwrap();
    outbox.postpone(&[later(first), later(&others[0])]).await.unwrap();
    let mut expected = vec![later(first)];
    expected.extend_from_slice(&others[1..]);
    assert_eq!(pending(outbox, first.shard).await, expected);
    outbox.postpone(&[]).await.unwrap();
    // Nothing of them comes back, not even in parts that are no row.
    outbox.delete(rows).await.unwrap();
    outbox.postpone(&[later(first), later(&others[0])]).await.unwrap();
    let overdue = outbox.overdue(DEFAULT_SHARDS, much_later()).await.unwrap();
    assert_eq!(overdue, Vec::<u16>::new());
}

/// A dead row is pending no more, and what is gone is not set aside.
pub async fn a_row_is_set_aside_once(outbox: &impl Outbox, rows: &[OutboxRow]) {
    let [first, second, others @ ..] = rows else {
        panic!("no rows")
    };
    outbox.delete(std::slice::from_ref(second)).await.unwrap();
    for row in [first, first, second] {
        outbox.set_aside(row, time(99)).await.unwrap();
        assert_eq!(pending(outbox, first.shard).await, others);
    }
}

/// The rows of a saga that stand before another one of it.
pub async fn earlier_rows_of_a_saga_are_known(outbox: &impl Outbox, rows: &[OutboxRow]) {
    for (index, row) in rows.iter().enumerate() {
        let mut expected: Vec<EventId> = rows[..index]
            .iter()
            .filter(|earlier| earlier.saga == row.saga)
            .map(|earlier| earlier.id.clone())
            .collect();
        let mut found = outbox.earlier(row).await.unwrap();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "before {}", row.id);
    }
}
