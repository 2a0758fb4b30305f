//! What the origin learns of the other cloud's steps from an event ([`crate::reports`] says why).

use std::collections::BTreeMap;

use crate::address::Address;
use crate::definition::{Cloud, Definition};
use crate::document::Document;
use crate::event::Event;
use crate::ids::{StepIndex, Timestamp};
use crate::progress::{PROGRESS, Progress};
use crate::reports::{Observed, Reports};
use crate::saga::Saga;
use crate::step::StepState;
use crate::text::shown;

/// What an event says of the step that sent it.
struct Said<'a> {
    address: Address,
    sender: Cloud,
    at: Option<Timestamp>,
    reason: Option<&'a str>,
    reports: &'a Reports,
    progress: Option<Progress>,
}

impl Saga {
    /// Keeps what an event of a participant says of the steps of its cloud. Asked after the event was decided.
    pub(crate) fn observe(&mut self, definition: &Definition, event: &Event) {
        let said = Said {
            address: event.address,
            sender: event.sender,
            // Whoever writes no time has said none.
            at: Some(event.time).filter(|at| at.millis() > 0),
            reason: event.reason(),
            reports: &event.reports,
            progress: event
                .data
                .get(PROGRESS)
                .and_then(Document::as_text)
                .and_then(Progress::of_text),
        };
        let mut known = self.observed(definition);
        self.learn(definition, &mut known, &said);
        self.timeline.observed = known;
    }

    /// The last word of each step of another cloud that has said one. What is not kept is read from the timeline: an older
    /// version of the origin's functions, which may run beside this one, keeps nothing else.
    #[must_use]
    pub fn observed(&self, definition: &Definition) -> BTreeMap<StepIndex, Observed> {
        let mut known = self.timeline.observed.clone();
        for entry in &self.timeline.entries {
            let address = Address::parse(&entry.verb, entry.step);
            // Another publisher's word is no step's.
            let at = entry.event.decided_at(self.id);
            if let (Some(address), Some(at)) = (address, at) {
                let said = Said {
                    address,
                    sender: entry.cloud,
                    at: Some(at),
                    reason: entry.note.as_deref(),
                    reports: &Reports::default(),
                    progress: None,
                };
                self.learn(definition, &mut known, &said);
            }
        }
        known
    }

    fn learn(&self, definition: &Definition, known: &mut BTreeMap<StepIndex, Observed>, said: &Said<'_>) {
        let (sender, climbs) = match said.address {
            Address::Advance(step) | Address::Cancel(step) => (step.previous(), true),
            Address::Complete => (Some(definition.last()), true),
            Address::Compensate(step) => (Some(step.next()), false),
            Address::Cancelled => (Some(StepIndex::FIRST), false),
            Address::Report(step) => {
                self.learn_report(definition, known, step, said);
                return;
            }
            _ => return,
        };
        let is_theirs = |step: StepIndex| {
            let cloud = definition.step(step).map(|step| step.cloud);
            cloud == Some(said.sender) && said.sender != Cloud::ORIGIN
        };
        let Some(sender) = sender.filter(|step| is_theirs(*step)) else {
            return;
        };
        let words = said.reports.words();
        let steps = (0..definition.steps().len() as u8).map(StepIndex::new);
        for step in steps.filter(|step| is_theirs(*step)) {
            let word = words
                .get(&step)
                .filter(|(state, _)| climbs == (*state == StepState::Done));
            let heard = if climbs && step <= sender {
                // The time of a cancel is that of the wish.
                let own = said
                    .at
                    .filter(|_| step == sender && !matches!(said.address, Address::Cancel(_)));
                Observed {
                    state: Some(StepState::Done),
                    at: word.map(|(_, at)| *at).or(own),
                    reason: None,
                    progress: None,
                }
            } else if !climbs && step >= sender {
                let reason = said.reason.map(shown);
                let (state, at) = match word {
                    Some((state, at)) => (Some(*state), Some(*at)),
                    None if step == sender => (self.refused_or_undone(definition, known, step), said.at),
                    // It said nothing, and what it did is undone before those below it are.
                    None if known.get(&step).is_some_and(Observed::is_done) => {
                        (Some(StepState::Undone), None)
                    }
                    None => continue,
                };
                Observed {
                    state,
                    at,
                    reason,
                    progress: None,
                }
            } else {
                continue;
            };
            // A step that says what became of it is believed, whatever seemed to follow from the messages.
            let void = |state: Option<StepState>| state.is_some_and(StepState::is_void);
            let corrects = |known: &Observed| {
                word.is_some() && void(heard.state) && void(known.state) && heard.state != known.state
            };
            match known.get_mut(&step) {
                Some(known) if !heard.outdoes(known) && !corrects(known) => {
                    // A report of another step may have said so first, without the reason.
                    if (known.state, known.at) == (heard.state, heard.at) && known.reason.is_none() {
                        known.reason = heard.reason;
                    }
                }
                _ => {
                    known.insert(step, heard);
                }
            }
        }
    }

    /// A report tells how far its own step has come, and of the steps before it on its cloud what they have decided.
    fn learn_report(
        &self,
        definition: &Definition,
        known: &mut BTreeMap<StepIndex, Observed>,
        reported: StepIndex,
        said: &Said<'_>,
    ) {
        let is_theirs = |step: &StepIndex| {
            let cloud = definition.step(*step).map(|step| step.cloud);
            cloud == Some(said.sender) && said.sender != Cloud::ORIGIN
        };
        for (step, (state, at)) in said
            .reports
            .words()
            .into_iter()
            .filter(|(step, _)| is_theirs(step))
        {
            let heard = Observed {
                state: Some(state),
                at: Some(at),
                reason: None,
                progress: said.progress.clone().filter(|_| step == reported),
            };
            let further = |known: &Observed| {
                let far = |step: &Observed| {
                    let progress = step.progress.as_ref()?;
                    let (attempts, held) = (progress.attempts, progress.held);
                    // An attempt after a pause is counted.
                    Some((attempts, held, progress.next.is_none(), progress.paused.is_some()))
                };
                heard.outdoes(known) || known.state == heard.state && far(known) < far(&heard)
            };
            if known.get(&step).is_none_or(further) {
                known.insert(step, heard);
            }
        }
    }

    /// What a step was that asks the one before it to be undone, where it does not say so itself: only one step of a saga
    /// refuses, the highest that answered.
    fn refused_or_undone(
        &self,
        definition: &Definition,
        known: &BTreeMap<StepIndex, Observed>,
        step: StepIndex,
    ) -> Option<StepState> {
        let above = step.next();
        let answered = self.steps.range(above..).next().is_some();
        let next = definition.step(above).map(|step| step.cloud);
        if answered || known.get(&step).is_some_and(Observed::is_done) {
            Some(StepState::Undone)
        } else if next.is_none() || next == Some(Cloud::ORIGIN) {
            Some(StepState::Refused)
        } else {
            None
        }
    }
}
