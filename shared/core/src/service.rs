//! Whether an outside service is paused: nothing is asked of it then, and nothing that it owes is given up.
//!
//! Invariant: each change has a higher number than the one before, also where the store has gone back to an older copy; so of two
//! states that arrive in any order the newer one is known.

use crate::ids::{EventId, SagaId, Timestamp};
use crate::mark::{Asked, Caller, Mark};

/// The last change of a service: paused, or active again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// The service's name.
    pub service: String,
    /// The milliseconds of the change, or one more than the number before: whichever is higher.
    pub number: u64,
    /// Whether nothing is asked of it.
    pub paused: bool,
    /// Since when, who asked for it and why.
    pub mark: Mark,
    /// Who asked for it, where the edge proved it.
    pub caller: Option<Caller>,
}

impl ServiceState {
    /// The state after this change of `known`.
    #[must_use]
    pub fn changed(
        service: &str,
        known: Option<&Self>,
        paused: bool,
        asked: Asked<'_>,
        now: Timestamp,
    ) -> Self {
        Self {
            service: service.to_owned(),
            number: after(known, now),
            paused,
            mark: Mark::new(now, asked.by, asked.why),
            caller: asked.caller.cloned(),
        }
    }

    /// The same, to be sent once more: who waits for it takes a higher number only.
    #[must_use]
    pub fn again(&self, now: Timestamp) -> Self {
        Self {
            number: after(Some(self), now),
            ..self.clone()
        }
    }

    /// What is kept as the error of a step that waits for it.
    #[must_use]
    pub fn why_not_asked(&self) -> String {
        format!("service `{}` is paused: {}", self.service, self.mark.reason)
    }

    /// The id of the event that tells the other cloud of it, sent at `now`.
    #[must_use]
    pub fn event_id(&self, now: Timestamp) -> EventId {
        let (service, number) = (&self.service, self.number);
        EventId::of_command(now, &format!("{OF_SERVICE}{service}-{number}"))
    }

    /// In place of a saga's id, where an event has to have one: the events of one service keep their order. No saga has it.
    #[must_use]
    pub fn stand_in(&self) -> SagaId {
        SagaId::of_service(&self.service)
    }
}

fn after(known: Option<&ServiceState>, now: Timestamp) -> u64 {
    let next = known.map_or(0, |known| known.number.saturating_add(1));
    next.max(now.millis().unsigned_abs())
}

const OF_SERVICE: &str = "service-";

/// Whether the event of this id tells of a service's state.
#[must_use]
pub fn is_of_service(id: &EventId) -> bool {
    let label = id.as_str().split_once('-').map(|(_, label)| label);
    label.is_some_and(|label| label.starts_with(OF_SERVICE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'static> = Asked {
        by: "ops",
        caller: None,
        why: "maintenance",
    };

    #[test]
    fn each_change_has_a_higher_number_and_an_id_of_its_own() {
        let at = Timestamp::from_millis;
        let paused = ServiceState::changed("bank", None, true, ASKED, at(5));
        let again = paused.again(at(5));
        let resumed = ServiceState::changed("bank", Some(&again), false, ASKED, at(9));
        // By a clock that is behind.
        let later = ServiceState::changed("bank", Some(&resumed), true, ASKED, at(3));
        assert_eq!(
            [&paused, &again, &resumed, &later].map(|state| (state.number, state.paused, state.mark.at)),
            [
                (5, true, at(5)),
                (6, true, at(5)),
                (9, false, at(9)),
                (10, true, at(3))
            ]
        );
        let ids = [
            paused.event_id(at(5)),
            again.event_id(at(5)),
            resumed.event_id(at(9)),
        ];
        assert_eq!(ids[0].as_str(), "0000000000005-service-bank-5");
        assert_ne!(ids[0], ids[1]);
        assert!(ids.iter().all(is_of_service));
        assert!(!is_of_service(&EventId::ours(at(5), paused.stand_in(), "act1")));
        assert_eq!(paused.stand_in(), resumed.stand_in());
        assert_eq!(paused.why_not_asked(), "service `bank` is paused: maintenance");
    }
}
