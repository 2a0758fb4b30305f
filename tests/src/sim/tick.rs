//! One thing that happens while things go wrong.

use std::task::Poll;

use saga_app::override_saga::Command;
use saga_app::ports::Time;
use saga_core::origin::Override;
use saga_core::step::Reply;
use saga_core::{Cloud, SagaId, StepIndex};

use super::carried::{Carried, JUNK, JUNK_KIND, To};
use super::plan::service_names;
use super::process::{Process, Work};
use super::run::Story;
use super::stage::{How, Stage};
use crate::world::Place;

const MOST_PROCESSES: usize = 6;

/// What runs, and what is on its way.
#[derive(Default)]
pub(super) struct Running<'a> {
    pub processes: Vec<Process<'a>>,
    pub on_the_way: Vec<Carried>,
}

impl<'a> Running<'a> {
    /// One thing happens.
    pub fn tick(&mut self, stage: &'a Stage, story: &Story) {
        let chance = stage.chance();
        let now = stage.clock.now();
        let room = self.processes.len() < MOST_PROCESSES;
        let saga = || stage.orders[chance.below(stage.orders.len())].id;
        match chance.below(120) {
            0..52 if !self.processes.is_empty() => self.goes_on(stage, story),
            0..78 if room && self.on_the_way.iter().any(|message| message.seen <= now) => {
                self.delivers(stage, story);
            }
            78..80 if !self.on_the_way.is_empty() => {
                let lost = self.on_the_way.swap_remove(chance.below(self.on_the_way.len()));
                stage.counts.borrow_mut().lost += 1;
                story.tell(|| format!("lost: {} to {:?}", lost.kind, lost.to));
            }
            80..83 if !self.processes.is_empty() => {
                let at = chance.below(self.processes.len());
                self.dies(at, stage, story);
            }
            83..86 => {
                let millis = [1, 100, 30_000, 61_000, 400_000, 2_000_000][chance.below(6)];
                stage.clock.advance(millis);
                story.tell(|| format!("{millis} ms pass"));
            }
            86..90 => {
                self.begin(
                    stage,
                    story,
                    "the sweep of the sagas".to_owned(),
                    None,
                    Box::pin(stage.sweep()),
                );
            }
            90 => {
                let id = saga();
                let work = Box::pin(stage.command(id, Command::Cancel));
                self.begin(stage, story, format!("cancel {id}"), None, work);
            }
            91 => {
                let id = saga();
                let to = [Override::Cancelled, Override::Cancelled, Override::Completed][chance.below(3)];
                let force = chance.below(3) == 2;
                let work = Box::pin(stage.command(id, Command::Resolve { to, force }));
                let how = if force { " by force" } else { "" };
                self.begin(stage, story, format!("resolve {id} to {to:?}{how}"), None, work);
            }
            92 => self.others(stage, saga()),
            93..98 => {
                let order = &stage.orders[chance.below(stage.orders.len())];
                let name = format!("start {} as {}", order.id, order.definition);
                self.begin(stage, story, name, None, Box::pin(stage.start(order)));
            }
            98..110 => {
                let cloud = [Cloud::Aws, Cloud::Azure][chance.below(2)];
                // Azure has no stream: a step publishes its own row.
                let how = match (cloud, chance.below(3)) {
                    (Cloud::Aws, 0 | 1) => How::Stream,
                    _ => How::Sweep,
                };
                let name = format!("the relay of {cloud} ({how:?})");
                self.begin(stage, story, name, None, Box::pin(stage.relay(cloud, how)));
            }
            110..113 => {
                let id = saga();
                let step = StepIndex::new(chance.below(4) as u8);
                let reply = [Reply::Accepted, Reply::Refused, Reply::Undone][chance.below(3)];
                let name = format!("somebody answers step {step} of {id}: {reply:?}");
                self.begin(stage, story, name, None, Box::pin(stage.answers(id, step, reply)));
            }
            113..116 if stage.provider.in_hand() > 0 => {
                let done = stage.provider.gets_to(chance.below(4), now);
                story.tell(|| format!("a service gets to {}", done.unwrap_or_default()));
            }
            116 if chance.below(3) == 2 => {
                stage.provider.restarts();
                story.tell(|| "the services are restarted".to_owned());
            }
            117 => {
                let names: Vec<_> = service_names().collect();
                let service = names[chance.below(names.len())];
                let wrong = [None, None, Some(404), Some(401), Some(302)][chance.below(5)];
                stage.provider.bind(service, wrong);
                story.tell(|| format!("service {service} is bound wrongly: {wrong:?}"));
            }
            118 => {
                let id = saga();
                let work = Box::pin(stage.command(id, Command::Retransmit));
                self.begin(stage, story, format!("retransmit {id}"), None, work);
            }
            119 => {
                let names: Vec<_> = service_names().collect();
                let service = names[chance.below(names.len())];
                let paused = chance.below(2) == 1;
                let name = format!("service {service} is paused: {paused}");
                self.begin(stage, story, name, None, Box::pin(stage.change(service, paused)));
            }
            _ => {}
        }
        stage.count_steered();
        stage.collect(&mut self.on_the_way);
    }

