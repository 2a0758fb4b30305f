//! Sources of dead letters in memory: queues that hide what they give, containers that do not, and what left them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream;
use saga_app::dead_letters::DeadLetterSource;
use saga_app::dead_letters::ports::{
    Answer, Answers, Archive, DeadLetterContainer, DeadLetterQueue, DeadOutbox, Depth, Leased, Memory,
    Outlet, Pages, Receipt, Removal, Watched,
};
use saga_app::ports::{PortError, Published, Refusal, Time};
use saga_core::Timestamp;
use saga_core::mark::Asked;
use saga_wire::dead_letter::{DeadLetter, Destination, Source};

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
    stored: BTreeMap<Source, BTreeMap<String, Stored>>,
    receipts: u64,
    sent: Vec<(Destination, String)>,
    requeued: Vec<String>,
    archived: Vec<DeadLetter>,
    watched: BTreeMap<Source, Watched>,
    refuses: bool,
}

struct Stored {
    dead_letter: DeadLetter,
    hidden_until: i64,
    receipt: u64,
}

impl Stored {
    fn receipt(&self) -> Receipt {
        Receipt {
            message: self.dead_letter.id.key.clone(),
            handle: self.receipt.to_string(),
        }
    }
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

    /// A dead letter arrives.
    pub fn put(&self, dead_letter: DeadLetter) {
        let id = dead_letter.id.clone();
        let stored = Stored {
            hidden_until: 0,
            receipt: 0,
            dead_letter,
        };
        let mut state = self.lock();
        state.stored.entry(id.source).or_default().insert(id.key, stored);
    }

    /// Takes all dead letters away, as somebody else may.
    pub fn clear(&self) {
        self.lock().stored.clear();
    }

    /// All dead letters, hidden or not.
    #[must_use]
    pub fn stored(&self) -> Vec<DeadLetter> {
        let state = self.lock();
        let stored = state.stored.values().flat_map(BTreeMap::values);
        stored.map(|one| one.dead_letter.clone()).collect()
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

    /// The dead letters in the archive.
    #[must_use]
    pub fn archived(&self) -> Vec<DeadLetter> {
        self.lock().archived.clone()
    }

    /// From now on every receiver refuses what it is sent, or takes it again.
    pub fn refuse(&self, refuses: bool) {
        self.lock().refuses = refuses;
    }

    /// Another operator takes the dead letters and has not put them back yet.
    pub fn hide(&self, source: Source, seconds: i64) {
        let until = self.shared.clock.now().millis() + seconds * 1_000;
        for stored in self.lock().stored.entry(source).or_default().values_mut() {
            stored.hidden_until = until;
            stored.receipt = u64::MAX;
        }
    }

    /// The port of each source.
    #[must_use]
    pub fn sources(&self) -> Vec<DeadLetterSource> {
        Source::ALL.map(|source| self.source(source)).into()
    }

    /// The port of one source.
    #[must_use]
    pub fn source(&self, source: Source) -> DeadLetterSource {
        let all = self.clone();
        let place = Box::new(Place { all, source });
        match source {
            Source::Outbox | Source::AzureOutbox => DeadLetterSource::Outbox(place),
            Source::EventGrid => DeadLetterSource::Container(place),
            _ => DeadLetterSource::Queue(place),
        }
    }

    async fn call<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut State) -> T,
    ) -> Result<T, PortError> {
        let effect = || Ok(effect(&mut self.lock()));
        call(self.shared.faults.as_ref(), name, None, effect).await
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

    async fn call<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut BTreeMap<String, Stored>, &mut u64) -> T,
    ) -> Result<T, PortError> {
        let effect = |state: &mut State| {
            let State { stored, receipts, .. } = state;
            effect(stored.entry(self.source).or_default(), receipts)
        };
        self.all.call(name, effect).await
    }
}

fn removal(removed: Option<Stored>) -> Removal {
    removed.map_or(Removal::NotOurs, |_| Removal::Removed)
}

impl DeadLetterQueue for Place {
    fn source(&self) -> Source {
        self.source
    }

