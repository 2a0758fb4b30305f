//! The shapes of saga under proof: who owns each step, who does its work, where the pivot is, and who refuses.

use std::fmt;

use saga_core::Cloud;
use saga_core::step::{Class, Kind, Recover};

/// One step of a shape.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StepShape {
    /// Who owns it.
    pub cloud: Cloud,
    /// Who does its work.
    pub kind: Kind,
    /// Whether it can be undone.
    pub class: Class,
}

/// A shape of saga.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Its steps.
    pub steps: Vec<StepShape>,
    /// The local step, or the service, that refuses. A wait may be refused whatever this says.
    pub refuses: Option<usize>,
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let kind = match step.kind {
                Kind::Local => "local",
                Kind::Call(Recover::Key) => "key",
                Kind::Call(Recover::Tombstone) => "tombstone",
                Kind::Wait => "wait",
            };
            let class = match step.class {
                Class::Compensatable => "",
                Class::Pivot => " pivot",
                Class::Retriable => " retriable",
            };
            write!(f, "{kind} on {}{class}, ", step.cloud)?;
        }
        match self.refuses {
            Some(step) => write!(f, "step {step} refuses"),
            None => write!(f, "no service refuses"),
        }
    }
}

const KEY: Kind = Kind::Call(Recover::Key);
const TOMBSTONE: Kind = Kind::Call(Recover::Tombstone);

/// Everybody who can own a step and do its work.
const WORK: [(Cloud, Kind); 7] = [
    (Cloud::Aws, Kind::Local),
    (Cloud::Azure, Kind::Local),
    (Cloud::Aws, KEY),
    (Cloud::Azure, KEY),
    (Cloud::Aws, TOMBSTONE),
    (Cloud::Azure, TOMBSTONE),
    (Cloud::Aws, Kind::Wait),
];

impl Shape {
    /// Local steps on these clouds, which can all be undone.
    #[must_use]
    pub fn local(clouds: &[Cloud], refuses: Option<usize>) -> Self {
        let step = |cloud: &Cloud| StepShape {
            cloud: *cloud,
            kind: Kind::Local,
            class: Class::Compensatable,
        };
        Self {
            steps: clouds.iter().map(step).collect(),
            refuses,
        }
    }

    /// Whether a service, a wait or a pivot is part of it.
    #[must_use]
    pub fn is_new(&self) -> bool {
        let old = |step: &StepShape| step.kind == Kind::Local && step.class == Class::Compensatable;
        !self.steps.iter().all(old)
    }
}

/// Every shape of so many local steps that can be undone, each with every choice of who refuses.
pub fn local_shapes(steps: usize) -> impl Iterator<Item = Shape> {
    (0..1_usize << steps).flat_map(move |bits| {
        let cloud = |step: usize| [Cloud::Aws, Cloud::Azure][bits >> step & 1];
        let clouds: Vec<Cloud> = (0..steps).map(cloud).collect();
        let refusals = std::iter::once(None).chain((0..steps).map(Some));
        refusals.map(move |refuses| Shape::local(&clouds, refuses))
    })
}

/// Every shape of so many steps with a call, a wait or a pivot: every mix of work and clouds, every position of the pivot,
/// every choice of who refuses.
pub fn shapes(steps: usize) -> impl Iterator<Item = Shape> {
    let mixes = WORK.len().pow(steps as u32);
    (0..mixes).flat_map(move |mix| {
        let work: Vec<(Cloud, Kind)> = (0..steps)
            .map(|step| WORK[mix / WORK.len().pow(step as u32) % WORK.len()])
            .collect();
        let pivots = std::iter::once(None).chain((0..steps).map(Some));
        let all = pivots.flat_map(move |pivot: Option<usize>| {
            let class = |step: usize| match pivot {
                Some(pivot) if step == pivot => Class::Pivot,
                Some(pivot) if step > pivot => Class::Retriable,
                _ => Class::Compensatable,
            };
            let steps: Vec<StepShape> = work
                .iter()
                .enumerate()
                .map(|(step, (cloud, kind))| StepShape {
                    cloud: *cloud,
                    kind: *kind,
                    class: class(step),
                })
                .collect();
            let can_refuse =
                |step: &usize| steps[*step].class != Class::Retriable && steps[*step].kind != Kind::Wait;
            let refusals: Vec<Option<usize>> = std::iter::once(None)
                .chain((0..steps.len()).filter(can_refuse).map(Some))
                .collect();
            let steps = steps.clone();
            refusals.into_iter().map(move |refuses| Shape {
                steps: steps.clone(),
                refuses,
            })
        });
        all.filter(Shape::is_new).collect::<Vec<_>>()
    })
}
