//! The contract of a cloud that owns steps and does not keep the saga.

use proptest::collection::vec;
use saga_app::ports::outbox::OutboxRow;
use saga_app::ports::{Committed, Envelope, Outbox, Partition, Snapshot, StepCommit, StepStore, Version};
use saga_core::document::fields;
use saga_core::participant::{EntityKey, EntityWrite};
use saga_core::participate::StepRecord;
use saga_core::{StepIndex, Timestamp};

use super::given::{AWKWARD, key, pending, record, row, time, write};
use super::outbox;
use super::sagas::named;
use crate::arbitrary::{self, nth_saga};
use crate::property::{holds, same};

const HERE: Partition = Partition(3);
const ELSEWHERE: Partition = Partition(4);
const STEP: StepIndex = StepIndex::new(1);

/// A commit of this step of the saga of this number, of nothing so far.
fn commit_of(number: u64, read: &Snapshot) -> StepCommit<'_> {
    StepCommit {
        partition: &HERE,
        saga: nth_saga(number),
        index: STEP,
        record: None,
        version: None,
        writes: &[],
        read,
        row: None,
    }
}

async fn must_commit(store: &impl StepStore, commit: StepCommit<'_>) {
    assert_eq!(store.commit(commit).await.unwrap(), Committed::Yes);
}

async fn load(store: &impl StepStore, number: u64) -> Option<(StepRecord, Version)> {
    let found = store.load(&HERE, nth_saga(number), STEP).await.unwrap();
    found.map(|found| (found.value, found.version))
}

async fn read(store: &impl StepStore, keys: &[EntityKey]) -> Snapshot {
    store.entities(&HERE, keys).await.unwrap()
}

/// Given a step with entities.
async fn stored(store: &impl StepStore, number: u64, writes: &[EntityWrite]) -> Version {
    let (record, none) = (record("first"), Snapshot::default());
    let commit = StepCommit {
        record: Some(&record),
        writes,
        ..commit_of(number, &none)
    };
    must_commit(store, commit).await;
    load(store, number).await.unwrap().1
}

/// When a commit must not be taken: then the step, its entities and the outbox are as they were.
async fn must_conflict<S: StepStore + Outbox>(store: &S, number: u64, commit: StepCommit<'_>) {
    let keys: Vec<EntityKey> = commit.writes.iter().map(|w| w.key.clone()).collect();
    let row = row_here(number, time(5), "of a commit that fails");
    let before = (
        load(store, number).await,
        read(store, &keys).await,
        pending(store, HERE.0).await,
    );
    let commit = StepCommit {
        row: Some(&row),
        ..commit
    };
    assert_eq!(store.commit(commit).await.unwrap(), Committed::Conflict);
    let after = (
        load(store, number).await,
        read(store, &keys).await,
        pending(store, HERE.0).await,
    );
    assert_eq!(after, before);
}

/// When the step of saga 1 stays as it is and a row leaves.
async fn emit(store: &impl StepStore, row: &OutboxRow) {
    let (version, none) = (load(store, 1).await.unwrap().1, Snapshot::default());
    let commit = StepCommit {
        version: Some(&version),
        row: Some(row),
        ..commit_of(1, &none)
    };
    must_commit(store, commit).await;
}

fn row_here(number: u64, at: Timestamp, label: &str) -> OutboxRow {
    OutboxRow {
        shard: HERE.0,
        ..row(number, at, label)
    }
}

/// A step's key is its partition, saga and number.
pub async fn a_step_is_found_as_it_was_stored_in_its_partition_only<S: StepStore + Outbox>(store: &S) {
    assert!(load(store, 1).await.is_none());
    stored(store, 1, &[]).await;

    assert_eq!(load(store, 1).await.unwrap().0, record("first"));
    assert!(load(store, 2).await.is_none());
    let saga = nth_saga(1);
    assert!(store.load(&ELSEWHERE, saga, STEP).await.unwrap().is_none());
    let other = StepIndex::new(11);
    assert!(store.load(&HERE, saga, other).await.unwrap().is_none());
}

