//! The example of the page "Write your own saga" (`shared/participants/README.md`): a participant that the product does not have.

use saga_core::document::{Document, Fields, fields};
use saga_core::money::Amounts;
use saga_core::participant::{
    Context, Decision, Entities, EntityKey, EntityWrite, FieldError, Participant, Placement, Work,
};

/// Takes a seat on a flight.
pub struct Seats;

fn flight(data: &Fields) -> Option<&str> {
    data.get("flight").and_then(Document::as_text)
}

fn free(entities: &Entities, key: &EntityKey) -> i64 {
    let flight = entities.get(key).and_then(|flight| flight.get("Free"));
    flight
        .and_then(Document::as_number)
        .and_then(|free| free.as_i64())
        .unwrap_or(0)
}

fn write(key: EntityKey, free: i64) -> Vec<EntityWrite> {
    vec![EntityWrite {
        key,
        fields: fields([("Free", free.into())]),
    }]
}

impl Participant for Seats {
    fn name(&self) -> &'static str {
        "seats"
    }

    fn accepts(&self) -> &'static [&'static str] {
        &["flight"]
    }

    fn check(&self, input: &Fields, _: Amounts) -> Vec<FieldError> {
        let missing = flight(input).is_none();
        missing
            .then(|| FieldError::new("flight", "is missing"))
            .into_iter()
            .collect()
    }

    /// Sagas share a flight's seats, so they are kept together.
    fn placement(&self) -> Placement {
        Placement::Together
    }

    fn reads(&self, _: Work, context: Context<'_>) -> Vec<EntityKey> {
        flight(context.data)
            .map(|flight| EntityKey::new("flight", flight))
            .into_iter()
            .collect()
    }

    fn act(&self, context: Context<'_>, entities: &Entities) -> Decision {
        let Some(key) = self.reads(Work::Act, context).pop() else {
            return Decision::Refuse("there is no flight in the input".to_owned());
        };
        match free(entities, &key) {
            0 => Decision::Refuse(format!("{key} is fully booked")),
            left => Decision::Accept {
                writes: write(key, left - 1),
                output: fields([]),
            },
        }
    }

    fn undo(&self, context: Context<'_>, entities: &Entities) -> Vec<EntityWrite> {
        let key = self.reads(Work::Undo, context).pop();
        key.map(|key| write(key.clone(), free(entities, &key) + 1))
            .unwrap_or_default()
    }
}
