//! What a transition broke of the invariants that speak of transitions.

use saga_core::call::CallVerb;
use saga_core::lifecycle::{Lifecycle, Phase};
use saga_core::step::{Class, Kind, Recover, Reply, StepState};
use saga_core::{Address, Cloud, StepIndex};

use super::state::{Broken, State};
use super::transit::Transit;
use super::world::{Action, World};

impl World {
    pub(super) fn broken(
        &self,
        before: &State,
        after: &State,
        action: Action,
        emitted: Option<Transit>,
    ) -> Option<Broken> {
        let delivered = match action {
            Action::Sweep | Action::SweepAfterWaits | Action::SweepAfterDeadline => {
                let looks_again = after.due != after.is_over();
                let wrong = emitted != self.owed(before, action) || !looks_again;
                return wrong.then_some(Broken::WrongRetransmission);
            }
            Action::Deliver(transit) => transit,
            Action::OutsiderCompensates => Transit::Event(Address::Compensate(StepIndex::FIRST)),
            // A command that comes too late changes nothing at all; a step that an override to COMPLETED left behind may
            // still be answered.
            _ if before.is_over() => {
                let settles = before.is_completed_by_override() && matches!(action, Action::Outside(..));
                let moved = after.lifecycle != before.lifecycle || !settles && after.steps != before.steps;
                return moved.then_some(Broken::NotHarmless);
            }
            _ => return None,
        };
        let outsider = action == Action::OutsiderCompensates;
        if !outsider && emitted.is_some_and(|emitted| self.height(emitted) <= self.height(delivered)) {
            return Some(Broken::Bounce);
        }
        if !self.is_harmless(before, after) {
            return Some(Broken::NotHarmless);
        }
        let contradiction = matches!(emitted, Some(Transit::Event(Address::Contradiction(_))));
        if contradiction && !before.forced && !before.is_completed_by_override() {
            return Some(Broken::PivotUndone);
        }
        match delivered {
            Transit::Event(Address::Cancel(step)) => self.torn(before, after, step, emitted),
            // Step 0 of a saga that is overridden goes back by itself, whatever comes from the steps after it.
            Transit::Event(Address::Compensate(StepIndex::FIRST))
                if self.definition.opens_at_origin() && before.lifecycle.phase == Phase::Cancelled =>
            {
                None
            }
            Transit::Event(Address::Compensate(step)) if !outsider => {
                let state = before.steps[usize::from(step.get())];
                let did = matches!(
                    state,
                    Some(StepState::Done | StepState::Undoing | StepState::Undone | StepState::Refused)
                );
                (!did).then_some(Broken::NullCompensation)
            }
            _ => None,
        }
    }

    /// I4. Climbing first, then falling, and never back: so every chain of messages ends.
    fn height(&self, transit: Transit) -> (u8, i16) {
        let at = |step: StepIndex| 4 * i16::from(step.get());
        match transit {
            Transit::Event(Address::Advance(step) | Address::Cancel(step)) => (0, at(step)),
            Transit::Event(Address::Act(step)) => (0, at(step) + 1),
            Transit::Request(step, CallVerb::Act) => (0, at(step) + 2),
            Transit::Word(step, Reply::Accepted | Reply::Refused)
            | Transit::Decision(step, Reply::Accepted | Reply::Refused) => (0, at(step) + 3),
            Transit::Event(Address::Complete) => (0, 4 * self.steps() as i16),
            Transit::Event(Address::Compensate(step)) => (1, -at(step)),
            Transit::Event(Address::Undo(step)) => (1, 1 - at(step)),
            Transit::Request(step, CallVerb::Undo) => (1, 2 - at(step)),
            Transit::Word(step, Reply::Undone) | Transit::Decision(step, Reply::Undone) => (1, 3 - at(step)),
            Transit::Event(Address::Cancelled) => (1, 4),
            Transit::Event(
                Address::Contradiction(_) | Address::Answer(_) | Address::Report(_) | Address::Waiting(_),
            ) => (2, 0),
        }
    }

    /// I5. Once the saga has ended, the lifecycle stays as it is, but for the flags of an override that is followed; step 0
    /// moves only on its way back; and once nothing is owed (and no operator completed it against the facts) nothing moves
    /// anywhere any more.
    fn is_harmless(&self, before: &State, after: &State) -> bool {
        if before.lifecycle.phase == Phase::Open {
            return true;
        }
        let closed = Lifecycle {
            closing: before.lifecycle.closing && after.lifecycle.closing,
            followed: before.lifecycle.closing && after.lifecycle.followed,
            ..before.lifecycle
        };
        let outside = self.kind(0) != Kind::Local;
        let first_may = before.steps[0] == after.steps[0]
            || !self.definition.opens_at_origin()
            || outside && before.is_completed_by_override()
            || outside && after.steps[0].is_some_and(StepState::is_compensating);
        let others_may =
            !before.is_over() || before.is_completed_by_override() || after.steps == before.steps;
        after.lifecycle == closed && first_may && others_may
    }

