//! For any definition: at every step, every port call fails once, and every message comes twice, on the way forward and on
//! the way back; the saga must end as it does undisturbed, and its participants' entities must say exactly that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use saga_app::Deployment;
use saga_app::override_saga::{Command, command};
use saga_app::start_saga::NotStarted;
use saga_core::origin::Override;
use saga_core::{SagaId, Status};
use saga_memory::{Fault, OriginCloud, StepCloud};

use crate::accounts::Accounts;
use crate::contract::given;
use crate::laws::Undone;
use crate::played::{self, Stores};
use crate::shown::is_true;
use crate::world::{Message, SKU, STOCK_BEFORE, World};

/// A saga to disturb.
pub struct Case<'a> {
    /// Makes the deployment; called once for every run.
    pub deployment: &'a dyn Fn() -> Deployment,
    /// What else must be in the stores before.
    pub given: &'a dyn Fn(&World),
    /// The definition's name.
    pub definition: &'a str,
    /// What the caller sends.
    pub body: &'a str,
    /// How it ends.
    pub end: Status,
}

/// The names of the calls so far, and the one that is to fail.
#[derive(Clone, Default)]
struct Calls {
    names: Arc<Mutex<Vec<&'static str>>>,
    fails: Option<(usize, Fault)>,
}

impl Calls {
    fn count(&self) -> usize {
        self.names.lock().unwrap().len()
    }

    fn name(&self, nth: usize) -> &'static str {
        self.names.lock().unwrap().get(nth).copied().unwrap_or("no call")
    }
}

impl saga_memory::Faults for Calls {
    fn on(&self, call: &'static str) -> Fault {
        let mut names = self.names.lock().unwrap();
        names.push(call);
        match self.fails {
            Some((nth, fault)) if nth + 1 == names.len() => fault,
            _ => Fault::None,
        }
    }
}

/// A command that is given right before a message is delivered.
#[derive(Debug, Clone, Copy)]
struct Interruption {
    before_message: usize,
    command: Command,
}

/// How a saga is run.
struct Run<'a> {
    calls: Calls,
    interruption: Option<Interruption>,
    undone: Undone<'a>,
    /// Where it is disturbed, in words.
    what: String,
}

/// What a run showed.
struct Ran {
    messages: usize,
    end: Status,
}

