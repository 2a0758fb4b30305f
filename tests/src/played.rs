//! What the entities must be after one saga, by the participants' own answers and nothing else: the acts of all steps that
//! their records call done or undone, in order, each once; then the undos, in reverse, each once. The saga's machinery has no
//! part in it. On the way every participant is held to the [`laws`](crate::laws).

use std::collections::BTreeMap;

use saga_app::ports::Partition;
use saga_app::step_transact::partition;
use saga_core::participant::{Context, Entities, EntityKey};
use saga_core::participate::StepRecord;
use saga_core::step::StepState;
use saga_core::{Cloud, SagaId, Status, StepIndex};
use saga_memory::Written;

use crate::arbitrary::nth_saga;
use crate::laws::{After, Part, Undone, show};
use crate::world::World;

/// Entities that one transaction can reach: those of the origin, or those of a partition of the other cloud.
type Place = Option<Partition>;

/// Every entity of both clouds, and how often it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stores(BTreeMap<(Place, EntityKey), Written>);

impl Stores {
    /// What is in the stores now.
    #[must_use]
    pub fn of(world: &World) -> Self {
        let mut all = BTreeMap::new();
        for (key, written) in world.aws.all_entities() {
            all.insert((None, key), written);
        }
        for (partition, entities) in world.azure.all_entities() {
            for (key, written) in entities {
                all.insert((Some(partition.clone()), key), written);
            }
        }
        Self(all)
    }

    fn entities(&self, place: &Place) -> Entities {
        let there = self.0.iter().filter(|((other, _), _)| other == place);
        there
            .map(|((_, key), written)| (key.clone(), written.fields.clone()))
            .collect()
    }

    fn take(&mut self, place: &Place, after: &After) {
        for key in &after.wrote {
            let known = self.0.get(&(place.clone(), key.clone()));
            let times = known.map_or(0, |known| known.times) + 1;
            let fields = after.entities[key].clone();
            self.0
                .insert((place.clone(), key.clone()), Written { fields, times });
        }
    }

    /// The first entity that is another, or that was written more often than it should be.
    fn differs_from(&self, expected: &Self) -> Result<(), String> {
        let keys = self.0.keys().chain(expected.0.keys());
        for (place, key) in keys {
            let at = (place.clone(), key.clone());
            let (found, expected) = (self.0.get(&at), expected.0.get(&at));
            let same = match (found, expected) {
                (Some(found), Some(expected)) => {
                    found.fields == expected.fields && found.times <= expected.times
                }
                _ => false,
            };
            if !same {
                let say = |written: Option<&Written>| {
                    written.map_or_else(
                        || "not there".to_owned(),
                        |written| format!("{}, written {} time(s)", show(&written.fields), written.times),
                    )
                };
                return Err(format!(
                    "an act or an undo was not committed exactly once\n  entity {key}\n    is        {}\n    should be {}",
                    say(found),
                    say(expected)
                ));
            }
        }
        Ok(())
    }
}

/// Plays the saga `id`, which has ended, once more from what was there `before` it, and compares.
///
/// # Errors
/// The law that a participant breaks, or the entity that is not as it must be: as a story.
pub fn check(world: &World, id: SagaId, before: &Stores, undone: Undone<'_>) -> Result<(), String> {
    let saga = world.saga(id);
    let definition = world
        .deployment
        .catalogue
        .get(&saga.definition)
        .ok_or("its definition is gone")?;
    let record = |cloud: Cloud, index: StepIndex| -> Option<StepRecord> {
        match cloud {
            Cloud::Aws => saga.steps.get(&index).cloned(),
            Cloud::Azure => world.azure.step(id, index),
        }
    };
    let mut expected = before.clone();
    let mut to_undo = Vec::new();
    let mut to_settle = Vec::new();
    let records: Vec<Option<StepRecord>> = (0..)
        .zip(definition.steps())
        .map(|(index, step)| record(step.cloud, StepIndex::new(index)))
        .collect();
    for (number, (step, record)) in definition.steps().iter().zip(&records).enumerate() {
        let reported = |why: String| format!("step {number} ({}): {why}", step.name);
        let Some(record) = record else { continue };
        let participant = world.deployment.participants[step.participant().unwrap_or_default()].as_ref();
        let context = Context {
            saga: id,
            data: &record.data,
        };
        let part = Part { participant, context };
        let place = (step.cloud != Cloud::ORIGIN).then(|| {
            let shards = world.deployment.shards;
            partition(
                step.participant().unwrap_or_default(),
                participant.placement(),
                id,
                shards,
            )
        });
        // The start of a saga reads nothing.
        let blind = number == 0 && place.is_none();
        let entities = if blind {
            Entities::new()
        } else {
            expected.entities(&place)
        };
        part.keeps_the_laws(&entities, nth_saga(1_000_000), undone)
            .map_err(|broken| reported(broken.to_string()))?;
        if record.state == StepState::Refused {
            continue;
        }
        let acted = part
            .act(&entities)
            .map_err(|broken| reported(broken.to_string()))?;
        let acted =
            acted.ok_or_else(|| reported(format!("its record says {:?}, and it refuses", record.state)))?;
        expected.take(&place, &acted);
        if record.state == StepState::Undone {
            to_undo.push((part, place));
        } else if place.is_none() {
            to_settle.push(part);
        }
    }
    for (part, place) in to_undo.iter().rev() {
        let undone = part.undo(&expected.entities(place));
        expected.take(place, &undone.map_err(|broken| broken.to_string())?);
    }
    if world.status(id) == Status::Completed {
        for part in to_settle {
            let settled = part.settle(&expected.entities(&None));
            expected.take(&None, &settled.map_err(|broken| broken.to_string())?);
        }
    }
    Stores::of(world).differs_from(&expected)
}
