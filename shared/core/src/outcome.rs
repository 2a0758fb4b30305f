//! What became of a message or a command, as logs, timelines and answers say it.

/// What became of a message or a command. A condition that failed is an outcome, never an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It moved something.
    Applied,
    /// It had been applied before; the answer was given again.
    Repeated,
    /// It came after the end and changes nothing but the timeline.
    Late,
    /// It moved nothing: the line tells of a message that lay in a dead-letter store.
    Noted,
    /// It contradicts an end that an operator decided; an operator must look.
    Contradicted,
}

impl Outcome {
    /// The word used in logs and timelines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Repeated => "repeated",
            Outcome::Late => "late",
            Outcome::Noted => "noted",
            Outcome::Contradicted => "contradicted",
        }
    }
}