impl Case<'_> {
    /// Runs it in a world of its own; `carry` brings each message, oldest first.
    async fn run(&self, run: &Run<'_>, mut carry: impl AsyncFnMut(&mut World, Message)) -> Ran {
        let mut world = World::new(
            OriginCloud::with_faults(run.calls.clone()),
            StepCloud::with_faults(run.calls.clone()),
        );
        world.deployment = (self.deployment)();
        (self.given)(&world);
        let before = Stores::of(&world);
        let id = self.start(&world).await;
        world.publish().await;
        let mut messages = 0;
        while !world.on_the_way.is_empty() {
            if let Some(interruption) = run.interruption
                && interruption.before_message == messages
            {
                interrupt(&world, id, interruption.command).await;
            }
            let message = world.on_the_way.remove(0);
            messages += 1;
            carry(&mut world, message).await;
            world.publish().await;
        }
        world.heal(id).await;
        world.settle().await;
        let fails = |why: &str| -> ! { panic!("{}, {}: {why}", self.definition, run.what) };
        let end = world.status(id);
        if end != self.end && (run.interruption.is_none() || end != Status::CancelledViaCompensation) {
            fails(&format!("it ends as {end}, and should as {}", self.end));
        }
        let accounts = Accounts {
            deployment: &world.deployment,
            aws: &world.aws,
            azure: &world.azure,
        };
        let stock = BTreeMap::from([(SKU.to_owned(), STOCK_BEFORE)]);
        if let Err(why) = accounts.close(&[id], &stock, &BTreeSet::new()) {
            fails(&why);
        }
        if let Err(why) = played::check(&world, id, &before, run.undone) {
            fails(&why);
        }
        if let Err(why) = is_true(&world.deployment, &world.azure, &world.saga(id)) {
            fails(&why);
        }
        Ran { messages, end }
    }

    /// A caller who tries again, with the same key, until somebody answers.
    async fn start(&self, world: &World) -> SagaId {
        for _ in 0..3 {
            match world.try_start_of(self.definition, "key", self.body).await {
                Ok(id) => return id,
                Err(NotStarted::Port(_)) => world.clock.advance(1_000),
                Err(error) => panic!("{error}"),
            }
        }
        panic!("three attempts failed");
    }

    /// Disturbs it everywhere, forward and, where it completes, once more while all of it is undone. How many runs that
    /// took. What undone means is derived from what act did ([`crate::laws::taken_back`]).
    ///
    /// # Panics
    /// When one does not end as it should: says where it was disturbed, and what is not as it should be.
    pub async fn survives_everything(&self) -> usize {
        self.survives_everything_where(&|_, _| None).await
    }

    /// The same for participants of which `undone` says what undone means.
    ///
    /// # Panics
    /// As [`Case::survives_everything`].
    pub async fn survives_everything_where(&self, undone: Undone<'_>) -> usize {
        let undisturbed = Run {
            calls: Calls::default(),
            interruption: None,
            undone,
            what: "undisturbed".to_owned(),
        };
        let messages = self.run(&undisturbed, at_once).await.messages;
        let mut runs = 1 + self.disturbed(&undisturbed, messages).await;
        if self.end != Status::Completed {
            return runs;
        }
        for before_message in 0..messages {
            for command in [
                Command::Cancel,
                Command::Resolve {
                    to: Override::Cancelled,
                    force: false,
                },
            ] {
                let run = Run {
                    calls: Calls::default(),
                    interruption: Some(Interruption {
                        before_message,
                        command,
                    }),
                    undone,
                    what: format!("{command:?} before message {before_message}"),
                };
                let ran = self.run(&run, at_once).await;
                runs += 1;
                // Before the last message every step is done: an override at that moment undoes all of them.
                if before_message + 1 == messages && command != Command::Cancel {
                    assert_eq!(ran.end, Status::CancelledViaCompensation, "{}", run.what);
                    runs += self.disturbed(&run, ran.messages).await;
                }
            }
        }
        runs
    }

    /// Repeats a run, with each fault at each of its calls and each of its messages twice. How many runs that took.
    async fn disturbed(&self, quiet: &Run<'_>, messages: usize) -> usize {
        let again = |fails, what: String| Run {
            calls: Calls {
                fails,
                ..Calls::default()
            },
            what: format!("{}, {what}", quiet.what),
            ..*quiet
        };
        let deliver = async |world: &mut World, message: Message| {
            if world.deliver(&message).await.is_err() {
                world.on_the_way.push(message);
            }
        };
        let mut runs = 0;
        for fault in [
            Fault::FailBefore,
            Fault::FailAfter,
            Fault::Throttle,
            Fault::Conflict,
        ] {
            for nth in 0..quiet.calls.count() {
                let what = format!("{fault:?} at call {nth}, {}", quiet.calls.name(nth));
                self.run(&again(Some((nth, fault)), what), deliver).await;
                runs += 1;
            }
        }
        for nth in 0..messages {
            for late in [false, true] {
                let mut seen = 0;
                let repeat = async |world: &mut World, message: Message| {
                    world.deliver(&message).await.unwrap();
                    if seen == nth {
                        if late {
                            world.settle().await;
                        }
                        world.deliver(&message).await.unwrap();
                    }
                    seen += 1;
                };
                let when = if late { "at the end" } else { "at once" };
                let what = format!("message {nth} twice, {when}");
                self.run(&again(None, what), repeat).await;
                runs += 1;
            }
        }
        runs
    }
}

async fn at_once(world: &mut World, message: Message) {
    world.deliver(&message).await.unwrap();
}

/// Somebody who tries again until there is an answer.
async fn interrupt(world: &World, id: SagaId, what: Command) {
    for _ in 0..3 {
        world.clock.advance(1_000);
        let done = command(
            &world.deployment,
            &world.aws,
            &world.clock,
            id,
            what,
            given::ASKED,
        );
        if done.await.is_ok() {
            return;
        }
    }
    panic!("three attempts failed");
}