/// Two messages find no record; the second to commit must decide again.
pub async fn a_step_that_was_not_read_must_not_exist<S: StepStore + Outbox>(store: &S) {
    stored(store, 1, &[write("a", 1)]).await;
    let (second, none) = (record("second"), Snapshot::default());
    let writes = [write("b", 1)];
    let commit = StepCommit {
        record: Some(&second),
        writes: &writes,
        ..commit_of(1, &none)
    };
    must_conflict(store, 1, commit).await;
}

/// A commit from a version that has gone.
pub async fn a_commit_from_a_stale_version_changes_nothing<S: StepStore + Outbox>(store: &S) {
    let stale = stored(store, 1, &[]).await;
    let (second, third, none) = (record("second"), record("third"), Snapshot::default());
    let commit = StepCommit {
        record: Some(&second),
        version: Some(&stale),
        ..commit_of(1, &none)
    };
    must_commit(store, commit).await;
    let (found, fresh) = load(store, 1).await.unwrap();
    assert_eq!(found, second);
    assert_ne!(fresh, stale);

    let writes = [write("a", 1)];
    let commit = StepCommit {
        record: Some(&third),
        version: Some(&stale),
        writes: &writes,
        ..commit_of(1, &none)
    };
    must_conflict(store, 1, commit).await;
}

/// The same message, delivered to two processes.
pub async fn of_two_first_commits_at_once_one_wins<S: StepStore + Outbox>(store: &S) {
    let (first, second, none) = (record("first"), record("second"), Snapshot::default());
    let commit = |record| StepCommit {
        record: Some(record),
        ..commit_of(1, &none)
    };
    let (a, b) = tokio::join!(store.commit(commit(&first)), store.commit(commit(&second)));

    match (a.unwrap(), b.unwrap()) {
        (Committed::Yes, Committed::Conflict) => assert_eq!(load(store, 1).await.unwrap().0, first),
        (Committed::Conflict, Committed::Yes) => assert_eq!(load(store, 1).await.unwrap().0, second),
        both => panic!("{both:?}"),
    }
}

/// A repeated message emits again and changes nothing.
pub async fn a_row_can_be_committed_while_the_step_stays<S: StepStore + Outbox>(store: &S) {
    stored(store, 1, &[]).await;
    let row = row_here(1, time(0), "complete2");
    for _ in 0..2 {
        emit(store, &row).await;
        assert_eq!(load(store, 1).await.unwrap().0, record("first"));
        assert_eq!(pending(store, HERE.0).await, std::slice::from_ref(&row));
        store.delete(std::slice::from_ref(&row)).await.unwrap();
    }
}

/// Two sagas want the same stock.
pub async fn entities_are_written_with_the_step_and_guarded_by_version<S: StepStore + Outbox>(store: &S) {
    stored(store, 1, &[write("a", 10)]).await;
    let seen = read(store, &[key("a"), key("b")]).await;
    assert_eq!(seen.entities.len(), 1);
    let (taken, record) = ([write("a", 9)], record("took one"));
    let commit = |number| StepCommit {
        record: Some(&record),
        writes: &taken,
        ..commit_of(number, &seen)
    };
    must_commit(store, commit(2)).await;
    let now = read(store, &[key("a")]).await;
    assert_eq!(now.entities[&key("a")], write("a", 9).fields);
    assert_ne!(now.versions[&key("a")], seen.versions[&key("a")]);

    must_conflict(store, 3, commit(3)).await;
    assert!(store.entities(&ELSEWHERE, &[key("a")]).await.unwrap() == Snapshot::default());
}

/// A write of what was not read is an insert.
pub async fn an_entity_that_was_not_read_must_not_exist<S: StepStore + Outbox>(store: &S) {
    stored(store, 1, &[write("a", 1)]).await;
    let (record, none, blind) = (record("blind"), Snapshot::default(), [write("a", 2)]);
    let commit = StepCommit {
        record: Some(&record),
        writes: &blind,
        ..commit_of(2, &none)
    };
    must_conflict(store, 2, commit).await;
}

/// All or nothing, whichever of the writes is stale.
pub async fn one_stale_entity_of_many_stops_all<S: StepStore + Outbox>(store: &S) {
    let names = ["a", "b", "c"];
    stored(store, 1, &names.map(|name| write(name, 1))).await;
    let keys = names.map(key);
    let fresh = read(store, &keys).await;
    for stale in &keys {
        let mut seen = fresh.clone();
        seen.versions.remove(stale);
        seen.entities.remove(stale);
        let (record, writes) = (record("late"), names.map(|name| write(name, 2)));
        let commit = StepCommit {
            record: Some(&record),
            writes: &writes,
            ..commit_of(2, &seen)
        };
        must_conflict(store, 2, commit).await;
    }
}

