//! The saga as the origin keeps it, and its status: a fold of the facts, so the order of their arrival does
//! not matter.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::definition::{Cloud, Definition, DefinitionRef};
use crate::document::{Document, Fields};
use crate::ids::{EventId, SagaId, StepIndex, Timestamp, TraceParent};
use crate::lifecycle::{Lifecycle, Phase};
use crate::mark::{Mark, ParkedMessage};
use crate::participate::StepRecord;
use crate::step::StepState;
use crate::timeline::Timeline;

/// Where a saga stands, in the words that users of the pattern know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// A step on Azure owes the next answer.
    PendingAzureConfirmation,
    /// A step on AWS owes the next answer.
    PendingAwsConfirmation,
    /// A later step refused; the earlier ones are being undone.
    Compensating,
    /// All steps are done.
    Completed,
    /// None is.
    CancelledViaCompensation,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 5] = [
        Status::PendingAzureConfirmation,
        Status::PendingAwsConfirmation,
        Status::Compensating,
        Status::Completed,
        Status::CancelledViaCompensation,
    ];

    /// The word used in stores and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::PendingAzureConfirmation => "PENDING_AZURE_CONFIRMATION",
            Status::PendingAwsConfirmation => "PENDING_AWS_CONFIRMATION",
            Status::Compensating => "COMPENSATING",
            Status::Completed => "COMPLETED",
            Status::CancelledViaCompensation => "CANCELLED_VIA_COMPENSATION",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Status::Completed | Status::CancelledViaCompensation)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown status")]
pub struct UnknownStatus;

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(UnknownStatus)
    }
}

/// What is to be known of a saga beside its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// A cancel was asked for.
    CancelRequested,
    /// An override has not been followed everywhere yet.
    Closing,
    /// A message of it came to rest in a dead-letter store, and nobody has replayed or discarded it.
    Parked,
    /// A step is answered from outside, and needs a person.
    Held,
    /// It should have ended and does not move.
    Stuck,
    /// An operator or another publisher decided its end.
    Resolved,
}

impl Flag {
    /// Every flag.
    pub const ALL: [Flag; 6] = [
        Flag::CancelRequested,
        Flag::Closing,
        Flag::Parked,
        Flag::Held,
        Flag::Stuck,
        Flag::Resolved,
    ];

    /// The word used in answers and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Flag::CancelRequested => "cancel_requested",
            Flag::Closing => "closing",
            Flag::Parked => "parked",
            Flag::Held => "held",
            Flag::Stuck => "stuck",
            Flag::Resolved => "resolved",
        }
    }
}

/// A text that is not a flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown flag")]
pub struct UnknownFlag;

impl FromStr for Flag {
    type Err = UnknownFlag;

    fn from_str(text: &str) -> Result<Self, UnknownFlag> {
        Self::ALL
            .into_iter()
            .find(|flag| flag.as_str() == text)
            .ok_or(UnknownFlag)
    }
}

/// One saga: what the origin knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saga {
    /// Its id.
    pub id: SagaId,
    /// The definition it started with.
    pub definition: DefinitionRef,
    /// What the caller gave.
    pub input: Fields,
    /// When it started.
    pub created: Timestamp,
    /// When it is to be cancelled, if it has not ended.
    pub deadline: Timestamp,
    /// The caller's trace context.
    pub trace: TraceParent,
    /// Whether it has ended, and how.
    pub lifecycle: Lifecycle,
    /// The records of the origin cloud's own steps.
    pub steps: BTreeMap<StepIndex, StepRecord>,
    /// Who asked for the cancel, if anybody did.
    pub cancel: Option<Mark>,
    /// Who overrode it, if anybody did.
    pub resolved: Option<Mark>,
    /// Messages of it that came to rest in a dead-letter store, the newest last:
    /// until an operator replays or discards it. Whether the saga moves, or ends, does not take it out of there.
    pub parked: Vec<ParkedMessage>,
    /// Since when it is seen not to move, though its deadline has passed.
    pub stuck: Option<Timestamp>,
    /// The status as the decision before showed it: for whoever does not know the saga's definition. Whoever stores a
    /// decision writes its own.
    pub shown: Status,
    /// What happened.
    pub timeline: Timeline,
    /// When the sweeper looks at it next; `None` once nothing can be owed any more.
    pub due: Option<Timestamp>,
    /// How often the sweeper has sent its opening event again, or seen that this deployment cannot.
    pub nudges: u32,
}

impl Saga {
    /// Its flags.
    pub fn flags(&self) -> impl Iterator<Item = Flag> {
        let set = |flag: &Flag| match flag {
            Flag::CancelRequested => self.cancel.is_some(),
            Flag::Closing => self.lifecycle.closing,
            Flag::Parked => !self.parked.is_empty(),
            Flag::Held => self.is_held(),
            Flag::Stuck => self.stuck.is_some(),
            Flag::Resolved => self.resolved.is_some(),
        };
        Flag::ALL.into_iter().filter(set)
    }

