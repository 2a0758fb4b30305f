//! One step of a definition: who owns it, who does the work, and the domain's names for its messages.

use std::fmt;
use std::str::FromStr;

use super::reference::{Cloud, InvalidDefinition};
use crate::document::{Document, Fields, Number};
use crate::step::{Class, Kind, Recover};

/// One step of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDefinition {
    /// The step's name, unique in its definition.
    pub name: String,
    /// The cloud that owns it.
    pub cloud: Cloud,
    /// Who does the work.
    pub work: StepWork,
    /// Whether it can be undone, and whether it can refuse.
    pub class: Class,
    /// The type of the event that says this step is done (`advance` to the next step, or `complete`).
    pub done: String,
    /// The type of the event that asks this step to be undone.
    pub compensate: String,
    /// The type of the event that asks this step to stand in the way.
    pub cancel: String,
}

impl StepDefinition {
    /// The event types of a step that names none: `PayOutDone`, `PayOutCompensationRequested` and `PayOutCancelRequested` for
    /// the step `pay-out`.
    #[must_use]
    pub fn default_types(name: &str) -> [String; 3] {
        let words = name.split(['-', '_']).filter(|word| !word.is_empty());
        let capital = |word: &str| {
            let mut chars = word.chars();
            chars
                .next()
                .map(|first| first.to_ascii_uppercase().to_string() + chars.as_str())
        };
        let pascal: String = words.filter_map(capital).collect();
        ["Done", "CompensationRequested", "CancelRequested"].map(|what| format!("{pascal}{what}"))
    }

    /// The participant of a local step.
    #[must_use]
    pub fn participant(&self) -> Option<&str> {
        match &self.work {
            StepWork::Local { participant } => Some(participant),
            StepWork::Call(_) | StepWork::Wait(_) => None,
        }
    }

    /// How its service is called, where it has one.
    #[must_use]
    pub fn call(&self) -> Option<&Call> {
        match &self.work {
            StepWork::Call(call) => Some(call),
            StepWork::Local { .. } | StepWork::Wait(_) => None,
        }
    }

    /// Who answers it, where nobody is called.
    #[must_use]
    pub fn wait(&self) -> Option<&Wait> {
        match &self.work {
            StepWork::Wait(wait) => Some(wait),
            StepWork::Local { .. } | StepWork::Call(_) => None,
        }
    }

    /// What the protocol's table needs to know of the work.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.work {
            StepWork::Local { .. } => Kind::Local,
            StepWork::Call(call) => Kind::Call(call.recover),
            StepWork::Wait(_) => Kind::Wait,
        }
    }
}

/// Who does a step's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepWork {
    /// A participant of ours, in the same transaction.
    Local {
        /// Its name.
        participant: String,
    },
    /// An outside service.
    Call(Call),
    /// A person, another system or a timer, who is not called.
    Wait(Wait),
}

/// How an outside service is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The service, as the deployment binds it.
    pub service: String,
    /// What the service promises about its undo.
    pub recover: Recover,
    /// How long one attempt may take, in milliseconds.
    pub timeout_millis: i64,
    /// A step without a decision for so long is held, in milliseconds.
    pub hold_after_millis: i64,
    /// How long after the intent the service still knows its keys, in milliseconds. Later it is not asked to act again.
    pub key_lifetime_millis: i64,
}

impl Call {
    /// The default of `timeout`, in milliseconds.
    pub const TIMEOUT: i64 = 10_000;
    /// The longest `timeout`, in milliseconds: what a function of either cloud can wait.
    pub const LONGEST_TIMEOUT: i64 = 60_000;
    /// The default of `hold_after`, in milliseconds.
    pub const HOLD_AFTER: i64 = 15 * 60_000;
    /// The default of `key_lifetime`, in milliseconds: what payment providers keep keys for at least.
    pub const KEY_LIFETIME: i64 = 24 * 3_600_000;

    /// A call of this service, with every default.
    #[must_use]
    pub fn of(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            recover: Recover::default(),
            timeout_millis: Self::TIMEOUT,
            hold_after_millis: Self::HOLD_AFTER,
            key_lifetime_millis: Self::KEY_LIFETIME,
        }
    }
}