    fn begin(
        &mut self,
        stage: &'a Stage,
        story: &Story,
        name: String,
        message: Option<Carried>,
        work: Work<'a>,
    ) {
        if self.processes.len() < MOST_PROCESSES {
            story.tell(|| format!("begins: {name}"));
            self.processes.push(Process {
                name,
                message,
                calls: false,
                began: stage.clock.now(),
                work,
            });
        }
    }

    /// A process goes on. Some steps at once, so that not everything is always interleaved with everything.
    fn goes_on(&mut self, stage: &Stage, story: &Story) {
        let at = stage.chance().below(self.processes.len());
        if self.processes[at].is_overdue(stage.clock.now()) {
            return self.dies(at, stage, story);
        }
        for _ in 0..=stage.chance().below(24) {
            if let Poll::Ready(result) = self.processes[at].poll() {
                let process = self.processes.swap_remove(at);
                story.tell(|| match &result {
                    Ok(()) => format!("ends: {}", process.name),
                    Err(error) => format!("fails: {} ({error})", process.name),
                });
                if result.is_err() {
                    self.on_the_way.extend(process.message);
                }
                break;
            }
        }
    }

    fn dies(&mut self, at: usize, stage: &Stage, story: &Story) {
        let dead = self.processes.swap_remove(at);
        stage.counts.borrow_mut().deaths += 1;
        story.tell(|| format!("dies: {}", dead.name));
        self.on_the_way.extend(dead.message);
    }

    /// A message that its queue shows is brought, maybe not for the last time.
    fn delivers(&mut self, stage: &'a Stage, story: &Story) {
        let (chance, now) = (stage.chance(), stage.clock.now());
        let shown = self
            .on_the_way
            .iter()
            .enumerate()
            .filter(|(_, message)| message.seen <= now);
        let shown: Vec<usize> = shown.map(|(at, _)| at).collect();
        let at = shown[chance.below(shown.len())];
        let again = chance.below(8) == 7;
        let message = if again {
            self.on_the_way[at].clone()
        } else {
            self.on_the_way.swap_remove(at)
        };
        let repeat = if again { ", a repeat" } else { "" };
        let name = format!("{} at {:?}{repeat}", message.kind, message.to);
        let work = Box::pin(stage.deliver(message.clone()));
        let calls = matches!(message.to, To::Caller(_));
        self.begin(stage, story, name, (!again).then_some(message), work);
        if let Some(begun) = self.processes.last_mut() {
            begun.calls = calls;
        }
    }

    /// Something comes from others.
    fn others(&mut self, stage: &Stage, id: SagaId) {
        let chance = stage.chance();
        if chance.below(4) == 3 {
            self.on_the_way.push(Carried {
                to: To::Place([Place::Ingress, Place::AzureQueue][chance.below(2)]),
                kind: JUNK_KIND.to_owned(),
                body: JUNK.to_owned(),
                seen: stage.clock.now(),
            });
        } else {
            self.on_the_way.extend(stage.outsider(id));
        }
    }
}
