//! The contract of the cloud that keeps the sagas.

use proptest::collection::vec;
use saga_app::ports::outbox::{DEFAULT_SHARDS, OutboxRow};
use saga_app::ports::{Committed, Definitions, Envelope, Inserted, Outbox, SagaStore, Snapshot, Version};
use saga_core::document::fields;
use saga_core::origin::OriginDecision;
use saga_core::participant::{EntityKey, EntityWrite};
use saga_core::{Saga, SagaId};

use super::SagaSide;
use super::given::{AWKWARD, changed, decision, key, much_later, pending, row, saga, time, write};
use super::outbox;
use crate::arbitrary::{self, nth_saga};
use crate::property::{holds, same};

async fn insert(side: &impl SagaSide, decision: &OriginDecision, row: Option<&OutboxRow>) {
    assert_eq!(side.sagas().insert(decision, row).await.unwrap(), Inserted::Yes);
}

async fn load(side: &impl SagaSide, id: SagaId) -> (Saga, Version) {
    let found = side.sagas().load(id).await.unwrap().expect("the saga is stored");
    (found.value, found.version)
}

async fn read(side: &impl SagaSide, keys: &[EntityKey]) -> Snapshot {
    side.sagas().entities(keys).await.unwrap()
}

/// Given the saga of this number with entities.
async fn stored(side: &impl SagaSide, number: u64, writes: Vec<EntityWrite>) -> (Saga, Version) {
    let new = OriginDecision {
        writes,
        ..decision(&saga(number, time(0)))
    };
    insert(side, &new, None).await;
    load(side, nth_saga(number)).await
}

/// When `decision` is committed and must not be: then the saga, these entities and the outbox are as they were.
async fn must_conflict(side: &impl SagaSide, decision: OriginDecision, version: &Version, read: &Snapshot) {
    let id = decision.saga.id;
    let names: Vec<EntityKey> = decision
        .writes
        .iter()
        .chain(&decision.settle)
        .map(|w| w.key.clone())
        .collect();
    let row = row(1, time(5), "of a commit that fails");
    let shard = row.shard;
    let before = (
        load(side, id).await,
        self::read(side, &names).await,
        pending(side.outbox(), shard).await,
    );
    let answer = side
        .sagas()
        .commit(&decision, version, read, Some(&row))
        .await
        .unwrap();
    assert_eq!(answer, Committed::Conflict);
    let after = (
        load(side, id).await,
        self::read(side, &names).await,
        pending(side.outbox(), shard).await,
    );
    assert_eq!(after, before);
}

async fn must_commit(side: &impl SagaSide, decision: &OriginDecision, version: &Version, read: &Snapshot) {
    let answer = side.sagas().commit(decision, version, read, None).await.unwrap();
    assert_eq!(answer, Committed::Yes);
}

/// A saga, its entities and its row are there after the insert.
pub async fn a_new_saga_is_found_as_it_was_stored(side: &impl SagaSide) {
    let new = OriginDecision {
        writes: vec![write("a", 1)],
        ..decision(&saga(1, time(0)))
    };
    let row = row(1, time(0), "advance1");
    insert(side, &new, Some(&row)).await;

    assert_eq!(load(side, new.saga.id).await.0, new.saga);
    assert_eq!(
        read(side, &[key("a")]).await.entities[&key("a")],
        write("a", 1).fields
    );
    assert_eq!(pending(side.outbox(), row.shard).await, [row]);
}

/// Absence is an answer, not an error.
pub async fn what_was_never_stored_is_not_found(side: &impl SagaSide) {
    stored(side, 1, vec![write("a", 1)]).await;

    assert!(side.sagas().load(nth_saga(2)).await.unwrap().is_none());
    let found = read(side, &[key("a"), key("b")]).await;
    assert_eq!(found.entities.len(), 1);
    assert_eq!(found.versions.len(), 1);
    assert_eq!(read(side, &[]).await, Snapshot::default());
}