    /// Whether a step of it needs a person.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let own = self.steps.values().map(|record| record.progress.as_ref());
        let others = self.timeline.observed.values().map(|step| step.progress.as_ref());
        let mut all = own.chain(others).flatten();
        all.any(|progress| progress.held.is_some())
    }

    /// Whether it shows that the message of this id came to rest.
    #[must_use]
    pub fn is_parked(&self, event: &EventId) -> bool {
        self.parked.iter().any(|parked| parked.event == *event)
    }

    /// So many messages that came to rest are remembered; a saga of 16 steps has few more that could.
    pub const MAX_PARKED: usize = 16;

    /// Why it stands where it stands: why it was overridden, was cancelled, is compensating, or is asked to be cancelled.
    /// `None` when it completed in the ordinary way, whatever was asked of it before.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        if self.lifecycle.overridden {
            return self.resolved.as_ref().map(|mark| mark.reason.as_str());
        }
        if self.lifecycle.phase == Phase::Completed {
            return None;
        }
        // All that one refusal, or one cancel, undid has its reason; the highest step heard of it first.
        let own = self
            .steps
            .values()
            .rev()
            .filter(|record| record.state.is_compensating());
        let own = own.map(|record| record.reason.as_deref());
        let others = self
            .timeline
            .observed
            .values()
            .rev()
            .map(|step| step.reason.as_deref());
        own.chain(others)
            .flatten()
            .next()
            .or(self.cancel.as_ref().map(|mark| mark.reason.as_str()))
    }

    /// The field in which data contradicts the saga's input and the outputs of the origin's own steps. `decimals` are compared
    /// by value. A reason is each event's own, and `null` says nothing.
    #[must_use]
    pub fn contradicted_by<'a>(&self, data: &'a Fields, decimals: &BTreeSet<&str>) -> Option<&'a str> {
        let outputs = self.steps.values().map(|record| &record.output);
        let known = |name: &str| {
            outputs
                .clone()
                .chain([&self.input])
                .find_map(|fields| fields.get(name))
        };
        let alike = |name: &str, is: &Document, said: &Document| match (is, said) {
            _ if decimals.contains(name) => is.is_same_decimal(said),
            // Orders 007 and 7 are two, and the number 7 is the second.
            (Document::Text(is), Document::Number(said)) => *is == said.to_string(),
            (Document::Number(_), _) => is.is_same_decimal(said),
            _ => is.gist() == said.gist(),
        };
        let said = data
            .iter()
            .filter(|(name, said)| *name != "reason" && **said != Document::Null);
        let mut wrong = said.filter(|(name, said)| known(name).is_some_and(|is| !alike(name, is, said)));
        wrong.next().map(|(name, _)| name.as_str())
    }

    /// Whether anything is still owed to it: it has not ended, or not everywhere yet.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.lifecycle.phase == Phase::Open || self.lifecycle.closing
    }

    /// The status, for whoever may not know the saga's definition: then it is the last that was shown.
    #[must_use]
    pub fn status_with(&self, definition: Option<&Definition>) -> Status {
        definition.map_or(self.shown, |definition| self.status(definition))
    }

    /// The status, folded from the facts.
    #[must_use]
    pub fn status(&self, definition: &Definition) -> Status {
        match self.lifecycle.phase {
            Phase::Completed => return Status::Completed,
            Phase::Cancelled => return Status::CancelledViaCompensation,
            Phase::Open => {}
        }
        if self.steps.values().any(|record| record.state.is_compensating()) {
            return Status::Compensating;
        }
        let next = match self.steps.iter().next_back() {
            None => StepIndex::FIRST,
            Some((index, record)) if record.state == StepState::Done => index.next(),
            Some((index, _)) => *index,
        };
        match definition.step(next).map(|step| step.cloud) {
            Some(Cloud::Azure) => Status::PendingAzureConfirmation,
            Some(Cloud::Aws) | None => Status::PendingAwsConfirmation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::fields;
    use crate::ids::IdempotencyKey;

    #[test]
    fn what_another_says_of_the_input_contradicts_it_when_it_means_something_else() {
        let key: IdempotencyKey = "key".parse().unwrap();
        let id = SagaId::derive("any", &key);
        let number = |text: &str| Document::Number(text.parse().unwrap());
        let saga = Saga {
            id,
            definition: DefinitionRef {
                name: "any".to_owned(),
                version: 1,
            },
            input: fields([
                ("order", "7".into()),
                ("padded", "007".into()),
                ("seats", number("2")),
                ("amount", "12.90".into()),
                ("reason", "its own".into()),
            ]),
            created: Timestamp::from_millis(0),
            deadline: Timestamp::from_millis(0),
            trace: TraceParent::for_saga(id),
            lifecycle: Lifecycle::default(),
            steps: BTreeMap::new(),
            cancel: None,
            resolved: None,
            parked: Vec::new(),
            stuck: None,
            shown: Status::PendingAwsConfirmation,
            timeline: Timeline::default(),
            due: None,
            nudges: 0,
        };
        let decimals = BTreeSet::from(["amount"]);
        for (name, same, other) in [
            (
                "order",
                vec!["7".into(), number("7")],
                vec!["8".into(), number("8"), "07".into()],
            ),
            ("padded", vec!["007".into()], vec![number("7"), "7".into()]),
            (
                "seats",
                vec![number("2"), number("2.0"), "2".into(), "2e0".into()],
                vec![number("3"), "3".into(), "two".into(), Document::Bool(true)],
            ),
            (
                "amount",
                vec!["12.9".into(), number("12.90"), "1.29e1".into()],
                vec!["12.91".into(), number("13"), "".into()],
            ),
            ("reason", vec!["another".into()], vec![]),
            ("unheard", vec!["of".into()], vec![]),
        ] {
            let judged = |said: Document| {
                let data = fields([(name, said)]);
                saga.contradicted_by(&data, &decimals).map(str::to_owned)
            };
            for said in same.into_iter().chain([Document::Null]) {
                assert_eq!(judged(said.clone()), None, "{name}: {said:?}");
            }
            for said in other {
                assert_eq!(judged(said.clone()).as_deref(), Some(name), "{said:?}");
            }
        }
    }

    #[test]
    fn words_are_read_back_as_what_they_say() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        for flag in Flag::ALL {
            assert_eq!(flag.as_str().parse(), Ok(flag));
        }
        assert_eq!("parked".parse::<Status>(), Err(UnknownStatus));
        assert_eq!("COMPLETED".parse::<Flag>(), Err(UnknownFlag));
    }
}
