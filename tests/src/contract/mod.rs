//! What the adapters of each port must do, written once and run against each of them: in memory, and on emulators.
//!
//! To hold an adapter to it, write one asynchronous function that gives an EMPTY store (or a carrier that has carried nothing), or `None` where this machine
//! cannot run it, and name it in one line of a test file:
//!
//! ```ignore
//! saga_tests::saga_store_contract!(dynamodb, empty_dynamodb_tables);   // async fn() -> Option<impl SagaSide>
//! saga_tests::step_store_contract!(azurite, empty_azurite_table);      // async fn() -> Option<impl StepStore + Outbox>
//! saga_tests::definitions_contract!(azurite_definitions, empty_azurite_table); // async fn() -> Option<impl Definitions>
//! saga_tests::definition_names_contract!(…);                           // async fn() -> Option<impl DefinitionNames>
//! saga_tests::service_states_contract!(…);                             // async fn() -> Option<impl ServiceStates>
//! saga_tests::service_changes_contract!(…);                            // async fn() -> Option<impl SagaSide>
//! ```
//!
//! It is called once for each test, and tests run side by side: give each its own tables.

pub mod carriers;
pub mod clock;
pub mod dead_letters;
pub mod definitions;
pub mod given;
pub mod outbox;
pub mod sagas;
pub mod services;
pub mod steps;

use saga_app::ports::{Outbox, SagaStore};
use saga_memory::OriginCloud;

/// A [`SagaStore`] and the outbox that its transactions write to: one thing, or a pair of two.
pub trait SagaSide {
    /// The store.
    type Sagas: SagaStore;
    /// Its outbox.
    type Rows: Outbox;

    /// The store.
    fn sagas(&self) -> &Self::Sagas;

    /// Its outbox.
    fn outbox(&self) -> &Self::Rows;
}

impl<S: SagaStore, O: Outbox> SagaSide for (S, O) {
    type Sagas = S;
    type Rows = O;

    fn sagas(&self) -> &S {
        &self.0
    }

    fn outbox(&self) -> &O {
        &self.1
    }
}

impl SagaSide for OriginCloud {
    type Sagas = Self;
    type Rows = Self;

    fn sagas(&self) -> &Self {
        self
    }

    fn outbox(&self) -> &Self {
        self
    }
}

/// Holds an adapter of [`SagaStore`] and [`Outbox`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! saga_store_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, sagas:
            a_new_saga_is_found_as_it_was_stored
            what_was_never_stored_is_not_found
            the_second_insert_of_a_saga_finds_the_first_and_stores_nothing
            a_new_saga_whose_entity_exists_is_spent_and_stores_nothing
            of_two_inserts_at_once_one_wins
            a_commit_replaces_the_saga_and_its_version
            a_commit_from_a_stale_version_changes_nothing
            of_two_commits_at_once_one_wins
            entities_come_with_versions_that_change_with_each_write
            a_stale_entity_stops_the_whole_commit
            an_entity_that_was_not_read_must_not_exist
            one_stale_entity_of_many_stops_all
            settling_sets_the_named_fields_and_keeps_the_others
            settling_changes_the_version
            settling_what_does_not_exist_stops_the_whole_commit
            a_row_appears_with_its_commit_and_in_its_shard_only
            a_row_that_is_pending_is_committed_again_as_one
            rows_come_oldest_first_in_pages
            a_reading_of_rows_ends_where_it_should
            overdue_shards_are_known
            a_row_is_postponed_where_it_is
            a_row_is_set_aside_once
            earlier_rows_of_a_saga_are_known
            a_lease_is_taken_renewed_and_given_back
            of_many_who_take_a_lease_at_once_one_gets_it
            deleting_rows_twice_is_no_error
            a_list_is_newest_first_and_its_pages_neither_skip_nor_repeat
            a_list_begins_where_it_should
            due_sagas_come_longest_due_first_by_bucket
            a_saga_that_is_owed_nothing_is_not_due
            every_field_of_every_saga_is_kept
            every_character_is_kept
            every_field_of_every_entity_is_kept
            readers_of_sagas_never_meet_a_definition
        }
    };
}

/// Holds an adapter of [`saga_app::ports::StepStore`] and [`Outbox`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! step_store_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, steps:
            a_step_is_found_as_it_was_stored_in_its_partition_only
            a_step_that_was_not_read_must_not_exist
            a_commit_from_a_stale_version_changes_nothing
            of_two_first_commits_at_once_one_wins
            a_row_can_be_committed_while_the_step_stays
            entities_are_written_with_the_step_and_guarded_by_version
            an_entity_that_was_not_read_must_not_exist
            one_stale_entity_of_many_stops_all
            the_largest_order_is_one_transaction
            a_row_appears_with_its_commit_and_in_its_partition_only
            a_row_that_is_pending_is_committed_again_as_one
            rows_come_oldest_first_in_pages
            a_reading_of_rows_ends_where_it_should
            overdue_shards_are_known
            a_row_is_postponed_where_it_is
            a_row_is_set_aside_once
            earlier_rows_of_a_saga_are_known
            a_lease_is_taken_renewed_and_given_back
            of_many_who_take_a_lease_at_once_one_gets_it
            deleting_rows_twice_is_no_error
            every_field_of_every_step_is_kept
            every_character_is_kept
            every_field_of_every_entity_is_kept
        }
    };
}