/// `Exists` comes with the saga that was first, and nothing of the second is stored.
pub async fn the_second_insert_of_a_saga_finds_the_first_and_stores_nothing(side: &impl SagaSide) {
    let first = saga(1, time(0));
    insert(side, &decision(&first), None).await;
    let other_input = fields([("order_id", "another".into())]);
    let second = OriginDecision {
        writes: vec![write("a", 1)],
        ..decision(&Saga {
            input: other_input,
            ..saga(1, time(1))
        })
    };
    let row = row(1, time(1), "advance1");

    for _ in 0..2 {
        let answer = side.sagas().insert(&second, Some(&row)).await.unwrap();
        assert_eq!(answer, Inserted::Exists(Box::new(first.clone())));
    }
    assert_eq!(load(side, first.id).await.0, first);
    assert!(read(side, &[key("a")]).await.entities.is_empty());
    assert!(pending(side.outbox(), row.shard).await.is_empty());
}

/// A saga that expired leaves its entities behind: its key is spent, and nothing of the new saga is stored.
pub async fn a_new_saga_whose_entity_exists_is_spent_and_stores_nothing(side: &impl SagaSide) {
    let own = |number| OriginDecision {
        writes: vec![write("a", 1)],
        ..decision(&saga(number, time(0)))
    };
    insert(side, &own(1), None).await;
    let row = row(2, time(1), "advance1");

    let answer = side.sagas().insert(&own(2), Some(&row)).await.unwrap();

    assert_eq!(answer, Inserted::Spent);
    assert!(side.sagas().load(saga(2, time(0)).id).await.unwrap().is_none());
    assert!(pending(side.outbox(), row.shard).await.is_empty());
}

/// Two callers with one idempotency key.
pub async fn of_two_inserts_at_once_one_wins(side: &impl SagaSide) {
    let candidates = [saga(1, time(0)), saga(1, time(1))];
    let decisions = candidates.each_ref().map(decision);
    let (a, b) = tokio::join!(
        side.sagas().insert(&decisions[0], None),
        side.sagas().insert(&decisions[1], None)
    );

    let answers = [a.unwrap(), b.unwrap()];
    let winners: Vec<_> = (0..2).filter(|index| answers[*index] == Inserted::Yes).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    let winner = &candidates[winners[0]];
    match &answers[1 - winners[0]] {
        Inserted::Exists(found) => assert_eq!(**found, *winner),
        Inserted::Conflict => {}
        Inserted::Spent => panic!("the saga exists"),
        Inserted::Yes => unreachable!("counted above"),
    }
    assert_eq!(load(side, winner.id).await.0, *winner);
}

/// A commit from the version that was read.
pub async fn a_commit_replaces_the_saga_and_its_version(side: &impl SagaSide) {
    let (saga, first) = stored(side, 1, Vec::new()).await;
    let after = changed(&saga);
    must_commit(side, &decision(&after), &first, &Snapshot::default()).await;

    let (found, second) = load(side, saga.id).await;
    assert_eq!(found, after);
    assert_ne!(second, first);
}

/// A commit from a version that has gone.
pub async fn a_commit_from_a_stale_version_changes_nothing(side: &impl SagaSide) {
    let (saga, stale) = stored(side, 1, vec![write("a", 1)]).await;
    let seen = read(side, &[key("a")]).await;
    must_commit(side, &decision(&changed(&saga)), &stale, &seen).await;

    let late = OriginDecision {
        writes: vec![write("a", 2), write("new", 1)],
        ..decision(&saga)
    };
    must_conflict(side, late, &stale, &seen).await;
}

/// Two deliveries that were decided from the same reading.
pub async fn of_two_commits_at_once_one_wins(side: &impl SagaSide) {
    let (saga, version) = stored(side, 1, Vec::new()).await;
    let later = Saga {
        nudges: 77,
        ..saga.clone()
    };
    let decisions = [decision(&changed(&saga)), decision(&later)];
    let none = Snapshot::default();
    let (a, b) = tokio::join!(
        side.sagas().commit(&decisions[0], &version, &none, None),
        side.sagas().commit(&decisions[1], &version, &none, None)
    );

    // Both may lose: a store may answer both of two transactions that touch with a conflict.
    let answers = [a.unwrap(), b.unwrap()];
    let winners: Vec<_> = (0..2).filter(|index| answers[*index] == Committed::Yes).collect();
    assert!(winners.len() < 2, "{answers:?}");
    let expected = winners.first().map_or(&saga, |winner| &decisions[*winner].saga);
    assert_eq!(load(side, saga.id).await.0, *expected);
}

