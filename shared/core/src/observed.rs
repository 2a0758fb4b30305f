//! What the steps of the other cloud have said of themselves, and how it reaches the origin.
//!
//! The origin keeps no record of a step that is not its own: it hears of one by the events that come in. Where one step of
//! the other cloud follows another, the events between them never come in; so each event of that cloud carries what
//! its steps have said on the way ([`Told`]), and the origin keeps the last word of each ([`Observed`]) for whoever looks.
//! Invariant: nothing is decided by any of it.

use std::collections::BTreeMap;

use crate::definition::{Cloud, Definition};
use crate::event::{Address, Event};
use crate::ids::{StepIndex, Timestamp};
use crate::saga::Saga;
use crate::step::StepState;
use crate::text::shown;

/// What steps of one cloud have said of themselves, as it travels: `1 DONE 1790000000123, 2 REFUSED 1790000000456`, by
/// the number of the step, with milliseconds since 1970. Text, because a number may be rewritten between the clouds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told(String);

impl Told {
    /// The member of an event's data that it is. It stands under the event's checksum like all data.
    pub const MEMBER: &str = "saga_steps";

    /// No word of any step.
    pub const NOTHING: &'static Told = &Told(String::new());

    /// The text as it came. What in it is none of this version's words is not understood, and harms nobody.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The words, by step.
    fn words(&self) -> BTreeMap<StepIndex, (StepState, Timestamp)> {
        let word = |text: &str| {
            let mut parts = text.trim().split(' ');
            let step: u8 = parts.next()?.parse().ok()?;
            let state = parts.next()?.parse().ok()?;
            let at = Timestamp::from_millis(parts.next()?.parse().ok()?);
            let known = usize::from(step) < Definition::MAX_STEPS && parts.next().is_none();
            known.then_some((StepIndex::new(step), (state, at)))
        };
        self.0.split(',').filter_map(word).collect()
    }

    fn of_words(words: BTreeMap<StepIndex, (StepState, Timestamp)>) -> Self {
        let words = words
            .into_iter()
            .map(|(step, (state, at))| format!("{step} {} {}", state.as_str(), at.millis()));
        Self(words.collect::<Vec<_>>().join(", "))
    }

    /// What was said of the other steps: what a step stores of the message that moves it.
    #[must_use]
    pub(crate) fn of_others(&self, step: StepIndex) -> Self {
        let mut words = self.words();
        words.remove(&step);
        Self::of_words(words)
    }

    /// The same, and what this step says.
    #[must_use]
    pub(crate) fn and(&self, step: StepIndex, state: StepState, at: Timestamp) -> Self {
        let mut words = self.words();
        words.insert(step, (state, at));
        Self::of_words(words)
    }
}

/// The last word of a step of the other cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What it decided; `None` when it is not done, and was not said to have refused or to have been undone.
    pub state: Option<StepState>,
    /// When, by the clock of its cloud; `None` when that was not said.
    pub at: Option<Timestamp>,
    /// Why it refused or was undone.
    pub reason: Option<String>,
}

impl Observed {
    fn is_done(&self) -> bool {
        self.state == Some(StepState::Done)
    }

    /// Whether this says more than `known`, or something newer. What is undone or refused stays so.
    fn outdoes(&self, known: &Observed) -> bool {
        match (known.is_done(), self.is_done()) {
            (true, false) => true,
            (false, true) => false,
            (true, true) => known.at.is_none(),
            (false, false) => known.state.is_none() || known.at.is_none() && self.at.is_some(),
        }
    }
}

/// What an event says of the step that sent it.
struct Said<'a> {
    address: Address,
    sender: Cloud,
    at: Option<Timestamp>,
    reason: Option<&'a str>,
    told: &'a Told,
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
            told: &event.told,
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
                    told: &Told::default(),
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
        };
        let is_theirs = |step: StepIndex| {
            let cloud = definition.step(step).map(|step| step.cloud);
            cloud == Some(said.sender) && said.sender != Cloud::ORIGIN
        };
        let Some(sender) = sender.filter(|step| is_theirs(*step)) else {
            return;
        };
        let words = said.told.words();
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
                Observed { state, at, reason }
            } else {
                continue;
            };
            if known.get(&step).is_none_or(|known| heard.outdoes(known)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_comes_back_in_the_order_of_the_steps_and_each_step_has_one_word() {
        let at = Timestamp::from_millis;
        let told = Told::default()
            .and(StepIndex::new(2), StepState::Refused, at(7))
            .and(StepIndex::new(1), StepState::Done, at(5))
            .and(StepIndex::new(1), StepState::Undone, at(9));
        assert_eq!(told.as_str(), "1 UNDONE 9, 2 REFUSED 7");
        assert_eq!(told.of_others(StepIndex::new(1)).as_str(), "2 REFUSED 7");
    }

    #[test]
    fn what_is_none_of_our_words_is_passed_over() {
        for text in [
            "",
            ",",
            "1",
            "1 DONE",
            "1 DONE x",
            "1 DONE 5 more",
            "x DONE 5",
            "16 DONE 5",
            "1 done 5",
            "1  DONE 5",
        ] {
            assert_eq!(
                Told::new(text).of_others(StepIndex::FIRST),
                Told::default(),
                "{text:?}"
            );
        }
        let mixed = Told::new("3 LATER 5,1 DONE 5, ,2 UNDONE 6");
        assert_eq!(mixed.of_others(StepIndex::FIRST).as_str(), "1 DONE 5, 2 UNDONE 6");
    }
}