    /// I6. A cancel stands in the way of a step that has not acted, leaves one that has as it is, and is passed on by that; a
    /// step whose outcome is unknown decides later.
    fn torn(
        &self,
        before: &State,
        after: &State,
        step: StepIndex,
        emitted: Option<Transit>,
    ) -> Option<Broken> {
        let number = usize::from(step.get());
        if number == 0 && self.definition.opens_at_origin() {
            return None;
        }
        let (known, now) = (before.steps[number], after.steps[number]);
        let holds = match known {
            None | Some(StepState::Waiting) => now == Some(StepState::Refused),
            Some(StepState::Done) => {
                let last = number + 1 == self.steps();
                let onward = if self.class(number) == Class::Pivot {
                    Address::Advance(step.next())
                } else {
                    Address::Cancel(step.next())
                };
                // From the last step the saga completes: at the origin in the same transaction, else by a message.
                let chases = if last {
                    emitted == Some(Transit::Event(Address::Complete)) || after.lifecycle.phase != Phase::Open
                } else {
                    emitted == Some(Transit::Event(onward))
                };
                now == known && chases
            }
            Some(StepState::Refused | StepState::Undone) => now == known,
            Some(StepState::Acting | StepState::Stopping | StepState::Undoing) => true,
        };
        (!holds).then_some(Broken::Torn)
    }

    /// What the sweeper sends: the answer of the clock for a step whose time is over; the wish to cancel, once there is one; else the
    /// opening. While an override is followed, the cancel for the other steps and by turns step 0's own request.
    fn owed(&self, before: &State, action: Action) -> Option<Transit> {
        if before.is_over() {
            return None;
        }
        let lifecycle = before.lifecycle;
        let first = self.definition.first_after_origin();
        let takes = |number: usize| lifecycle.phase == Phase::Open || self.class(number) == Class::Retriable;
        let waits = |number: &usize| before.steps[*number] == Some(StepState::Waiting) && takes(*number);
        if let (Some(number), true) = ((0..self.steps()).find(waits), action != Action::Sweep) {
            return self.clock_answers(before, number);
        }
        let opens = self.definition.opens_at_origin();
        let opener = before.steps[0].filter(|_| opens);
        let calls = opener.is_some_and(StepState::is_calling);
        let event = |address| Some(Transit::Event(address));
        if lifecycle.closing {
            return if calls && (lifecycle.followed || !before.turn) {
                self.request(opener)
            } else {
                event(Address::Cancel(first))
            };
        }
        let pivot = self.definition.pivot().map(|pivot| usize::from(pivot.get()));
        let past_pivot = pivot.is_some_and(|pivot| {
            self.cloud(pivot) == Cloud::ORIGIN && before.steps[pivot] == Some(StepState::Done)
        });
        let late = action == Action::SweepAfterDeadline && !past_pivot;
        let cancels = lifecycle.cancelling || late;
        match opener {
            None if cancels => event(Address::Cancel(first)),
            None => event(Address::Advance(first)),
            Some(StepState::Done) if cancels && self.class(0) == Class::Compensatable => {
                event(Address::Cancel(first))
            }
            Some(StepState::Done) => event(Address::Advance(first)),
            Some(StepState::Acting) if cancels && self.class(0) == Class::Compensatable => {
                self.request(Some(StepState::Stopping))
            }
            other => self.request(other),
        }
    }

    /// What step 0's record asks of its service.
    fn request(&self, state: Option<StepState>) -> Option<Transit> {
        let tombstone = self.kind(0) == Kind::Call(Recover::Tombstone);
        let address = match state? {
            StepState::Acting => Address::Act(StepIndex::FIRST),
            StepState::Stopping if tombstone => Address::Undo(StepIndex::FIRST),
            StepState::Stopping => Address::Act(StepIndex::FIRST),
            StepState::Undoing => Address::Undo(StepIndex::FIRST),
            _ => return None,
        };
        Some(Transit::Event(address))
    }

    /// Nobody has answered in time.
    fn clock_answers(&self, before: &State, number: usize) -> Option<Transit> {
        let step = StepIndex::new(number as u8);
        let last = number + 1 == self.steps();
        let ended = before.lifecycle.phase != Phase::Open;
        let address = match self.class(number) {
            Class::Retriable if last && ended => Address::Compensate(step),
            Class::Retriable if last => return None,
            Class::Retriable => Address::Advance(step.next()),
            Class::Compensatable | Class::Pivot => Address::Compensate(step.previous()?),
        };
        Some(Transit::Event(address))
    }
}
