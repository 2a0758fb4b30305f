//! Calls of outside services: which request a record still owes, and what an attempt without a decision leaves in it.
//!
//! Invariants: no request is made that no committed record asks for (I7); `act` is not sent again after the service may
//! have forgotten its key, whatever is retransmitted; an unknown outcome stays unknown until somebody decides.

use crate::Outcome;
use crate::address::Address;
use crate::definition::{Cloud, OnTimeout};
use crate::document::Fields;
use crate::event::{Emit, reason_data};
use crate::ids::Timestamp;
use crate::participate::{Message, Step, StepDecision, StepRecord};
use crate::progress::{PROGRESS, Progress};
use crate::step::{Effect, Recover, StepState};
use crate::text::shown;

/// A request to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallVerb {
    /// Do it.
    Act,
    /// Undo it.
    Undo,
}

impl CallVerb {
    /// The word in events, keys and paths.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CallVerb::Act => "act",
            CallVerb::Undo => "undo",
        }
    }
}

/// What the record of a call step owes to its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owed {
    /// This request.
    Request(CallVerb),
    /// The outcome is unknown and must not be asked for any more: the service may have forgotten the key.
    KeyExpired,
    /// Nothing.
    Nothing,
}

/// An attempt that ended without a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The request; `None` where nobody was asked.
    pub verb: Option<CallVerb>,
    /// What happened.
    pub why: String,
    /// A person is needed at once: asking again changes nothing by itself.
    pub hold: bool,
    /// When it is asked again; `None` when it is not.
    pub next: Option<Timestamp>,
    /// The alert about it was sent: the step is shown as held. Until then each attempt asks for the alert.
    pub alerted: bool,
    /// Nothing was asked, because the service is paused: no attempt is counted, and no patience is used up.
    pub paused: bool,
}

