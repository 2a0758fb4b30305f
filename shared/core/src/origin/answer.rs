//! Steps that are answered from outside: by their service, by a person or another system, or by the clock.

use super::command::Answer;
use super::context::{Decided, Misaddressed, Origin};
use crate::Outcome;
use crate::address::Address;
use crate::call::Undecided;
use crate::definition::{Cloud, OnTimeout};
use crate::document::{Document, Fields};
use crate::event::reason_data;
use crate::ids::{StepIndex, Timestamp};
use crate::lifecycle::Phase;
use crate::participate::Message;
use crate::saga::Saga;
use crate::step::{Class, Reply, StepState, StepVerb};
use crate::timeline::Entry;

/// The member of an `answer` event's data that says what is answered.
const REPLY: &str = "saga_reply";
/// The member of an `answer` event's data that holds the output.
const OUTPUT: &str = "saga_output";

impl Reply {
    /// The word in requests, answers and timelines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reply::Accepted => "accepted",
            Reply::Refused => "refused",
            Reply::Undone => "undone",
        }
    }

    /// The reply that a word says.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Accepted, Self::Refused, Self::Undone]
            .into_iter()
            .find(|reply| reply.as_str() == word)
    }
}

/// The reply and its data in an `answer` event.
#[must_use]
pub fn reply_of(data: &Fields) -> Option<(Reply, Fields)> {
    let reply = Reply::of_word(data.get(REPLY)?.as_text()?)?;
    let given = match (reply, data.get(OUTPUT)) {
        (Reply::Accepted, Some(Document::Map(output))) => output.clone(),
        (Reply::Accepted, _) => Fields::new(),
        (Reply::Refused | Reply::Undone, _) => {
            reason_data(data, data.get("reason").and_then(Document::as_text))
        }
    };
    Some((reply, given))
}