/// A version names one state of an entity.
pub async fn entities_come_with_versions_that_change_with_each_write(side: &impl SagaSide) {
    let (saga, version) = stored(side, 1, vec![write("a", 1), write("b", 1)]).await;
    let first = read(side, &[key("a"), key("b")]).await;
    let update = OriginDecision {
        writes: vec![write("a", 2)],
        ..decision(&saga)
    };
    must_commit(side, &update, &version, &first).await;

    let second = read(side, &[key("a"), key("b")]).await;
    assert_eq!(second.entities[&key("a")], write("a", 2).fields);
    assert_ne!(second.versions[&key("a")], first.versions[&key("a")]);
    assert_eq!(second.entities[&key("b")], first.entities[&key("b")]);
    assert_eq!(second.versions[&key("b")], first.versions[&key("b")]);
}

/// The saga is as it was read, an entity is not.
pub async fn a_stale_entity_stops_the_whole_commit(side: &impl SagaSide) {
    stored(side, 2, vec![write("a", 1)]).await;
    let stale = read(side, &[key("a")]).await;
    let (other, other_version) = load(side, nth_saga(2)).await;
    let meanwhile = OriginDecision {
        writes: vec![write("a", 2)],
        ..decision(&other)
    };
    must_commit(side, &meanwhile, &other_version, &stale).await;

    let (saga, version) = stored(side, 1, Vec::new()).await;
    let late = OriginDecision {
        writes: vec![write("a", 3)],
        ..decision(&changed(&saga))
    };
    must_conflict(side, late, &version, &stale).await;
}

/// A write of what was not read is an insert.
pub async fn an_entity_that_was_not_read_must_not_exist(side: &impl SagaSide) {
    let (saga, version) = stored(side, 1, vec![write("a", 1)]).await;
    let blind = OriginDecision {
        writes: vec![write("a", 2)],
        ..decision(&changed(&saga))
    };
    must_conflict(side, blind, &version, &Snapshot::default()).await;

    let absent = read(side, &[key("b")]).await;
    let new = OriginDecision {
        writes: vec![write("b", 1)],
        ..decision(&changed(&saga))
    };
    must_commit(side, &new, &version, &absent).await;
    assert_eq!(
        read(side, &[key("b")]).await.entities[&key("b")],
        write("b", 1).fields
    );
}

/// All or nothing, whichever of the writes is stale.
pub async fn one_stale_entity_of_many_stops_all(side: &impl SagaSide) {
    let names = ["a", "b", "c"];
    let (saga, version) = stored(side, 1, names.map(|name| write(name, 1)).into()).await;
    let keys = names.map(key);
    let fresh = read(side, &keys).await;
    for stale in &keys {
        let mut seen = fresh.clone();
        seen.versions.remove(stale);
        seen.entities.remove(stale);
        let late = OriginDecision {
            writes: names.map(|name| write(name, 2)).into(),
            ..decision(&changed(&saga))
        };
        must_conflict(side, late, &version, &seen).await;
    }
}

/// Settling is an update of a part.
pub async fn settling_sets_the_named_fields_and_keeps_the_others(side: &impl SagaSide) {
    let (saga, version) = stored(side, 1, vec![write("a", 1)]).await;
    let named = fields([("Left", 9.into()), ("Status", "COMPLETED".into())]);
    let settle = vec![EntityWrite {
        key: key("a"),
        fields: named,
    }];
    let done = OriginDecision {
        settle,
        ..decision(&changed(&saga))
    };
    must_commit(side, &done, &version, &Snapshot::default()).await;

    let expected = fields([
        ("Left", 9.into()),
        ("Colour", "blue".into()),
        ("Status", "COMPLETED".into()),
    ]);
    assert_eq!(read(side, &[key("a")]).await.entities[&key("a")], expected);
    assert_eq!(load(side, saga.id).await.0, done.saga);
}

/// Whoever read the entity before it was settled must read again.
pub async fn settling_changes_the_version(side: &impl SagaSide) {
    let (saga, version) = stored(side, 1, vec![write("a", 1)]).await;
    let stale = read(side, &[key("a")]).await;
    let done = OriginDecision {
        settle: vec![write("a", 5)],
        ..decision(&saga)
    };
    must_commit(side, &done, &version, &Snapshot::default()).await;

    let (saga, version) = load(side, saga.id).await;
    let late = OriginDecision {
        writes: vec![write("a", 6)],
        ..decision(&saga)
    };
    must_conflict(side, late, &version, &stale).await;
}

