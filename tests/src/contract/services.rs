//! What every [`ServiceStates`] must do, and every [`ServiceChanges`].

use saga_app::ports::outbox::OutboxRow;
use saga_app::ports::{Committed, Envelope, ServiceChanges, ServiceStates};
use saga_core::ServiceState;
use saga_core::mark::{Asked, Caller};

use super::SagaSide;
use super::given::{ASKED, AWKWARD, pending, row, time};

/// The state of this number of the service of this name.
fn state(service: &str, number: u64) -> ServiceState {
    let changed = ServiceState::changed(service, None, number % 2 == 1, ASKED, time(0));
    ServiceState { number, ..changed }
}

async fn keep<S: ServiceStates>(store: &S, state: &ServiceState) -> Committed {
    store.keep_service_state(state).await.unwrap()
}

/// Nothing is made up: what was never changed is active.
pub async fn a_service_that_was_never_changed_is_not_found<S: ServiceStates>(store: &S) {
    assert_eq!(store.service_state("bank").await.unwrap(), None);
    assert_eq!(keep(store, &state("bank", 1)).await, Committed::Yes);
    for other in ["ban", "banks", "bank#1", "all", "Bank"] {
        assert_eq!(store.service_state(other).await.unwrap(), None, "{other}");
    }
}

/// Changes may arrive late, twice and in any order.
pub async fn only_a_higher_number_replaces_what_is_kept<S: ServiceStates>(store: &S) {
    for (number, committed, kept) in [
        (2, Committed::Yes, 2),
        (2, Committed::Conflict, 2),
        (1, Committed::Conflict, 2),
        (5, Committed::Yes, 5),
        (4, Committed::Conflict, 5),
        (6, Committed::Yes, 6),
        (1_000_000_000_000, Committed::Yes, 1_000_000_000_000),
        (7, Committed::Conflict, 1_000_000_000_000),
    ] {
        assert_eq!(keep(store, &state("bank", number)).await, committed, "{number}");
        let now = store.service_state("bank").await.unwrap();
        assert_eq!(now, Some(state("bank", kept)));
    }
    assert_eq!(keep(store, &state("ledger", 1)).await, Committed::Yes);
    assert_eq!(
        store.service_state("ledger").await.unwrap(),
        Some(state("ledger", 1))
    );
}

/// Many may change it at the same time.
pub async fn of_two_changes_at_once_one_wins<S: ServiceStates>(store: &S) {
    for number in 1..=8 {
        let by = |by| {
            let asked = Asked { by, ..ASKED };
            let changed = ServiceState::changed("bank", None, true, asked, time(0));
            ServiceState { number, ..changed }
        };
        let (one, other) = (by("one"), by("other"));
        let committed = tokio::join!(keep(store, &one), keep(store, &other));
        let kept = store.service_state("bank").await.unwrap();
        match committed {
            (Committed::Yes, Committed::Conflict) => assert_eq!(kept, Some(one)),
            (Committed::Conflict, Committed::Yes) => assert_eq!(kept, Some(other)),
            // Both may have to read again where each met the other.
            (Committed::Conflict, Committed::Conflict) => {
                assert_eq!(keep(store, &one).await, Committed::Yes);
            }
            both => panic!("{number}: {both:?}"),
        }
    }
}

/// Whoever reads it shows all of it.
pub async fn every_field_of_every_state_is_kept<S: ServiceStates>(store: &S) {
    let text: String = AWKWARD.into_iter().collect();
    let caller = Caller::new(&format!("arn:aws:iam::123456789012:user/{}", "x".repeat(600))).unwrap();
    let mut number = 0;
    for caller in [None, Some(&caller)] {
        for why in ["maintenance", &text, &"ü".repeat(200), "~1 2"] {
            for paused in [true, false] {
                number += 1;
                let asked = Asked { by: why, caller, why };
                let at = time(i64::try_from(number).unwrap());
                let changed = ServiceState::changed("a-service-9", None, paused, asked, at);
                let state = ServiceState { number, ..changed };
                assert_eq!(keep(store, &state).await, Committed::Yes);
                let kept = store.service_state("a-service-9").await.unwrap();
                assert_eq!(kept, Some(state));
            }
        }
    }
}

fn row_of(state: &ServiceState) -> OutboxRow {
    let row = row(1, time(i64::try_from(state.number).unwrap()), "service");
    let event = Envelope {
        id: state.event_id(row.at),
        saga: state.stand_in(),
        ..row.event
    };
    OutboxRow { event, ..row }
}

/// No event says what is not kept, and nothing is kept without its event.
pub async fn a_change_and_its_event_are_kept_together_or_not_at_all<S>(side: &S)
where
    S: SagaSide<Sagas: ServiceChanges>,
{
    let store = side.sagas();
    let changes = [
        state("bank", 2),
        state("bank", 1),
        state("bank", 2),
        state("bank", 3),
    ];
    let expected = [
        Committed::Yes,
        Committed::Conflict,
        Committed::Conflict,
        Committed::Yes,
    ];
    for (change, committed) in changes.iter().zip(expected) {
        let row = OutboxRow {
            // Another than that of the change which is kept.
            at: time(100 + i64::try_from(change.number).unwrap()),
            ..row_of(change)
        };
        let kept = store.keep_and_send_service_state(change, &row).await.unwrap();
        assert_eq!(kept, committed, "{change:?}");
    }
    let kept = store.service_state("bank").await.unwrap();
    assert_eq!(kept, Some(changes[3].clone()));
    let rows = pending(side.outbox(), row_of(&changes[0]).shard).await;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let sent = [&changes[0], &changes[3]].map(|change| row_of(change).event.id);
    assert_eq!(ids, sent.each_ref().map(|id| id.as_str()));
}
