//! What the sweeper does with a saga that is due: cancel it when its deadline has passed, and otherwise send again
//! what opened it. Because every repeat is answered again, one retransmission from the origin heals the
//! loss of any message anywhere.

use crate::Outcome;
use crate::emit::{cancel_event, command_entry, opening_event};
use crate::ids::{StepIndex, Timestamp};
use crate::lifecycle::Phase;
use crate::mark::Mark;
use crate::origin::{Misaddressed, Origin, OriginDecision};
use crate::patience::Patience;
use crate::saga::Saga;

impl Origin<'_> {
    /// What the sweeper does with this saga: `None` when it is not due.
    ///
    /// # Errors
    /// [`Misaddressed`] when a participant is missing.
    pub fn sweep(&self) -> Result<Option<OriginDecision>, Misaddressed> {
        if self.saga.due.is_none_or(|due| due > self.now) {
            return Ok(None);
        }
        if !self.saga.is_owed() {
            return Ok(Some(owed_nothing(self.saga)));
        }
        let open = self.saga.lifecycle.phase == Phase::Open;
        if open && !self.saga.lifecycle.cancelling && self.saga.deadline <= self.now {
            let mut decision = self.cancel("deadline".to_owned(), "the deadline has passed".to_owned())?;
            if let Some(mark) = decision.saga.cancel.clone() {
                decision
                    .saga
                    .timeline
                    .record(command_entry("cancel", &mark, decision.outcome));
            }
            return Ok(Some(decision));
        }
        if self.definition.opens_at_origin() {
            // What opened it is said by step 0's participant.
            self.owned(StepIndex::FIRST)?;
        }
        let mut decision = self.unchanged(Outcome::Applied);
        decision.emit = if self.saga.lifecycle.cancelling || self.saga.lifecycle.closing {
            cancel_event(self.saga, self.definition)
        } else {
            opening_event(self.saga, self.definition, self.participants)
        };
        decision.saga.nudges = self.saga.nudges.saturating_add(1);
        decision.saga.due = Some(
            self.patience
                .next(self.now, decision.saga.nudges, self.saga.deadline),
        );
        self.judge_stuck(&mut decision);
        Ok(Some(decision))
    }

    /// A saga that should have ended and has not moved for long is stuck: shown, and told once.
    fn judge_stuck(&self, decision: &mut OriginDecision) {
        let overdue = self.saga.deadline <= self.now || self.saga.lifecycle.closing;
        if !overdue {
            decision.saga.stuck = None;
            return;
        }
        let moved = self.saga.timeline.last_moved().unwrap_or(self.saga.created);
        let since = if self.saga.lifecycle.closing {
            moved
        } else {
            moved.max(self.saga.deadline)
        };
        let stuck_at = since.plus_millis(self.patience.stuck_millis);
        if stuck_at > self.now {
            // It has moved since, or was stuck only because its definition was missing.
            decision.saga.stuck = None;
            decision.saga.due = decision.saga.due.map(|due| due.min(stuck_at));
            return;
        }
        // Reports already. One that is stuck since before then was stuck for want of its definition, of which people were told.
        if self.saga.stuck.is_some_and(|since| since >= stuck_at) {
            return;
        }
        decision.saga.stuck = Some(self.now);
        decision.alert = Some(format!(
            "It should have ended and has not moved since it was asked to: the other cloud does not answer ({}).\n\n\
             Nothing is lost and nothing is torn: it is asked again with growing pauses, and ends when the other cloud \
             answers. Look whether the other cloud's functions run and what lies in the dead-letter stores; resolve it by \
             hand only if the other cloud will not come back.",
            decision.status
        ));
    }
}

fn owed_nothing(saga: &Saga) -> OriginDecision {
    let due = None;
    OriginDecision::marking(Saga { due, ..saga.clone() })
}

/// What the sweeper does with a saga that is due and that this deployment cannot steer, because it has not the saga's
/// definition or a participant of it: nothing is sent, the saga shows that it is stuck, and is looked at again later.
/// `None` when it is not due.
#[must_use]
pub fn hold(saga: &Saga, patience: Patience, now: Timestamp) -> Option<OriginDecision> {
    if saga.due.is_none_or(|due| due > now) {
        return None;
    }
    if !saga.is_owed() {
        return Some(owed_nothing(saga));
    }
    let nudges = saga.nudges.saturating_add(1);
    Some(OriginDecision::marking(Saga {
        nudges,
        due: Some(patience.next(now, nudges, saga.deadline)),
        stuck: saga.stuck.or(Some(now)),
        ..saga.clone()
    }))
}

/// A message of the saga came to rest in a dead-letter store; `None` when nothing is to be changed.
#[must_use]
pub fn park(saga: &Saga, mark: Mark) -> Option<OriginDecision> {
    if saga.is_parked(&mark.by) {
        return None;
    }
    let mut decision = OriginDecision::marking(saga.clone());
    // Who watches the dead letters tells of each; of a saga that has ended there is no more to say.
    if saga.is_owed() && saga.parked.is_empty() {
        decision.alert = Some(format!(
            "A message of it came to rest in a dead-letter store: {} ({}).\n\nNothing is lost. Mend the cause, then \
             replay the message; until then the saga is asked again with growing pauses.",
            mark.by, mark.reason
        ));
    }
    // Not a move of the saga: a line of its own outcome.
    let line = command_entry("parked", &mark, Outcome::Late);
    decision.saga.timeline.record(line);
    decision.saga.parked.push(mark);
    if decision.saga.parked.len() > Saga::MAX_PARKED {
        decision.saga.parked.remove(0);
    }
    Some(decision)
}