/// Settling never makes half an entity.
pub async fn settling_what_does_not_exist_stops_the_whole_commit(side: &impl SagaSide) {
    let (saga, version) = stored(side, 1, vec![write("a", 1)]).await;
    let done = OriginDecision {
        settle: vec![write("a", 2), write("absent", 2)],
        ..decision(&changed(&saga))
    };
    must_conflict(side, done, &version, &Snapshot::default()).await;
}

/// Nothing is published that is not committed, and the other way round.
pub async fn a_row_appears_with_its_commit_and_in_its_shard_only(side: &impl SagaSide) {
    let (saga, version) = stored(side, 1, Vec::new()).await;
    let row = row(1, time(3), "cancel1");
    assert!(pending(side.outbox(), row.shard).await.is_empty());
    let answer = side
        .sagas()
        .commit(
            &decision(&changed(&saga)),
            &version,
            &Snapshot::default(),
            Some(&row),
        )
        .await;

    assert_eq!(answer.unwrap(), Committed::Yes);
    for shard in 0..DEFAULT_SHARDS {
        let expected: &[OutboxRow] = if shard == row.shard {
            std::slice::from_ref(&row)
        } else {
            &[]
        };
        assert_eq!(pending(side.outbox(), shard).await, expected);
    }
}

/// A repeat emits what the first emitted, which may still be waiting.
pub async fn a_row_that_is_pending_is_committed_again_as_one(side: &impl SagaSide) {
    let row = row(1, time(0), "advance1");
    insert(side, &decision(&saga(1, time(0))), Some(&row)).await;
    for _ in 0..2 {
        let (saga, version) = load(side, nth_saga(1)).await;
        let again = decision(&changed(&saga));
        let answer = side
            .sagas()
            .commit(&again, &version, &Snapshot::default(), Some(&row))
            .await;
        assert_eq!(answer.unwrap(), Committed::Yes);
    }
    assert_eq!(pending(side.outbox(), row.shard).await, [row]);
}

/// Rows of one saga, oldest first.
async fn rows(side: &impl SagaSide) -> Vec<OutboxRow> {
    let times = [(30, "a"), (10, "b"), (20, "c"), (20, "a"), (9_999_999, "a")];
    let mut rows = times.map(|(at, label)| row(1, time(at), label));
    insert(side, &decision(&saga(1, time(0))), None).await;
    for row in &rows {
        let (saga, version) = load(side, nth_saga(1)).await;
        let again = decision(&changed(&saga));
        let sagas = side.sagas();
        let answer = sagas
            .commit(&again, &version, &Snapshot::default(), Some(row))
            .await;
        assert_eq!(answer.unwrap(), Committed::Yes);
    }
    rows.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    rows.to_vec()
}

/// See [`outbox::pages_neither_skip_nor_repeat`].
pub async fn rows_come_oldest_first_in_pages(side: &impl SagaSide) {
    outbox::pages_neither_skip_nor_repeat(side.outbox(), &rows(side).await).await;
}

/// See [`outbox::a_reading_ends_where_it_should`].
pub async fn a_reading_of_rows_ends_where_it_should(side: &impl SagaSide) {
    outbox::a_reading_ends_where_it_should(side.outbox(), &rows(side).await).await;
}

/// See [`outbox::overdue_shards_are_known`].
pub async fn overdue_shards_are_known(side: &impl SagaSide) {
    outbox::overdue_shards_are_known(side.outbox(), &rows(side).await).await;
}

/// See [`outbox::a_row_is_postponed_where_it_is`].
pub async fn a_row_is_postponed_where_it_is(side: &impl SagaSide) {
    outbox::a_row_is_postponed_where_it_is(side.outbox(), &rows(side).await).await;
}

/// See [`outbox::a_row_is_set_aside_once`].
pub async fn a_row_is_set_aside_once(side: &impl SagaSide) {
    outbox::a_row_is_set_aside_once(side.outbox(), &rows(side).await).await;
}

/// See [`outbox::earlier_rows_of_a_saga_are_known`].
pub async fn earlier_rows_of_a_saga_are_known(side: &impl SagaSide) {
    outbox::earlier_rows_of_a_saga_are_known(side.outbox(), &rows(side).await).await;
}

/// See [`outbox::a_lease_is_taken_renewed_and_given_back`].
pub async fn a_lease_is_taken_renewed_and_given_back(side: &impl SagaSide) {
    outbox::a_lease_is_taken_renewed_and_given_back(side.outbox(), row(1, time(0), "a").shard).await;
}