/// 50 items, the step and the event.
pub async fn the_largest_order_is_one_transaction<S: StepStore + Outbox>(store: &S) {
    let names: Vec<String> = (0..50).map(|index| format!("sku-{index:02}")).collect();
    let keys: Vec<EntityKey> = names.iter().map(|name| key(name)).collect();
    let all = |left| names.iter().map(|name| write(name, left)).collect::<Vec<_>>();
    stored(store, 1, &all(5)).await;
    let (seen, record, writes) = (read(store, &keys).await, record("all"), all(4));
    let row = row_here(2, time(0), "complete2");
    let commit = StepCommit {
        record: Some(&record),
        writes: &writes,
        row: Some(&row),
        ..commit_of(2, &seen)
    };
    must_commit(store, commit).await;

    let found = read(store, &keys).await;
    assert_eq!(found.entities.len(), 50);
    assert!(found.entities.values().all(|fields| fields["Left"] == 4.into()));
    assert_eq!(pending(store, HERE.0).await, [row]);
}

/// Nothing is published that is not committed, and the other way round.
pub async fn a_row_appears_with_its_commit_and_in_its_partition_only<S: StepStore + Outbox>(store: &S) {
    let (record, none, row) = (
        record("first"),
        Snapshot::default(),
        row_here(1, time(0), "complete2"),
    );
    let commit = StepCommit {
        record: Some(&record),
        row: Some(&row),
        ..commit_of(1, &none)
    };
    must_commit(store, commit).await;

    assert_eq!(pending(store, ELSEWHERE.0).await, []);
    assert_eq!(pending(store, HERE.0).await, [row]);
}

/// A repeat emits what the first emitted, which may still be waiting.
pub async fn a_row_that_is_pending_is_committed_again_as_one<S: StepStore + Outbox>(store: &S) {
    stored(store, 1, &[]).await;
    let row = row_here(1, time(0), "complete2");
    for _ in 0..3 {
        emit(store, &row).await;
    }
    assert_eq!(pending(store, HERE.0).await, [row]);
}

/// Rows of one saga, oldest first.
async fn rows<S: StepStore + Outbox>(store: &S) -> Vec<OutboxRow> {
    stored(store, 1, &[]).await;
    let times = [(30, "a"), (10, "b"), (20, "c"), (20, "a"), (9_999_999, "a")];
    let mut rows = times.map(|(at, label)| row_here(1, time(at), label));
    for row in &rows {
        emit(store, row).await;
    }
    rows.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    rows.to_vec()
}

/// See [`outbox::pages_neither_skip_nor_repeat`].
pub async fn rows_come_oldest_first_in_pages<S: StepStore + Outbox>(store: &S) {
    outbox::pages_neither_skip_nor_repeat(store, &rows(store).await).await;
}

/// See [`outbox::a_reading_ends_where_it_should`].
pub async fn a_reading_of_rows_ends_where_it_should<S: StepStore + Outbox>(store: &S) {
    outbox::a_reading_ends_where_it_should(store, &rows(store).await).await;
}

/// See [`outbox::overdue_shards_are_known`].
pub async fn overdue_shards_are_known<S: StepStore + Outbox>(store: &S) {
    outbox::overdue_shards_are_known(store, &rows(store).await).await;
}

/// See [`outbox::a_row_is_postponed_where_it_is`].
pub async fn a_row_is_postponed_where_it_is<S: StepStore + Outbox>(store: &S) {
    outbox::a_row_is_postponed_where_it_is(store, &rows(store).await).await;
}

/// See [`outbox::a_row_is_set_aside_once`].
pub async fn a_row_is_set_aside_once<S: StepStore + Outbox>(store: &S) {
    outbox::a_row_is_set_aside_once(store, &rows(store).await).await;
}

/// See [`outbox::earlier_rows_of_a_saga_are_known`].
pub async fn earlier_rows_of_a_saga_are_known<S: StepStore + Outbox>(store: &S) {
    outbox::earlier_rows_of_a_saga_are_known(store, &rows(store).await).await;
}