impl Origin<'_> {
    pub(super) fn answer(&self, answer: &Answer<'_>) -> Result<Decided, Misaddressed> {
        let definition = self.known()?;
        let step = definition.step(answer.step);
        let owner = step.map(|step| step.cloud);
        if owner.is_some_and(|owner| owner != Cloud::ORIGIN) {
            return Ok(self.forward(answer));
        }
        let step = self.owned(answer.step)?;
        let record = self.saga.steps.get(&answer.step);
        if answer.asked.is_some() && !record.is_some_and(|record| record.takes_answers()) {
            let same = record.is_some_and(|record| is_same(record.state, answer.reply));
            return Ok(Decided::Nothing(if same {
                Outcome::Repeated
            } else {
                Outcome::Late
            }));
        }
        let waits = record.is_some_and(|record| record.state == StepState::Waiting);
        if waits && !self.may_answer(step.rules().class) {
            return Ok(Decided::Nothing(Outcome::Late));
        }
        let verb = StepVerb::Answer(answer.reply);
        let message = Message::own(verb, self.now, &self.saga.trace, &answer.data);
        let decided = step.decide(record, &message, &Default::default(), self.now);
        if decided.outcome == Outcome::Late && (decided.alert.is_none() || answer.asked.is_some()) {
            return Ok(Decided::Nothing(Outcome::Late));
        }
        let mut decision = self.take(decided)?;
        decision.saga.stuck = None;
        decision.saga.timeline.record(self.line(answer, decision.outcome));
        Ok(decision.into())
    }

    /// The step is on another cloud: the answer goes there as an event.
    fn forward(&self, answer: &Answer<'_>) -> Decided {
        let observed = self.definition.map(|definition| self.saga.observed(definition));
        let observed = observed.and_then(|steps| steps.get(&answer.step).and_then(|step| step.state));
        match observed {
            Some(state) if is_same(state, answer.reply) => return Decided::Nothing(Outcome::Repeated),
            Some(StepState::Done | StepState::Refused | StepState::Undone) => {
                return Decided::Nothing(Outcome::Late);
            }
            _ => {}
        }
        let reason = answer.data.get("reason").and_then(Document::as_text);
        let mut data = reason_data(&self.saga.input, reason);
        data.insert(REPLY.into(), answer.reply.as_str().into());
        if answer.reply == Reply::Accepted {
            data.insert(OUTPUT.into(), Document::Map(answer.data.clone()));
        }
        let mut decision = self.unchanged(Outcome::Noted);
        decision.emit = self.event(|_| Address::Answer(answer.step), self.now, 1, data);
        decision.saga.timeline.record(self.line(answer, Outcome::Applied));
        decision.into()
    }

    fn line(&self, answer: &Answer<'_>, outcome: Outcome) -> Entry {
        let reason = answer.data.get("reason").and_then(Document::as_text);
        let note = match answer.asked {
            Some(asked) => Some(format!("{}: {}", asked.by, asked.why)),
            None => reason.map(str::to_owned),
        };
        Entry {
            caller: answer.asked.and_then(|asked| asked.caller.cloned()),
            ..Entry::of_step(answer.reply.as_str(), answer.step, self.now, outcome, note)
        }
    }

    pub(super) fn undecided(&self, index: StepIndex, attempt: &Undecided) -> Result<Decided, Misaddressed> {
        let step = self.owned(index)?;
        let data = Fields::new();
        let message = Message::own(StepVerb::Advance, self.now, &self.saga.trace, &data);
        let record = self.saga.steps.get(&index);
        let undecided = record.and_then(|record| step.undecided(record, &message, attempt, self.now));
        let Some(undecided) = undecided else {
            return Ok(Decided::Nothing(Outcome::Late));
        };
        let mut decision = self.take(undecided)?;
        if decision.alert.is_some() {
            decision.held = Some((index, attempt.clone()));
        }
        if decision.saga.is_held() && !self.saga.is_held() {
            let line = Entry::of_step("held", index, self.now, Outcome::Noted, Some(attempt.why.clone()));
            decision.saga.timeline.record(line);
        }
        Ok(decision.into())
    }

    /// Whether a step that waits still takes an answer: once the saga has ended, a cancel comes for it or nothing does. What
    /// follows a pivot goes forward, also then.
    fn may_answer(&self, class: Class) -> bool {
        self.saga.lifecycle.phase == Phase::Open || class == Class::Retriable
    }

    /// The first step of ours that waits and whose time has passed is answered by the clock.
    pub(super) fn time_out(&self) -> Result<Option<Decided>, Misaddressed> {
        let over = |(_, _, at): &(StepIndex, OnTimeout, Timestamp)| *at <= self.now;
        let Some((index, on_timeout, _)) = self.waiting(self.saga).find(over) else {
            return Ok(None);
        };
        let (reply, why) = match on_timeout {
            OnTimeout::Accept => (Reply::Accepted, "its time has passed"),
            OnTimeout::Refuse => (Reply::Refused, "nobody answered in time"),
            OnTimeout::Hold => return Ok(None),
        };
        let answer = Answer {
            step: index,
            reply,
            data: match reply {
                Reply::Accepted => Fields::new(),
                _ => reason_data(&Fields::new(), Some(why)),
            },
            asked: None,
        };
        self.answer(&answer).map(Some)
    }

    /// The steps that the clock answers, what it answers, and when.
    fn waiting<'s>(&'s self, saga: &'s Saga) -> impl Iterator<Item = (StepIndex, OnTimeout, Timestamp)> + 's {
        let definition = self.definition.into_iter();
        definition.flat_map(move |definition| {
            let goes_on = saga.lifecycle.phase == Phase::Open;
            saga.steps.iter().filter_map(move |(index, record)| {
                let step = definition.step(*index)?;
                let wait = step.wait()?;
                let takes = goes_on || step.class == Class::Retriable;
                let until = record.at.plus_millis(wait.within_millis?);
                (record.state == StepState::Waiting && takes).then_some((*index, wait.on_timeout, until))
            })
        })
    }

    /// When the saga is looked at next: not after the time of a step that waits.
    pub(super) fn with_waits(&self, saga: &Saga) -> Option<Timestamp> {
        let due = saga.due?;
        let ahead = self
            .waiting(saga)
            .map(|(_, _, at)| at)
            .filter(|at| *at > self.now);
        Some(ahead.fold(due, Timestamp::min))
    }

    /// The first step of ours that cannot be answered and that nobody asks for, and why.
    pub(super) fn unheard(&self) -> Option<(StepIndex, Undecided)> {
        self.saga.steps.iter().find_map(|(index, record)| {
            let attempt = self.owned(*index).ok()?.unheard(record, self.now)?;
            Some((*index, attempt))
        })
    }
}

fn is_same(state: StepState, reply: Reply) -> bool {
    matches!(
        (state, reply),
        (StepState::Done, Reply::Accepted)
            | (StepState::Refused, Reply::Refused)
            | (StepState::Undone, Reply::Undone)
    )
}