/// See [`outbox::of_many_who_take_a_lease_at_once_one_gets_it`].
pub async fn of_many_who_take_a_lease_at_once_one_gets_it(side: &impl SagaSide) {
    outbox::of_many_who_take_a_lease_at_once_one_gets_it(side.outbox(), row(1, time(0), "a").shard).await;
}

/// Two relays may publish one row.
pub async fn deleting_rows_twice_is_no_error(side: &impl SagaSide) {
    let row = row(1, time(0), "advance1");
    insert(side, &decision(&saga(1, time(0))), Some(&row)).await;
    for _ in 0..2 {
        side.outbox().delete(std::slice::from_ref(&row)).await.unwrap();
        assert_eq!(pending(side.outbox(), row.shard).await, []);
    }
    side.outbox().delete(&[]).await.unwrap();
}

/// 23 sagas, of which many started in the same millisecond, in pages of every size.
pub async fn a_list_is_newest_first_and_its_pages_neither_skip_nor_repeat(side: &impl SagaSide) {
    let mut expected = Vec::new();
    for number in 0..23 {
        let at = if (5..17).contains(&number) {
            100
        } else {
            number as i64
        };
        let new = saga(number, time(at));
        insert(side, &decision(&new), None).await;
        expected.push(new);
    }
    expected.sort_by_key(|saga| std::cmp::Reverse((saga.created, saga.id)));

    for limit in [1, 2, 5, 11, 12, 13, 23, 100] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = side.sagas().list(None, before, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            before = Some((last.created, last.id));
            found.extend(page);
            assert!(found.len() <= expected.len(), "pages of {limit} repeat");
        }
        let ids = |sagas: &[Saga]| sagas.iter().map(|saga| saga.id).collect::<Vec<_>>();
        assert_eq!(ids(&found), ids(&expected), "in pages of {limit}");
        assert_eq!(found, expected);
    }
}

/// `since` is part of the list, what is before it is not.
pub async fn a_list_begins_where_it_should(side: &impl SagaSide) {
    for number in 0..6 {
        insert(side, &decision(&saga(number, time(number as i64))), None).await;
    }
    let created = async |since, before| -> Vec<i64> {
        let found = side.sagas().list(since, before, 100).await.unwrap();
        found
            .iter()
            .map(|saga| saga.created.millis() - time(0).millis())
            .collect()
    };
    assert_eq!(created(Some(time(3)), None).await, [5, 4, 3]);
    assert_eq!(created(Some(time(6)), None).await, [0_i64; 0]);
    let cursor = Some((time(4), nth_saga(4)));
    assert_eq!(created(Some(time(2)), cursor).await, [3, 2]);
    assert_eq!(created(None, cursor).await, [3, 2, 1, 0]);
}

/// What is due now is due; what will be is not; each saga is in its own bucket.
pub async fn due_sagas_come_longest_due_first_by_bucket(side: &impl SagaSide) {
    let mut sagas: Vec<Saga> = (0..40)
        .map(|number| Saga {
            due: Some(time((number as i64 * 7) % 40)),
            ..saga(number, time(0))
        })
        .collect();
    for saga in &sagas {
        insert(side, &decision(saga), None).await;
    }
    sagas.sort_by_key(|saga| saga.due);

    let mut found = 0;
    for bucket in 0..DEFAULT_SHARDS {
        let expected: Vec<SagaId> = sagas
            .iter()
            .filter(|saga| saga.id.bucket(DEFAULT_SHARDS) == bucket && saga.due <= Some(time(30)))
            .map(|saga| saga.id)
            .collect();
        assert_eq!(side.sagas().due(bucket, time(30), 100).await.unwrap(), expected);
        assert_eq!(
            side.sagas().due(bucket, time(30), 1).await.unwrap(),
            expected[..expected.len().min(1)]
        );
        found += expected.len();
    }
    assert_eq!(found, 31);
}

/// What has ended leaves the sweeper's index, and may come back into it.
pub async fn a_saga_that_is_owed_nothing_is_not_due(side: &impl SagaSide) {
    let (open, _) = stored(side, 1, Vec::new()).await;
    let bucket = open.id.bucket(DEFAULT_SHARDS);
    let due = async || side.sagas().due(bucket, much_later(), 100).await.unwrap();
    assert_eq!(due().await, [open.id]);
    for (at, expected) in [
        (None, vec![]),
        (Some(time(2)), vec![open.id]),
        (Some(much_later().plus_millis(1)), vec![]),
    ] {
        let (saga, version) = load(side, open.id).await;
        let decided = decision(&Saga { due: at, ..saga });
        must_commit(side, &decided, &version, &Snapshot::default()).await;
        assert_eq!(due().await, expected, "due at {at:?}");
    }
}

