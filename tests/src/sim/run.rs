//! One run: processes, carriers, services and people, in the order that chance chooses.

use std::cell::RefCell;

use saga_core::document::fields;
use saga_core::participant::EntityKey;
use saga_participants::inventory::STOCK;

use super::chance::Chance;
use super::outcome::Outcome;
use super::plan::{Plan, SKUS};
use super::settle::Settling;
use super::stage::Stage;
use super::tick::Running;
use crate::arbitrary::nth_saga;

/// Why a run failed, and what happened.
pub type Failed = (String, Vec<String>);

/// A note of what happens, when somebody wants to read it.
pub(super) struct Story {
    reported: bool,
    lines: RefCell<Vec<String>>,
}

impl Story {
    pub fn tell(&self, line: impl FnOnce() -> String) {
        if self.reported {
            self.lines.borrow_mut().push(line());
        }
    }
}

/// Runs it.
///
/// # Errors
/// Why it does not hold, and what happened when `reported`.
///
/// # Panics
/// When the deployment cannot be loaded.
pub fn run(plan: &Plan, chance: &Chance, reported: bool) -> Result<Outcome, Failed> {
    let story = Story {
        reported,
        lines: RefCell::default(),
    };
    let stage = Stage::new(plan, chance, reported);
    for (sku, count) in SKUS {
        stage.azure.put_entity(
            &stage.accounts().partition("inventory", nth_saga(0)),
            EntityKey::new(STOCK, sku),
            fields([("Available", count.into())]),
        );
    }
    for order in &stage.orders {
        story.tell(|| {
            let definition = stage.deployment.catalogue.latest(&order.definition);
            let steps = definition.map(|definition| definition.steps().to_vec());
            format!("{} is a {}: {steps:?}", order.id, order.definition)
        });
    }
    let done = happens(plan, &stage, &story);
    done.and_then(|()| stage.judge())
        .map_err(|why| (why, story.lines.take()))
}

fn happens(plan: &Plan, stage: &Stage, story: &Story) -> Result<(), String> {
    let holds = || stage.broken().map_or(Ok(()), Err);
    let mut running = Running::default();
    for _ in 0..plan.ticks {
        if !stage.chance().turn_the_page() {
            break;
        }
        running.tick(stage, story);
        for line in stage.trouble.take_lines() {
            story.tell(|| line);
        }
        holds()?;
    }
    stage.trouble.ports_work();
    story.tell(|| "our own parts work again; what still ran is started anew".to_owned());
    let mut left = running.on_the_way;
    left.extend(
        running
            .processes
            .into_iter()
            .filter_map(|process| process.message),
    );
    Settling::new(stage, story, left).settle()?;
    holds()
}