impl Step<'_> {
    /// What the record owes to its service when a request for `verb` arrives. A request that the record does not ask for is
    /// a repeat, or was overtaken.
    #[must_use]
    pub fn owed(&self, record: Option<&StepRecord>, verb: CallVerb, now: Timestamp) -> Owed {
        let (Some(record), Some(call)) = (record, self.step().call()) else {
            return Owed::Nothing;
        };
        if self.asks(record) != Some(verb) {
            return Owed::Nothing;
        }
        // The answer may come as late as the attempt lasts.
        let late = now.plus_millis(call.timeout_millis);
        let forgotten = record.began().plus_millis(call.key_lifetime_millis);
        // An undo before the outcome is known relies on the key, too: who has forgotten it finds nothing to undo.
        let relies = verb == CallVerb::Act || record.state == StepState::Stopping;
        if relies && late > forgotten {
            return Owed::KeyExpired;
        }
        Owed::Request(verb)
    }

    /// The request that the record asks for.
    fn asks(&self, record: &StepRecord) -> Option<CallVerb> {
        match (record.state, self.step().call()?.recover) {
            (StepState::Acting, _) | (StepState::Stopping, Recover::Key) => Some(CallVerb::Act),
            (StepState::Stopping, Recover::Tombstone) | (StepState::Undoing, _) => Some(CallVerb::Undo),
            _ => None,
        }
    }

    /// Keeps what became of an attempt without a decision. `None` when the record does not call any more.
    #[must_use]
    pub fn undecided(
        &self,
        record: &StepRecord,
        message: &Message<'_>,
        attempt: &Undecided,
        now: Timestamp,
    ) -> Option<StepDecision> {
        let waits = record.state == StepState::Waiting;
        if !record.state.is_calling() && !waits || attempt.verb.is_some() && self.asks(record) != attempt.verb
        {
            return None;
        }
        let known = record.progress.clone();
        let mut progress = known.unwrap_or_else(|| Progress::since(record.at));
        let begun = progress.since.max(record.at);
        let patience = self.step().call().map_or(i64::MAX, |call| call.hold_after_millis);
        let was_paused = progress.paused.is_some();
        if attempt.paused {
            progress.pauses(now);
        } else {
            progress.goes_on(now);
        }
        // It is not asked again, though the service may be mended: that is news even where a person is needed already.
        let given_up = attempt.hold && attempt.next.is_none();
        let impatient = !attempt.paused && progress.patience_ends(begun, patience) <= now;
        let overdue = attempt.hold || impatient;
        let newly = progress.held.is_none() && overdue || given_up && progress.next.is_some();
        let counts = !waits && !given_up && !attempt.alerted && !attempt.paused;
        progress.attempts = progress.attempts.saturating_add(u32::from(counts));
        progress.error = Some(shown(&attempt.why));
        // What is given up is so once the alert was sent: else nobody would hear of it.
        if !given_up || attempt.alerted {
            progress.next = attempt.next;
        }
        let holds = newly && attempt.alerted;
        if holds {
            progress.held = progress.held.or(Some(now));
        }
        // The origin shows what it hears of: each further report says twice as much, or that a pause began or is over.
        let turned = was_paused != progress.paused.is_some();
        let reported = holds || turned || counts && progress.attempts.is_power_of_two();
        let record = StepRecord {
            progress: Some(progress),
            ..record.clone()
        };
        let emit = (reported && self.cloud() != Cloud::ORIGIN)
            .then(|| self.report(&record, message, now))
            .flatten();
        Some(StepDecision {
            index: self.index,
            outcome: Outcome::Noted,
            effect: Effect::None,
            alert: (newly && !attempt.alerted).then(|| self.held(&record)),
            record: Some(record),
            writes: Vec::new(),
            emit,
        })
    }

    /// What keeps a record from being answered, where nobody asks for it any more: its request has reached no caller for long,
    /// or nobody answered in time and an operator is to.
    #[must_use]
    pub(crate) fn unheard(&self, record: &StepRecord, now: Timestamp) -> Option<Undecided> {
        let progress = record
            .progress
            .as_ref()
            .filter(|progress| progress.held.is_none())?;
        let (until, why) = match (self.step().call(), self.step().wait()) {
            (Some(call), _) if record.state.is_calling() && progress.attempts == 0 => (
                progress.patience_ends(progress.since.max(record.at), call.hold_after_millis),
                "no request has reached its caller: look at the queue and the function of this service",
            ),
            (_, Some(wait)) if record.state == StepState::Waiting && wait.on_timeout == OnTimeout::Hold => (
                record.at.plus_millis(wait.within_millis?),
                "nobody answered in time",
            ),
            _ => return None,
        };
        (until <= now).then(|| Undecided {
            verb: None,
            why: why.to_owned(),
            hold: true,
            next: None,
            alerted: false,
            paused: false,
        })
    }

    fn report(&self, record: &StepRecord, message: &Message<'_>, now: Timestamp) -> Option<crate::Event> {
        let mut data: Fields = reason_data(&record.data, None);
        if let Some(progress) = &record.progress {
            data.insert(PROGRESS.into(), progress.to_text().into());
        }
        Emit {
            saga: self.saga,
            definition: self.definition,
            address: Address::Report(self.index),
            sender: self.cloud(),
            time: now,
            hop: record.hop,
            trace: message.trace,
            data,
            reports: record.reports.and(self.index, record.state, record.at),
        }
        .event()
    }

    /// The alert for a step that needs a person.
    fn held(&self, record: &StepRecord) -> String {
        let why = record
            .progress
            .as_ref()
            .and_then(|progress| progress.error.as_deref())
            .unwrap_or("nobody answered");
        let name = &self.step().name;
        match self.step().call() {
            Some(call) => format!(
                "Step `{name}` is held: service `{}` gave no decision ({why}).\n\nNothing is lost and nothing is guessed: \
                 whether its effect exists is not known. Mend the service or its binding, and the step goes on by itself; \
                 where the text says that it is not asked again, find out at the service and answer for it with a reason.",
                call.service
            ),
            None => {
                format!("Step `{name}` is held: {why}.\n\nNothing is lost. Answer it, or cancel the saga.")
            }
        }
    }
}