/// Numbers of 38 digits, every character, nested documents, every flag.
pub async fn every_field_of_every_saga_is_kept(side: &impl SagaSide) {
    let mut number = 0;
    holds(
        48,
        (arbitrary::saga(), arbitrary::saga()),
        async |(first, second)| {
            number += 1;
            let id = nth_saga(number);
            let first = Saga { id, ..first };
            let second = Saga { id, ..second };
            insert(side, &decision(&first), None).await;
            let (found, version) = load(side, id).await;
            same(&found, &first)?;
            let known = side.sagas().insert(&decision(&second), None).await.unwrap();
            same(&known, &Inserted::Exists(Box::new(first)))?;
            // Every attribute that the first had and the second has not must be gone, too.
            must_commit(side, &decision(&second), &version, &Snapshot::default()).await;
            same(&load(side, id).await.0, &second)
        },
    )
    .await;
}

/// In the input, in a field's name, in an entity and its name, in an event.
pub async fn every_character_is_kept(side: &impl SagaSide) {
    for (number, character) in (1..).zip(AWKWARD) {
        let text = format!("a{character}b");
        let values = fields([("text", text.clone().into()), (text.as_str(), "x".into())]);
        let saga = Saga {
            input: values.clone(),
            ..saga(number, time(number.cast_signed()))
        };
        let writes = vec![EntityWrite {
            key: key(&text),
            fields: values.clone(),
        }];
        let event = OutboxRow {
            event: Envelope {
                body: format!("{{\"text\":\"{text}\"}}"),
                ..row(number, time(number.cast_signed()), "advance1").event
            },
            ..row(number, time(number.cast_signed()), "advance1")
        };
        let new = OriginDecision {
            writes,
            ..decision(&saga)
        };
        insert(side, &new, Some(&event)).await;
        assert_eq!(load(side, saga.id).await.0, saga, "{character:?}");
        let found = read(side, &[key(&text)]).await;
        assert_eq!(found.entities[&key(&text)], values, "{character:?}");
        assert!(
            pending(side.outbox(), event.shard).await.contains(&event),
            "{character:?}"
        );
    }
}

/// As for sagas.
pub async fn every_field_of_every_entity_is_kept(side: &impl SagaSide) {
    let mut number = 0;
    let two = vec(arbitrary::fields(), 2);
    holds(48, two, async |versions| {
        number += 1;
        let key = key(&format!("n{number}"));
        let write = |index: usize| EntityWrite {
            key: key.clone(),
            fields: named(&versions[index]),
        };
        let (saga, version) = stored(side, number, vec![write(0)]).await;
        let found = read(side, std::slice::from_ref(&key)).await;
        same(&found.entities[&key], &write(0).fields)?;
        let update = OriginDecision {
            writes: vec![write(1)],
            ..decision(&saga)
        };
        must_commit(side, &update, &version, &found).await;
        let found = read(side, std::slice::from_ref(&key)).await;
        same(&found.entities[&key], &write(1).fields)
    })
    .await;
}

/// Fields whose own names are plain, as participants choose them; what is in them is as wild as it was.
pub(super) fn named(wild: &saga_core::document::Fields) -> saga_core::document::Fields {
    wild.values()
        .enumerate()
        .map(|(index, value)| (format!("Field{index}"), value.clone()))
        .collect()
}

/// They lie beside the sagas.
pub async fn readers_of_sagas_never_meet_a_definition<A: SagaSide>(store: &A) {
    let store = store.sagas();
    let known = saga(1, time(0));
    store.insert(&decision(&known), None).await.unwrap();
    for definition in crate::sagas::catalogue().iter() {
        store.keep_definition(definition).await.unwrap();
    }
    let listed = store.list(None, None, 10).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&known));
    let mut due = Vec::new();
    for bucket in 0..DEFAULT_SHARDS {
        due.extend(store.due(bucket, much_later(), 10).await.unwrap());
    }
    assert_eq!(due, [known.id]);
}
