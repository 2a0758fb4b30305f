//! Everything works again: what is on its way arrives, and sweeps go on until nothing moves.

use std::task::Poll;

use saga_app::call_service::schedule::LONGEST_DELAY;
use saga_app::override_saga::Command;
use saga_app::ports::Time;
use saga_core::origin::Override;
use saga_core::step::{Reply, StepState};
use saga_core::{Cloud, SagaId, StepIndex};

use super::carried::Carried;
use super::plan::service_names;
use super::process::{Process, Work};
use super::run::Story;
use super::stage::{How, Stage};

const MOST_POLLS: usize = 100_000;
const MOST_ROUNDS: usize = 90;
const MOST_WAITS: usize = 500;
const MOST_DELIVERIES: usize = 4_000;
/// So many rounds services fail on, while our own parts work.
const ROUGH_ROUNDS: usize = 8;

/// What is left to do, and how much was done.
pub(super) struct Settling<'a> {
    stage: &'a Stage,
    story: &'a Story,
    on_the_way: Vec<Carried>,
    deliveries: usize,
    waits: usize,
}

impl<'a> Settling<'a> {
    pub fn new(stage: &'a Stage, story: &'a Story, on_the_way: Vec<Carried>) -> Self {
        Self {
            stage,
            story,
            on_the_way,
            deliveries: 0,
            waits: 0,
        }
    }

    /// Goes on until nothing is owed any more; then what is still on its way comes late.
    ///
    /// # Errors
    /// The rule that does not hold.
    pub fn settle(mut self) -> Result<(), String> {
        let stage = self.stage;
        for order in &stage.orders {
            self.finish("a start", Box::pin(stage.start(order)))?;
        }
        for round in 0..MOST_ROUNDS {
            if round == ROUGH_ROUNDS {
                self.story.tell(|| "services work again, too".to_owned());
                stage.trouble.services_work();
                stage.provider.is_mended();
                for service in service_names() {
                    self.finish("a resumption", Box::pin(stage.change(service, false)))?;
                }
            }
            self.deliver_all()?;
            if round < ROUGH_ROUNDS {
                self.something_happens()?;
            } else if !self.is_owed() {
                return self.comes_late();
            }
            // A person takes some time to look.
            if round >= ROUGH_ROUNDS + 3 {
                self.operator_answers()?;
            }
            stage.clock.advance(if round < 20 { 90_000 } else { 3_600_000 });
            self.finish("the sweep", Box::pin(stage.sweep()))?;
        }
        Err(format!("I3: a saga never ends: {}", self.open()))
    }

    fn finish(&self, name: &str, work: Work<'_>) -> Result<(), String> {
        let mut process = Process {
            name: name.to_owned(),
            message: None,
            calls: false,
            began: self.stage.clock.now(),
            work,
        };
        for _ in 0..MOST_POLLS {
            if let Poll::Ready(result) = process.poll() {
                return result
                    .map_err(|error| format!("works: {name} fails though everything works: {error}"));
            }
        }
        Err(format!("works: {name} never ends"))
    }

    /// Until the outboxes are empty, and queues show nothing.
    fn deliver_all(&mut self) -> Result<(), String> {
        let stage = self.stage;
        loop {
            stage.clock.advance(1_000);
            self.finish("the stream", Box::pin(stage.relay(Cloud::Aws, How::Stream)))?;
            self.finish("the relay", Box::pin(stage.relay(Cloud::Aws, How::Sweep)))?;
            self.finish("the relay", Box::pin(stage.relay(Cloud::Azure, How::Sweep)))?;
            stage.collect(&mut self.on_the_way);
            let now = stage.clock.now();
            let (shown, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.on_the_way)
                .into_iter()
                .partition(|message| message.seen <= now);
            self.on_the_way = later;
            if shown.is_empty() && stage.aws.outbox_is_empty() && stage.azure.outbox_is_empty() {
                return Ok(());
            }
            if shown.is_empty() {
                // What is left waits for a lease to run out, for its grace or for its next try.
                stage.clock.advance(30_000);
                self.waits += 1;
            }
            if self.waits > MOST_WAITS {
                return Err("works: an outbox is never empty".to_owned());
            }
            for message in shown {
                self.story
                    .tell(|| format!("in the end: {} at {:?}", message.kind, message.to));
                self.deliveries += 1;
                self.finish("a delivery", Box::pin(stage.deliver(message)))?;
            }
            if self.deliveries > MOST_DELIVERIES {
                return Err("I4: messages without end".to_owned());
            }
        }
    }

