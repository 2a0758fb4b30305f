//! Participants that leave a trace of what they commit.

use saga_core::document::{Fields, fields};
use saga_core::money::Amounts;
use saga_core::participant::{
    Context, Decision, Entities, EntityKey, EntityWrite, FieldError, Participant, Placement, Work,
};

use super::state::MAX;

/// The names of the participants, and of the services, by step.
pub(super) const NAMES: [&str; MAX] = ["p0", "p1", "p2", "p3"];

struct Traced {
    step: usize,
    accepts: bool,
}

/// A participant whose effect and undo leave a trace in what is written.
pub(super) fn traced(step: usize, accepts: bool) -> Box<dyn Participant> {
    Box::new(Traced { step, accepts })
}

const ACTED: i64 = 1;
const UNDONE: i64 = 2;

/// Counts the effects and undos that are committed.
pub(super) fn count(acted: &mut [u8; MAX], undone: &mut [u8; MAX], writes: &[EntityWrite]) {
    for write in writes {
        let number: usize = write.key.id.parse().expect("the key of a trace is its step");
        let what = write.fields["what"]
            .as_number()
            .and_then(|number| number.as_i64());
        let counter = if what == Some(ACTED) {
            &mut acted[number]
        } else {
            &mut undone[number]
        };
        *counter = (*counter + 1).min(2);
    }
}

impl Traced {
    fn writes(&self, what: i64) -> Vec<EntityWrite> {
        vec![EntityWrite {
            key: EntityKey::new("trace", self.step),
            fields: fields([("what", what.into())]),
        }]
    }
}

impl Participant for Traced {
    fn name(&self) -> &'static str {
        NAMES[self.step]
    }
    fn accepts(&self) -> &'static [&'static str] {
        &[]
    }
    fn check(&self, _: &Fields, _: Amounts) -> Vec<FieldError> {
        Vec::new()
    }
    fn placement(&self) -> Placement {
        Placement::BySaga
    }
    fn reads(&self, _: Work, _: Context<'_>) -> Vec<EntityKey> {
        Vec::new()
    }
    fn act(&self, _: Context<'_>, _: &Entities) -> Decision {
        if self.accepts {
            Decision::Accept {
                writes: self.writes(ACTED),
                output: Fields::new(),
            }
        } else {
            Decision::Refuse("no".to_owned())
        }
    }
    fn undo(&self, _: Context<'_>, _: &Entities) -> Vec<EntityWrite> {
        self.writes(UNDONE)
    }
}
