//! The contract of an outbox. Whoever holds an adapter to it has stored the rows in the way of that adapter's store.

use futures_util::future::join_all;
use saga_app::ports::{Outbox, Page};
use saga_core::outbox::{Lease, OutboxRow, Tries};
use saga_core::{EventId, Timestamp};

use super::given::{much_later, pending, time};

async fn lease(outbox: &impl Outbox, shard: u16) -> Lease {
    outbox.read(shard, None, much_later(), 10).await.unwrap().lease
}

async fn take(outbox: &impl Outbox, known: &Lease, owner: &str, until: Timestamp) -> Option<Lease> {
    outbox.take(known, owner, until).await.unwrap()
}

/// Nobody's, taken, renewed, given back, run out and taken over; and each only by who has read it as it is.
pub async fn a_lease_is_taken_renewed_and_given_back(outbox: &impl Outbox, shard: u16) {
    let unknown = lease(outbox, shard).await;
    assert!(unknown.is_free(time(0)));
    let first = take(outbox, &unknown, "ann", time(10)).await.unwrap();
    assert_eq!(lease(outbox, shard).await, first);
    assert_eq!((first.owner.as_deref(), first.until), (Some("ann"), time(10)));
    assert!(!first.is_free(time(9)) && first.is_free(time(10)));
    assert_eq!(take(outbox, &unknown, "bob", time(20)).await, None);

    let renewed = take(outbox, &first, "ann", time(20)).await.unwrap();
    assert_ne!(renewed.mark, first.mark);
    assert_eq!(take(outbox, &first, "ann", time(30)).await, None);

    // Bob finds it run out; Ann, who was slow, can neither renew it nor give it back.
    let found = lease(outbox, shard).await;
    let bobs = take(outbox, &found, "bob", time(40)).await.unwrap();
    assert_eq!(take(outbox, &renewed, "ann", time(50)).await, None);
    outbox.release(&renewed).await.unwrap();
    assert_eq!(lease(outbox, shard).await, bobs);

    outbox.release(&bobs).await.unwrap();
    let free = lease(outbox, shard).await;
    assert!(free.is_free(time(0)), "{free:?}");
    assert_eq!(take(outbox, &bobs, "bob", time(60)).await, None);
    assert!(take(outbox, &free, "cid", time(60)).await.is_some());
    assert_eq!(
        lease(outbox, shard + 1).await,
        Lease::unknown(shard + 1),
        "each shard has its own"
    );
}

/// All at once, first of a lease that nobody has had, then of one that has run out.
pub async fn of_many_who_take_a_lease_at_once_one_gets_it(outbox: &impl Outbox, shard: u16) {
    for round in 1..4 {
        let known = lease(outbox, shard).await;
        let takes = (0..8).map(|_| take(outbox, &known, "somebody", time(round)));
        let got = join_all(takes).await.into_iter().flatten().count();
        assert_eq!(got, 1);
    }
}

/// Rows of one shard, oldest first, in pages of every size; a lease among them is no row.
pub async fn pages_neither_skip_nor_repeat(outbox: &impl Outbox, rows: &[OutboxRow]) {
    let shard = rows[0].shard;
    for leased in [false, true] {
        if leased {
            let known = lease(outbox, shard).await;
            take(outbox, &known, "ann", time(10)).await.unwrap();
        }
        for limit in 1..=rows.len() + 1 {
            let (mut found, mut after): (Vec<OutboxRow>, Option<EventId>) = (Vec::new(), None);
            for _ in 0..=rows.len() {
                let page: Page = outbox
                    .read(shard, after.as_ref(), much_later(), limit)
                    .await
                    .unwrap();
                assert!(page.rows.len() <= limit + 1, "a page of {limit}");
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
pub async fn a_reading_ends_where_it_is_told(outbox: &impl Outbox, rows: &[OutboxRow]) {
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
}

/// A dead row is pending no more, and what is gone is not buried.
pub async fn a_row_is_buried_once(outbox: &impl Outbox, rows: &[OutboxRow]) {
    let [first, second, others @ ..] = rows else {
        panic!("no rows")
    };
    outbox.delete(std::slice::from_ref(second)).await.unwrap();
    for row in [first, first, second] {
        outbox.bury(row, time(99)).await.unwrap();
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
