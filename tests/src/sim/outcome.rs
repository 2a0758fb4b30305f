//! What a run did, so that a reader sees that what is claimed to have happened did.

use std::fmt;
use std::ops::AddAssign;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident: $words:literal,)+) => {
        /// How a run ended that held.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Outcome {
            $($(#[$doc])* pub $name: usize,)+
        }

        impl Outcome {
            /// Every count, with what it counts.
            #[must_use]
            pub fn counts(&self) -> Vec<(&'static str, usize)> {
                vec![$(($words, self.$name),)+]
            }
        }

        impl AddAssign for Outcome {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)+
            }
        }
    };
}

counts! {
    /// Sagas that were started.
    sagas: "sagas",
    /// Sagas with a step that a service, a person or the clock does.
    outside: "of them with calls or waits",
    /// Those that completed.
    completed: "completed",
    /// Those of whose end the protocol says nothing: overridden to COMPLETED, or by force past a pivot that was done.
    exempt: "ended by an operator against the facts",
    /// Faults that were injected at ports.
    faults: "faults at ports",
    /// Processes that died on the way.
    deaths: "deaths of processes",
    /// Messages that were lost.
    lost: "messages lost",
    /// Requests that were made of services.
    calls: "requests to services",
    /// Requests that never arrived.
    request_lost: "requests that never arrived",
    /// Requests that were carried out, and whose reply was lost.
    reply_lost: "replies lost after the effect",
    /// Replies that came after the caller had given up.
    reply_late: "replies after the caller gave up",
    /// Requests that the service got to after the caller had given up.
    arrived_late: "requests carried out after the caller gave up",
    /// Acts that the service refused for the first time.
    refused: "refusals",
    /// Requests that were answered with 429 or 503 and a time.
    throttled: "throttled",
    /// Answers that nobody understands, or that cannot be kept.
    garbage: "garbage answers",
    /// Answers 408, 409, 425 or 500.
    failed: "failures of services",
    /// Answers 202.
    later: "answers `later`",
    /// Requests that were answered with 404, 401 or a redirect.
    misbound: "answers of a wrong binding",
    /// Restarts of a service.
    restarts: "restarts of services",
    /// Pauses of services.
    pauses: "pauses of services",
    /// Effects that were made.
    effects: "effects",
    /// Effects that were taken back.
    undone: "effects taken back",
    /// Undos of what was never seen, which stand in the way of a later act.
    tombstones: "tombstones at services",
    /// Steps that were held.
    held: "held steps",
    /// Steps whose key may be forgotten, and for which an operator answered.
    key_expired: "held for an expired key and answered by an operator",
    /// Answers from outside that were applied.
    answered: "answers from outside applied",
    /// Answers from outside that went to the other cloud.
    forwarded: "answers from outside forwarded",
    /// Answers from outside that were not taken.
    not_taken: "answers from outside not taken",
    /// Overrides to CANCELLED.
    overrides: "overrides to CANCELLED",
    /// Overrides to CANCELLED that met a call that was ACTING.
    met_acting: "overrides that met ACTING",
    /// Overrides to CANCELLED that met a call that was told to stop.
    met_stopping: "overrides that met STOPPING",
    /// Overrides to CANCELLED that met a call that was being undone.
    met_undoing: "overrides that met UNDOING",
    /// Forced overrides to CANCELLED that met a pivot that was done.
    met_pivot: "overrides forced past a pivot",
    /// Overrides to CANCELLED that were refused at a pivot.
    refused_at_pivot: "overrides refused at a pivot",
    /// Cancels that met a call whose outcome was not known.
    cancel_met_acting: "cancels that met ACTING",
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (what, count)) in self.counts().into_iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {what}")?;
        }
        Ok(())
    }
}
