//! Commands that show something on the saga and move nothing.

use super::command::Note;
use super::context::{Decided, Origin};
use crate::Outcome;
use crate::ids::Timestamp;
use crate::mark::{Asked, ParkedMessage};
use crate::saga::Saga;
use crate::text::shown;
use crate::timeline::Entry;

impl Origin<'_> {
    pub(super) fn park(&self, message: &ParkedMessage) -> Decided {
        if self.saga.is_parked(&message.event) {
            return Decided::Nothing(Outcome::Repeated);
        }
        let mut decision = self.unchanged(Outcome::Noted);
        // The watch over the dead letters alerts for each; a saga that has ended needs no alert of its own.
        if self.saga.is_owed() && self.saga.parked.is_empty() {
            decision.alert = Some(format!(
                "A message of it came to rest in a dead-letter store: {} ({}).\n\nNothing is lost. Mend the cause, then \
                 replay the message; until then the saga is asked again with growing pauses.",
                shown(message.event.as_str()),
                message.reason
            ));
        }
        let asked = Asked {
            by: message.event.as_str(),
            caller: None,
            why: &message.reason,
        };
        let line = Entry::of_command("parked", message.at, asked, Outcome::Noted);
        decision.saga.timeline.record(line);
        decision.saga.parked.push(message.clone());
        if decision.saga.parked.len() > Saga::MAX_PARKED {
            decision.saga.parked.remove(0);
        }
        decision.into()
    }

    pub(super) fn annotate(&self, notes: &[Note]) -> Decided {
        let mut decision = self.unchanged(Outcome::Noted);
        for note in notes {
            decision.saga.timeline.record(Entry {
                at: note.at,
                event: note.id.clone(),
                verb: note.verb.to_owned(),
                step: note.step,
                cloud: note.cloud,
                outcome: Outcome::Noted,
                note: Some(shown(&note.text)),
                times: 1,
                caller: note.caller.clone(),
                unverified: false,
            });
            let still = |parked: &ParkedMessage| note.unparks.as_ref() != Some(&parked.event);
            decision.saga.parked.retain(still);
        }
        decision.into()
    }

    pub(super) fn unpark(&self, looked: Timestamp, asked: Asked<'_>) -> Decided {
        let mut decision = self.unchanged(Outcome::Noted);
        decision.saga.parked.retain(|parked| parked.at > looked);
        if decision.saga.parked.len() == self.saga.parked.len() {
            return Decided::Nothing(Outcome::Repeated);
        }
        let line = Entry::of_command("unpark", self.now, asked, Outcome::Noted);
        decision.saga.timeline.record(line);
        decision.into()
    }
}
