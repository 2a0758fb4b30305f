//! For any definition: at every step, every port call fails once, and every message comes twice; the saga must end as it
//! does undisturbed, and leave nothing behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use saga_app::Deployment;
use saga_app::start_saga::NotStarted;
use saga_core::{SagaId, Status};
use saga_memory::{Fault, OriginCloud, StepCloud};

use crate::books::Books;
use crate::world::{Parcel, SKU, STOCK_BEFORE, World};

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

impl Case<'_> {
    /// Runs it in a world of its own; `carry` brings each message, oldest first.
    async fn run(&self, calls: &Calls, mut carry: impl AsyncFnMut(&mut World, Parcel), what: &str) {
        let mut world = World::new(
            OriginCloud::with_faults(calls.clone()),
            StepCloud::with_faults(calls.clone()),
        );
        world.deployment = (self.deployment)();
        (self.given)(&world);
        let id = self.start(&world).await;
        world.publish().await;
        while !world.on_the_way.is_empty() {
            let parcel = world.on_the_way.remove(0);
            carry(&mut world, parcel).await;
            world.publish().await;
        }
        world.heal(id).await;
        world.settle().await;
        assert_eq!(world.status(id), self.end, "{}: {what}", self.definition);
        let books = Books {
            deployment: &world.deployment,
            aws: &world.aws,
            azure: &world.azure,
        };
        let before = BTreeMap::from([(SKU.to_owned(), STOCK_BEFORE)]);
        if let Err(why) = books.close(&[id], &before) {
            panic!("{}: {what}: {why}", self.definition);
        }
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

    /// Disturbs it everywhere. How many runs that took.
    ///
    /// # Panics
    /// When one does not end as it should: says where it was disturbed.
    pub async fn survives_everything(&self) -> usize {
        let deliver = async |world: &mut World, parcel: Parcel| {
            if world.deliver(&parcel).await.is_err() {
                world.on_the_way.push(parcel);
            }
        };
        let undisturbed = Calls::default();
        let mut messages = 0;
        let counted = async |world: &mut World, parcel: Parcel| {
            messages += 1;
            world.deliver(&parcel).await.unwrap();
        };
        self.run(&undisturbed, counted, "undisturbed").await;

        let mut runs = 1;
        for fault in [
            Fault::FailBefore,
            Fault::FailAfter,
            Fault::Throttle,
            Fault::Conflict,
        ] {
            for nth in 0..undisturbed.count() {
                let calls = Calls {
                    fails: Some((nth, fault)),
                    ..Calls::default()
                };
                let what = format!("{fault:?} at call {nth}, {}", undisturbed.name(nth));
                self.run(&calls, deliver, &what).await;
                runs += 1;
            }
        }
        for nth in 0..messages {
            for late in [false, true] {
                let mut seen = 0;
                let repeat = async |world: &mut World, parcel: Parcel| {
                    world.deliver(&parcel).await.unwrap();
                    if seen == nth {
                        if late {
                            world.settle().await;
                        }
                        world.deliver(&parcel).await.unwrap();
                    }
                    seen += 1;
                };
                let what = format!(
                    "message {nth} twice, {}",
                    if late { "at the end" } else { "at once" }
                );
                self.run(&Calls::default(), repeat, &what).await;
                runs += 1;
            }
        }
        runs
    }
}