/// Holds an adapter of [`saga_app::ports::Definitions`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! definitions_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, definitions:
            what_was_never_kept_is_not_found
            what_is_kept_stays
            of_many_who_keep_a_version_at_once_one_wins
            every_field_of_every_definition_is_kept
        }
    };
}

/// Holds an adapter of [`saga_app::ports::DefinitionNames`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! definition_names_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, definitions:
            all_that_is_kept_is_named
        }
    };
}

/// Holds an adapter of [`saga_app::ports::ServiceStates`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! service_states_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, services:
            a_service_that_was_never_changed_is_not_found
            only_a_higher_number_replaces_what_is_kept
            of_two_changes_at_once_one_wins
            every_field_of_every_state_is_kept
        }
    };
}

/// Holds an adapter of [`saga_app::ports::ServiceChanges`] and its outbox to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! service_changes_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, services:
            a_change_and_its_event_are_kept_together_or_not_at_all
        }
    };
}

/// Holds an adapter of [`saga_app::ports::Publisher`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! publisher_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, carriers:
            every_event_that_was_taken_arrives
            nothing_is_said_of_nothing
            what_is_never_taken_holds_back_no_neighbour
        }
    };
}

/// Holds an adapter of [`saga_app::ports::Alerts`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! alerts_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, carriers:
            an_alert_arrives
            an_alert_arrives_whatever_it_quotes
        }
    };
}

/// Holds an adapter of [`saga_app::ports::Parking`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! parking_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, carriers:
            the_origin_gets_a_report_of_what_came_to_rest
            a_saga_that_is_not_there_is_no_error
        }
    };
}

/// Holds an adapter of [`saga_app::ports::Quarantine`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! quarantine_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, carriers:
            a_message_is_kept_with_its_reason
            any_text_is_kept_whole
        }
    };
}

/// Holds an adapter of [`saga_app::ports::Time`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! time_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, clock:
            waiting_takes_at_least_so_long
            chance_is_below_its_bound_and_reaches_all
        }
    };
}

/// Holds an adapter of [`saga_app::dead_letters::ports::DeadLetterQueue`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! dead_letter_queue_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, dead_letters:
            a_queue_gives_each_dead_letter_once
            a_look_consumes_nothing
            what_is_hidden_comes_back_by_itself
            what_is_leased_is_removed_and_nothing_else
        }
    };
}

/// Holds an adapter of [`saga_app::dead_letters::ports::DeadLetterContainer`] to the contract (see
/// [`mod@crate::contract`]).
#[macro_export]
macro_rules! dead_letter_container_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, dead_letters:
            a_container_gives_each_dead_letter_once_and_in_order
            a_container_is_read_from_a_key_and_by_key
            what_is_removed_is_gone_and_nothing_else
        }
    };
}

/// Holds an adapter of [`saga_app::dead_letters::ports::DeadOutbox`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! dead_outbox_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, dead_letters:
            a_dead_row_is_pending_again_once
        }
    };
}

/// Holds an adapter of [`saga_app::dead_letters::ports::Outlet`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! outlet_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, dead_letters:
            what_is_sent_arrives
        }
    };
}

/// Holds an adapter of [`saga_app::dead_letters::ports::Archive`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! archive_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, dead_letters:
            a_discarded_dead_letter_is_kept_whole
        }
    };
}

/// Holds an adapter of [`saga_app::dead_letters::ports::Memory`] to the contract (see [`mod@crate::contract`]).
#[macro_export]
macro_rules! memory_contract {
    ($adapter:ident, $empty:path) => {
        $crate::run_contract! { $adapter, $empty, dead_letters:
            of_a_source_that_was_never_announced_nothing_is_remembered
            what_was_announced_is_remembered_as_it_was
        }
    };
}

/// The tests of one suite for one adapter.
#[doc(hidden)]
#[macro_export]
macro_rules! run_contract {
    ($adapter:ident, $empty:path, $suite:ident: $($case:ident)*) => {
        mod $adapter {
            #[allow(unused_imports, reason = "the constructor may be named by its full path")]
            use super::*;

            $(
                #[tokio::test]
                async fn $case() {
                    match $empty().await {
                        Some(store) => $crate::contract::$suite::$case(&store).await,
                        None => eprintln!("skipped: {} cannot run here", stringify!($adapter)),
                    }
                }
            )*
        }
    };
}
