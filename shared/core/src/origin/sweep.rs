//! What the sweeper does with a saga that is due: cancel it when its deadline has passed, and otherwise send again
//! what opened it. Because every repeat is answered again, one retransmission from the origin heals the
//! loss of any message anywhere.

use super::context::{Decided, Misaddressed, Origin, OriginDecision};
use crate::Outcome;
use crate::definition::Definition;
use crate::event::Event;
use crate::ids::{StepIndex, Timestamp};
use crate::lifecycle::Phase;
use crate::mark::Asked;
use crate::saga::Status;
use crate::timeline::Entry;

const NOT_DUE: Decided = Decided::Nothing(Outcome::Repeated);

impl Origin<'_> {
    fn is_due(&self) -> bool {
        self.saga.due.is_some_and(|due| due <= self.now)
    }

    pub(super) fn sweep(&self) -> Result<Decided, Misaddressed> {
        if !self.is_due() {
            return Ok(NOT_DUE);
        }
        if !self.saga.is_owed() {
            return Ok(self.owed_nothing());
        }
        let definition = self.known()?;
        let lifecycle = self.saga.lifecycle;
        if let Some(decided) = self.time_out()? {
            return Ok(decided);
        }
        let overdue = lifecycle.phase == Phase::Open && self.saga.deadline <= self.now;
        if overdue && !lifecycle.cancelling && !self.is_past_pivot() {
            let asked = Asked {
                by: "deadline",
                caller: None,
                why: "the deadline has passed",
            };
            let mut decision = self.cancel(asked.by, asked.why)?;
            let line = Entry::of_command("cancel", self.now, asked, decision.outcome);
            decision.saga.timeline.record(line);
            return Ok(decision.into());
        }
        let mut decision = self.unchanged(Outcome::Applied);
        self.send_again(definition, &mut decision)?;
        if !decision.saga.is_owed() {
            return Ok(decision.into());
        }
        decision.saga.nudges = self.saga.nudges.saturating_add(1);
        decision.saga.due = Some(
            self.patience
                .next(self.now, decision.saga.nudges, self.saga.deadline),
        );
        decision.saga.due = self.with_waits(&decision.saga);
        if let Some((index, attempt)) = self.unheard() {
            decision.alert = self
                .undecided(index, &attempt)?
                .decision()
                .and_then(|decision| decision.alert);
            decision.held = Some((index, attempt));
            return Ok(decision.into());
        }
        match self.stuck_at() {
            Some(at) if at <= self.now => {
                if !self.alerted_since(at) {
                    decision.alert = Some(stuck(decision.status));
                }
            }
            // It has moved since, or was stuck only because its definition was missing.
            at => {
                decision.saga.stuck = None;
                decision.saga.due = decision.saga.due.map(|due| due.min(at.unwrap_or(due)));
            }
        }
        Ok(decision.into())
    }

    /// Sends at once what the sweep would send next. When the saga is looked at, and from when on it counts as stuck, stays as
    /// it is: so the line says that nothing moved.
    pub(super) fn retransmit(&self, asked: Asked<'_>) -> Result<Decided, Misaddressed> {
        if !self.saga.is_owed() {
            return Ok(Decided::Nothing(Outcome::Late));
        }
        let definition = self.known()?;
        let mut decision = self.unchanged(Outcome::Noted);
        self.send_again(definition, &mut decision)?;
        let line = Entry::of_command("retransmit", self.now, asked, Outcome::Noted);
        decision.saga.timeline.record(line);
        Ok(decision.into())
    }

    /// The event that carries the saga on from the origin: its opening, or the cancel that follows it.
    fn send_again(&self, definition: &Definition, decision: &mut OriginDecision) -> Result<(), Misaddressed> {
        if definition.opens_at_origin() {
            // Step 0's participant makes the opening event.
            self.owned(StepIndex::FIRST)?;
        }
        if self.saga.lifecycle.closing {
            decision.emit = self.closing_event();
        } else if self.saga.lifecycle.cancelling {
            self.send_cancel(decision)?;
        } else {
            decision.emit = self.opening_event();
        }
        Ok(())
    }

    /// While an override is followed: the cancel for the steps after the first, and by turns the first one's own request, until
    /// each is confirmed.
    fn closing_event(&self) -> Option<Event> {
        let asks = self.first_is_calling();
        let turn = self.saga.nudges.is_multiple_of(2);
        if asks && (self.saga.lifecycle.followed || turn) {
            self.opening_event()
        } else {
            self.cancel_event()
        }
    }

    /// When the saga counts as stuck, unless it moves before: an end that is overdue, and no move for long. `None` while
    /// its end is not overdue.
    fn stuck_at(&self) -> Option<Timestamp> {
        let moved = self.saga.timeline.last_moved().unwrap_or(self.saga.created);
        let since = if self.saga.lifecycle.closing {
            moved
        } else if self.saga.deadline <= self.now {
            moved.max(self.saga.deadline)
        } else {
            return None;
        };
        Some(since.plus_millis(self.patience.stuck_millis))
    }

    /// Whether the saga is shown as stuck and was not so before `at`, for want of its definition, of which another alert
    /// was sent.
    fn alerted_since(&self, at: Timestamp) -> bool {
        self.saga.stuck.is_some_and(|since| since >= at)
    }

    pub(super) fn flag_stuck(&self) -> Decided {
        let stuck = |at: Timestamp| at <= self.now && !self.alerted_since(at);
        if !self.saga.is_owed() || !self.stuck_at().is_some_and(stuck) {
            return Decided::Nothing(Outcome::Repeated);
        }
        let mut decision = self.unchanged(Outcome::Applied);
        decision.saga.stuck = Some(self.now);
        decision.into()
    }

    /// Nothing is sent: this deployment does not know what.
    pub(super) fn hold(&self, alerted: bool) -> Decided {
        if !self.is_due() {
            return NOT_DUE;
        }
        if !self.saga.is_owed() {
            return self.owed_nothing();
        }
        let mut decision = self.unchanged(Outcome::Applied);
        let nudges = self.saga.nudges.saturating_add(1);
        decision.saga.nudges = nudges;
        decision.saga.due = Some(self.patience.next(self.now, nudges, self.saga.deadline));
        decision.saga.stuck = self.saga.stuck.or(alerted.then_some(self.now));
        decision.into()
    }

    fn owed_nothing(&self) -> Decided {
        let mut decision = self.unchanged(Outcome::Applied);
        decision.saga.due = None;
        decision.into()
    }
}

fn stuck(status: Status) -> String {
    format!(
        "It should have ended and has not moved since it was asked to: the other cloud does not answer ({status}).\n\n\
         Nothing is lost and nothing is torn: it is asked again with growing pauses, and ends when the other cloud \
         answers. Look whether the other cloud's functions run and what lies in the dead-letter stores; resolve it by \
         hand only if the other cloud will not come back."
    )
}