    fn depth(&self) -> Answer<'_, Depth> {
        let now = self.now();
        Box::pin(self.call("DeadLetterQueue::depth", move |stored, _| {
            let hidden = stored.values().filter(|one| one.hidden_until > now).count();
            let visible = stored.len() - hidden;
            Depth { visible, hidden }
        }))
    }

    fn lease(&self, seconds: u32, _: usize) -> Answer<'_, Vec<Leased>> {
        let now = self.now();
        Box::pin(self.call("DeadLetterQueue::lease", move |stored, receipts| {
            let visible = stored.values_mut().filter(|one| one.hidden_until <= now);
            let leased = visible.take(BATCH).map(|one| {
                *receipts += 1;
                one.receipt = *receipts;
                one.hidden_until = now + i64::from(seconds) * 1_000;
                Leased {
                    dead_letter: one.dead_letter.clone(),
                    receipt: one.receipt(),
                }
            });
            leased.collect()
        }))
    }

    fn put_back(&self, receipts: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(self.call("DeadLetterQueue::put_back", move |stored, _| {
            for one in stored
                .values_mut()
                .filter(|one| receipts.contains(&one.receipt()))
            {
                one.hidden_until = 0;
            }
        }))
    }

    fn remove<'a>(&'a self, receipts: Vec<&'a Receipt>) -> Answers<'a, Removal> {
        Box::pin(async move {
            let mut removals = Vec::new();
            for receipt in receipts {
                let removed = self.call("DeadLetterQueue::remove", |stored, _| {
                    let one = stored.get(&receipt.message);
                    let ours = one.is_some_and(|one| one.receipt() == *receipt);
                    removal(ours.then(|| stored.remove(&receipt.message)).flatten())
                });
                removals.push(removed.await);
            }
            removals
        })
    }
}

impl DeadLetterContainer for Place {
    fn source(&self) -> Source {
        self.source
    }

    fn pages(&self, after: Option<String>, since: Option<Timestamp>) -> Pages<'_> {
        let page = move |after: Option<String>| async move {
            let page = self.call("DeadLetterContainer::pages", |stored, _| {
                let all = stored.values().map(|one| &one.dead_letter);
                let wanted = all.filter(|one| {
                    after.as_ref().is_none_or(|after| one.id.key > *after)
                        && since.is_none_or(|since| one.arrived() >= since)
                });
                wanted.take(BATCH).cloned().collect::<Vec<_>>()
            });
            let page = page.await?;
            let last = page.last().map(|last| last.id.key.clone());
            Ok(last.map(|last| (page, Some(last))))
        };
        Box::pin(stream::try_unfold(after, page))
    }

    fn find<'a>(&'a self, key: &'a str) -> Answer<'a, Option<DeadLetter>> {
        Box::pin(self.call("DeadLetterContainer::find", move |stored, _| {
            stored.get(key).map(|one| one.dead_letter.clone())
        }))
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, Removal> {
        Box::pin(self.call("DeadLetterContainer::remove", move |stored, _| {
            removal(stored.remove(key))
        }))
    }
}

impl DeadOutbox for Place {
    fn requeue<'a>(&'a self, key: &'a str, _: Timestamp) -> Answer<'a, Removal> {
        Box::pin(self.all.call("DeadOutbox::requeue", move |state| {
            let removed = state.stored.entry(self.source).or_default().remove(key);
            let text = removed.as_ref().map(|one| one.dead_letter.facts.text.clone());
            state.requeued.extend(text);
            removal(removed)
        }))
    }
}

impl Outlet for DeadLetters {
    fn send<'a>(&'a self, to: Destination, _: &'a DeadLetter, message: &'a str) -> Answer<'a, Published> {
        Box::pin(self.call("Outlet::send", move |state| {
            if state.refuses {
                return Err(Refusal::Never("it refuses everything".to_owned()));
            }
            state.sent.push((to, message.to_owned()));
            Ok(())
        }))
    }
}

impl Archive for DeadLetters {
    fn keep<'a>(&'a self, dead_letter: &'a DeadLetter, _: Timestamp, _: Asked<'a>) -> Answer<'a, ()> {
        Box::pin(self.call("Archive::keep", move |state| {
            state.archived.push(dead_letter.clone());
        }))
    }
}

impl Memory for DeadLetters {
    fn load(&self, source: Source) -> Answer<'_, Watched> {
        Box::pin(self.call("Memory::load", move |state| {
            state.watched.get(&source).cloned().unwrap_or_default()
        }))
    }

    fn save<'a>(&'a self, source: Source, watched: &'a Watched) -> Answer<'a, ()> {
        Box::pin(self.call("Memory::save", move |state| {
            state.watched.insert(source, watched.clone());
        }))
    }
}