    /// While only services are rough: people steer and answer, and services go on with what they have in hand.
    fn something_happens(&self) -> Result<(), String> {
        let (stage, chance) = (self.stage, self.stage.chance());
        let id = stage.orders[chance.below(stage.orders.len())].id;
        match chance.below(9) {
            1 => {
                self.story.tell(|| format!("cancel {id}"));
                self.finish("a cancel", Box::pin(stage.command(id, Command::Cancel)))?;
            }
            2 | 3 => {
                let to = [Override::Cancelled, Override::Cancelled, Override::Completed][chance.below(3)];
                let force = chance.below(2) == 1;
                self.story
                    .tell(|| format!("resolve {id} to {to:?}, by force: {force}"));
                let work = Box::pin(stage.command(id, Command::Resolve { to, force }));
                self.finish("an override", work)?;
            }
            4 | 5 => {
                let step = StepIndex::new(chance.below(4) as u8);
                let reply = [Reply::Accepted, Reply::Refused, Reply::Undone][chance.below(3)];
                self.story
                    .tell(|| format!("somebody answers step {step} of {id}: {reply:?}"));
                self.finish("an answer", Box::pin(stage.answers(id, step, reply)))?;
            }
            6 => {
                let done = stage.provider.gets_to(chance.below(4), stage.clock.now());
                self.story
                    .tell(|| format!("a service gets to {}", done.unwrap_or_default()));
            }
            7 => {
                stage.provider.restarts();
                self.story.tell(|| "the services are restarted".to_owned());
            }
            _ => {}
        }
        stage.count_steered();
        Ok(())
    }

    fn operator_answers(&self) -> Result<(), String> {
        for (id, step, reply) in self.stage.unanswered() {
            self.story
                .tell(|| format!("an operator answers step {step} of {id}: {reply:?}"));
            let saga = self.stage.aws.saga(id).expect("it was started");
            let state = self.stage.record(&saga, step).map(|record| record.state);
            let calls = state.is_some_and(StepState::is_calling);
            self.stage.counts.borrow_mut().key_expired += usize::from(calls);
            self.finish("an answer", Box::pin(self.stage.answers(id, step, reply)))?;
        }
        Ok(())
    }

    fn is_owed(&self) -> bool {
        let owed = |id: &SagaId| self.stage.aws.saga(*id).is_some_and(|saga| saga.due.is_some());
        self.stage.started().iter().any(owed)
    }

    /// What services still have in hand, and requests that their queues still hold back, come when all is over.
    fn comes_late(&mut self) -> Result<(), String> {
        let stage = self.stage;
        while let Some(done) = stage.provider.gets_to(0, stage.clock.now()) {
            self.story
                .tell(|| format!("in the end: a service gets to {done}"));
        }
        for _ in 0..3 {
            let millis = i64::try_from(LONGEST_DELAY.as_millis()).expect("it is short");
            stage.clock.advance(millis);
            self.deliver_all()?;
        }
        if self.is_owed() {
            return Err(format!("I5: something is owed after the end: {}", self.open()));
        }
        Ok(())
    }

    fn open(&self) -> String {
        let open = self.stage.started().into_iter().find_map(|id| {
            let saga = self.stage.aws.saga(id)?;
            saga.due?;
            let steps = self.stage.definition(&saga).steps().iter().zip(0..);
            let states = steps.map(|(step, number)| {
                let record = self.stage.record(&saga, StepIndex::new(number));
                let state = record.map(|record| (record.state, record.progress));
                format!(
                    "{} {:?} {:?} on {}: {state:?}",
                    step.name,
                    step.kind(),
                    step.class,
                    step.cloud
                )
            });
            let states: Vec<_> = states.collect();
            Some(format!("{id}: {:?}; {}", saga.lifecycle, states.join("; ")))
        });
        open.unwrap_or_default()
    }
}