/// A step that nobody is called for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Who answers.
    pub answerer: Answerer,
    /// How long it may take, in milliseconds; `None`: until the saga's deadline.
    pub within_millis: Option<i64>,
    /// What happens when nobody answered in time.
    pub on_timeout: OnTimeout,
    /// Only sagas of which this is true wait; for all others the step is done at once.
    pub when: Option<Condition>,
}

/// Who answers a step that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answerer {
    /// A person.
    Approval,
    /// Another system.
    Callback,
    /// The clock: the step is done when its time has passed.
    Timer,
}

impl Answerer {
    /// Every answerer.
    pub const ALL: [Self; 3] = [Self::Approval, Self::Callback, Self::Timer];

    /// The word in definition files and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Callback => "callback",
            Self::Timer => "timer",
        }
    }
}

/// What happens to a step that waits when nobody has answered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    /// It counts as refused.
    Refuse,
    /// It counts as accepted.
    Accept,
    /// It is held for an operator.
    Hold,
}

impl OnTimeout {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Refuse, Self::Accept, Self::Hold];

    /// The word in definition files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Accept => "accept",
            Self::Hold => "hold",
        }
    }
}

/// A comparison of one number of a saga's data, such as `amount > 10000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    field: String,
    comparison: &'static str,
    bound: Number,
}

/// What a condition can compare by.
const COMPARISONS: [&str; 4] = [">=", "<=", ">", "<"];

impl Condition {
    /// Whether it is true of this data. Where the field is no number the step waits: a person is to look.
    #[must_use]
    pub fn holds(&self, data: &Fields) -> bool {
        let Some(value) = data.get(&self.field).and_then(Document::as_number) else {
            return true;
        };
        match self.comparison {
            ">=" => value >= self.bound,
            "<=" => value <= self.bound,
            ">" => value > self.bound,
            _ => value < self.bound,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.field, self.comparison, self.bound)
    }
}

impl FromStr for Condition {
    type Err = InvalidDefinition;

    fn from_str(text: &str) -> Result<Self, InvalidDefinition> {
        let invalid = || {
            InvalidDefinition(format!(
                "condition `{text}` is not like `amount > 10000` (a field, one of > >= < <=, a number)"
            ))
        };
        let mut words = text.split_whitespace();
        let (field, comparison, bound) = (words.next(), words.next(), words.next());
        let (Some(field), Some(comparison), Some(bound), None) = (field, comparison, bound, words.next())
        else {
            return Err(invalid());
        };
        let known = COMPARISONS.into_iter().find(|known| *known == comparison);
        Ok(Self {
            field: field.to_owned(),
            comparison: known.ok_or_else(invalid)?,
            bound: Number::from_json(bound).map_err(|_| invalid())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::fields;

    #[test]
    fn a_condition_compares_by_value_and_holds_where_there_is_no_number() {
        for (condition, amount, holds) in [
            ("amount > 10000", "10000", false),
            ("amount > 10000", "10000.01", true),
            ("amount >= 1e4", "10000.00", true),
            ("amount < 0.5", "0.49", true),
            ("amount <= 0.5", "0.51", false),
            ("amount > 10000", "a lot", true),
            ("total > 10000", "1", true),
        ] {
            let parsed: Condition = condition.parse().unwrap();
            assert_eq!(parsed.to_string().parse(), Ok(parsed.clone()));
            let data = fields([("amount", amount.into())]);
            assert_eq!(parsed.holds(&data), holds, "{condition} of {amount}");
        }
        for wrong in [
            "",
            "amount",
            "amount > ",
            "amount = 5",
            "amount > five",
            "amount > 5 EUR",
            "a b > 5",
        ] {
            assert!(wrong.parse::<Condition>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn types_default_from_the_step_s_name() {
        let types = StepDefinition::default_types("pay-out_2");
        assert_eq!(
            types,
            [
                "PayOut2Done",
                "PayOut2CompensationRequested",
                "PayOut2CancelRequested"
            ]
        );
    }
}
