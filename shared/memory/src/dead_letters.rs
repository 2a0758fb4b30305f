//! Places of dead letters in memory: queues that hide what they give, shelves that do not, and where letters go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use saga_app::dead_letters::ports::{
    Answer, Archive, Depth, Discarded, Held, LetterSource, Memory, Outlet, Receipt, Removal, Walk, Watched,
};
use saga_app::ports::{PortError, Published, Refusal, Time};
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, Destination, Forward, Source};

use crate::clock::Clock;
use crate::faults::{Fault, Faults, call};

/// The most that a source gives at once.
const BATCH: usize = 10;

/// All places of both clouds, and what has left them. Clones share it.
#[derive(Clone)]
pub struct DeadLetters {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    clock: Arc<Clock>,
    faults: Box<dyn Faults>,
}

#[derive(Default)]
struct State {
    letters: BTreeMap<Source, BTreeMap<String, Lying>>,
    receipts: u64,
    sent: Vec<(Destination, String)>,
    requeued: Vec<String>,
    archived: Vec<DeadLetter>,
    watched: BTreeMap<Source, Watched>,
    refuses: bool,
}

struct Lying {
    letter: DeadLetter,
    hidden_until: i64,
    receipt: u64,
}

impl DeadLetters {
    /// Empty places, where `faults` chooses what goes wrong.
    #[must_use]
    pub fn new(clock: Arc<Clock>, faults: impl Faults + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                clock,
                faults: Box::new(faults),
            }),
        }
    }

    /// Empty places where nothing goes wrong.
    #[must_use]
    pub fn sound(clock: Arc<Clock>) -> Self {
        Self::new(clock, |_: &'static str| Fault::None)
    }

    /// A letter falls out.
    pub fn put(&self, letter: DeadLetter) {
        let lying = Lying {
            hidden_until: 0,
            receipt: 0,
            letter,
        };
        let id = lying.letter.id.clone();
        self.lock()
            .letters
            .entry(id.source)
            .or_default()
            .insert(id.key, lying);
    }

    /// Takes all letters away, as somebody else may.
    pub fn clear(&self) {
        self.lock().letters.clear();
    }

    /// The letters that lie somewhere, hidden or not.
    #[must_use]
    pub fn lying(&self) -> Vec<DeadLetter> {
        let state = self.lock();
        state
            .letters
            .values()
            .flat_map(BTreeMap::values)
            .map(|lying| lying.letter.clone())
            .collect()
    }

    /// What was sent since the last time.
    #[must_use]
    pub fn take_sent(&self) -> Vec<(Destination, String)> {
        std::mem::take(&mut self.lock().sent)
    }

    /// The events that are pending again since the last time.
    #[must_use]
    pub fn take_requeued(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().requeued)
    }

    /// The letters in the archive.
    #[must_use]
    pub fn archived(&self) -> Vec<DeadLetter> {
        self.lock().archived.clone()
    }

    /// From now on every receiver refuses what it is sent, or takes it again.
    pub fn refuse(&self, refuses: bool) {
        self.lock().refuses = refuses;
    }

    /// Another operator takes the letters and has not put them back yet.
    pub fn hide(&self, source: Source, seconds: i64) {
        let until = self.shared.clock.now().millis() + seconds * 1_000;
        for lying in self.lock().letters.entry(source).or_default().values_mut() {
            lying.hidden_until = until;
            lying.receipt = u64::MAX;
        }
    }

    /// The port of each source.
    #[must_use]
    pub fn sources(&self) -> Vec<Box<dyn LetterSource>> {
        let each = Source::ALL.into_iter().map(|source| -> Box<dyn LetterSource> {
            Box::new(Place {
                all: self.clone(),
                source,
            })
        });
        each.collect()
    }

    async fn call<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut State) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        call(self.shared.faults.as_ref(), name, None, || {
            effect(&mut self.lock())
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Place {
    all: DeadLetters,
    source: Source,
}

impl Place {
    fn now(&self) -> i64 {
        self.all.shared.clock.now().millis()
    }

    /// Removes the letter if it is there, and, on a queue, if the receipt is the last that was given.
    fn take(&self, state: &mut State, held: &Held) -> Option<DeadLetter> {
        let letters = state.letters.entry(self.source).or_default();
        let lying = letters.get(&held.letter.id.key)?;
        let ours = !self.is_queue() || lying.receipt.to_string() == held.receipt.0;
        if !ours {
            return None;
        }
        letters.remove(&held.letter.id.key).map(|lying| lying.letter)
    }
}

impl LetterSource for Place {
    fn source(&self) -> Source {
        self.source
    }

    fn is_queue(&self) -> bool {
        !matches!(
            self.source,
            Source::Outbox | Source::AzureOutbox | Source::EventGrid
        )
    }

    fn depth(&self) -> Answer<'_, Depth> {
        Box::pin(async move {
            let now = self.now();
            self.all
                .call("LetterSource::depth", |state| {
                    let letters = state.letters.entry(self.source).or_default();
                    let hidden = letters.values().filter(|lying| lying.hidden_until > now).count();
                    Ok(Depth {
                        visible: letters.len() - hidden,
                        hidden,
                    })
                })
                .await
        })
    }

    fn next<'a>(&'a self, walk: &'a mut Walk) -> Answer<'a, Vec<Held>> {
        Box::pin(async move {
            let (now, queue) = (self.now(), self.is_queue());
            self.all
                .call("LetterSource::next", |state| {
                    let State {
                        letters, receipts, ..
                    } = state;
                    let letters = letters.entry(self.source).or_default();
                    let after = walk.position.clone().or(walk.after.clone()).filter(|_| !queue);
                    let wanted = letters.iter_mut().filter(|(key, lying)| {
                        lying.hidden_until <= now
                            && after.as_ref().is_none_or(|after| *key > after)
                            && (queue || walk.only.as_ref().is_none_or(|only| only.contains(*key)))
                            && (queue || walk.since.is_none_or(|since| lying.letter.arrived() >= since))
                    });
                    let mut given = Vec::new();
                    for (_, lying) in wanted.take(BATCH) {
                        if queue {
                            *receipts += 1;
                            lying.receipt = *receipts;
                            lying.hidden_until = now + i64::from(walk.lease_seconds) * 1_000;
                        }
                        given.push(Held {
                            letter: lying.letter.clone(),
                            receipt: Receipt(lying.receipt.to_string()),
                        });
                    }
                    walk.position = given
                        .last()
                        .map(|held| held.letter.id.key.clone())
                        .or(walk.position.take());
                    Ok(given)
                })
                .await
        })
    }

    fn put_back(&self, receipts: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(async move {
            self.all
                .call("LetterSource::put_back", |state| {
                    let receipts: BTreeSet<&str> =
                        receipts.iter().map(|receipt| receipt.0.as_str()).collect();
                    for lying in state.letters.entry(self.source).or_default().values_mut() {
                        if receipts.contains(lying.receipt.to_string().as_str()) {
                            lying.hidden_until = 0;
                        }
                    }
                    Ok(())
                })
                .await
        })
    }

    fn remove<'a>(&'a self, held: &'a Held) -> Answer<'a, Removal> {
        Box::pin(async move {
            self.all
                .call("LetterSource::remove", |state| {
                    let taken = self.take(state, held);
                    Ok(taken.map_or(Removal::NotOurs, |_| Removal::Removed))
                })
                .await
        })
    }

    fn requeue<'a>(&'a self, held: &'a Held, _: Timestamp) -> Answer<'a, Removal> {
        Box::pin(async move {
            self.all
                .call("LetterSource::requeue", |state| {
                    let Some(letter) = self
                        .take(state, held)
                        .filter(|letter| letter.forward == Forward::Requeue)
                    else {
                        return Ok(Removal::NotOurs);
                    };
                    state.requeued.push(letter.facts.text);
                    Ok(Removal::Removed)
                })
                .await
        })
    }
}

impl Outlet for DeadLetters {
    fn send<'a>(&'a self, to: Destination, _: &'a DeadLetter, message: &'a str) -> Answer<'a, Published> {
        Box::pin(async move {
            self.call("Outlet::send", |state| {
                if state.refuses {
                    return Ok(Err(Refusal::Never("it refuses everything".to_owned())));
                }
                state.sent.push((to, message.to_owned()));
                Ok(Ok(()))
            })
            .await
        })
    }
}

impl Archive for DeadLetters {
    fn keep<'a>(&'a self, discarded: Discarded<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            self.call("Archive::keep", |state| {
                state.archived.push(discarded.letter.clone());
                Ok(())
            })
            .await
        })
    }
}

impl Memory for DeadLetters {
    fn load(&self, source: Source) -> Answer<'_, Watched> {
        Box::pin(async move {
            self.call("Memory::load", |state| {
                Ok(state.watched.get(&source).cloned().unwrap_or_default())
            })
            .await
        })
    }

    fn save<'a>(&'a self, source: Source, watched: &'a Watched) -> Answer<'a, ()> {
        Box::pin(async move {
            self.call("Memory::save", |state| {
                state.watched.insert(source, watched.clone());
                Ok(())
            })
            .await
        })
    }
}