/// See [`outbox::a_lease_is_taken_renewed_and_given_back`].
pub async fn a_lease_is_taken_renewed_and_given_back<S: StepStore + Outbox>(store: &S) {
    outbox::a_lease_is_taken_renewed_and_given_back(store, HERE.0).await;
}

/// See [`outbox::of_many_who_take_a_lease_at_once_one_gets_it`].
pub async fn of_many_who_take_a_lease_at_once_one_gets_it<S: StepStore + Outbox>(store: &S) {
    outbox::of_many_who_take_a_lease_at_once_one_gets_it(store, HERE.0).await;
}

/// Two relays may publish one row.
pub async fn deleting_rows_twice_is_no_error<S: StepStore + Outbox>(store: &S) {
    stored(store, 1, &[]).await;
    let row = row_here(1, time(0), "complete2");
    emit(store, &row).await;
    for _ in 0..2 {
        store.delete(std::slice::from_ref(&row)).await.unwrap();
        assert_eq!(pending(store, HERE.0).await, []);
    }
    store.delete(&[]).await.unwrap();
}

/// Numbers of 38 digits, every character, nested documents.
pub async fn every_field_of_every_step_is_kept<S: StepStore + Outbox>(store: &S) {
    let mut number = 0;
    let two = vec(arbitrary::step_record(), 2);
    holds(48, two, async |records| {
        number += 1;
        let none = Snapshot::default();
        let first = StepCommit {
            record: Some(&records[0]),
            ..commit_of(number, &none)
        };
        must_commit(store, first).await;
        let (found, version) = load(store, number).await.unwrap();
        same(&found, &records[0])?;
        let second = StepCommit {
            record: Some(&records[1]),
            version: Some(&version),
            ..commit_of(number, &none)
        };
        must_commit(store, second).await;
        same(&load(store, number).await.unwrap().0, &records[1])
    })
    .await;
}

/// In a reason, in a field and its name, in an entity and its name, in an event.
pub async fn every_character_is_kept<S: StepStore + Outbox>(store: &S) {
    for (number, character) in (1..).zip(AWKWARD) {
        let text = format!("a{character}b");
        let values = fields([("text", text.clone().into()), (text.as_str(), "x".into())]);
        let step = StepRecord {
            data: values.clone(),
            output: values.clone(),
            ..record(&text)
        };
        let writes = [EntityWrite {
            key: key(&text),
            fields: values,
        }];
        let event = OutboxRow {
            shard: HERE.0,
            event: Envelope {
                body: format!("{{\"text\":\"{text}\"}}"),
                ..row(number, time(number.cast_signed()), "advance1").event
            },
            ..row(number, time(number.cast_signed()), "advance1")
        };
        let none = Snapshot::default();
        let commit = StepCommit {
            record: Some(&step),
            writes: &writes,
            row: Some(&event),
            ..commit_of(number, &none)
        };
        must_commit(store, commit).await;
        assert_eq!(load(store, number).await.unwrap().0, step, "{character:?}");
        let found = read(store, &[key(&text)]).await;
        assert_eq!(found.entities[&key(&text)], writes[0].fields, "{character:?}");
        assert!(pending(store, HERE.0).await.contains(&event), "{character:?}");
    }
}

/// As for steps.
pub async fn every_field_of_every_entity_is_kept<S: StepStore + Outbox>(store: &S) {
    let mut number = 0;
    let two = vec(arbitrary::fields(), 2);
    holds(48, two, async |versions| {
        number += 1;
        let key = key(&format!("n{number}"));
        let write = |index: usize| EntityWrite {
            key: key.clone(),
            fields: named(&versions[index]),
        };
        let version = stored(store, number, &[write(0)]).await;
        let found = read(store, std::slice::from_ref(&key)).await;
        same(&found.entities[&key], &write(0).fields)?;
        let (writes, record) = ([write(1)], record("second"));
        let update = StepCommit {
            record: Some(&record),
            version: Some(&version),
            writes: &writes,
            ..commit_of(number, &found)
        };
        must_commit(store, update).await;
        let found = read(store, std::slice::from_ref(&key)).await;
        same(&found.entities[&key], &write(1).fields)
    })
    .await;
}
