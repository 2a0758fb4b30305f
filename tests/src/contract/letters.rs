//! The contracts of dead letters: where they lie, where they go, what is kept of those that were discarded, and what is
//! remembered of those that were told.

use std::collections::BTreeSet;

use saga_app::dead_letters::ports::{
    Archive, Discarded, Held, LetterSource, Memory, Outlet, Receipt, Removal, Walk, Watched,
};
use saga_app::ports::Refusal;
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, Destination, Forward, Received, Source, events};
use serde_json::Value;

use super::given::{ASKED, AWKWARD, time};

/// So many letters a source holds.
pub const COUNT: usize = 45;
/// All of them are of this saga.
pub const SAGA: &str = "4a3c1d70-9f52-8b11-a0de-5b1e0c7f2d93";
const LEASE_SECONDS: u32 = 60;

/// A [`LetterSource`] that holds [`COUNT`] letters, each the [`event`] of its number.
pub trait LettersSide {
    /// The source.
    fn source(&self) -> &dyn LetterSource;

    /// Waits until so many seconds have passed for the source.
    fn pass(&self, seconds: u32) -> impl Future<Output = ()>;
}

/// The event of this number.
#[must_use]
pub fn event(number: usize) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{}","source":"s","type":"InventoryReserved","sagaid":"{SAGA}","sagadef":"payment","sagaver":1,"sagastep":2,"sagaverb":"complete","sagatarget":"aws","sagaorigin":"azure","sagahop":2,"data":{{}}}}"#,
        event_id(number)
    )
}

/// Its id.
#[must_use]
pub fn event_id(number: usize) -> String {
    format!("{number:013}-{SAGA}-complete2")
}

fn walk() -> Walk {
    Walk {
        lease_seconds: LEASE_SECONDS,
        ..Walk::default()
    }
}

/// All that a walk comes to.
pub async fn walked(source: &dyn LetterSource, mut walk: Walk) -> Vec<Held> {
    let mut all = Vec::new();
    loop {
        let some = source.next(&mut walk).await.unwrap();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

async fn all(side: &impl LettersSide) -> Vec<Held> {
    walked(side.source(), walk()).await
}

fn keys(held: &[Held]) -> BTreeSet<&str> {
    held.iter().map(|held| held.letter.id.key.as_str()).collect()
}

fn receipts(held: &[Held]) -> Vec<Receipt> {
    held.iter().map(|held| held.receipt.clone()).collect()
}

/// With what is known of it.
pub async fn a_walk_gives_each_letter_once(side: &impl LettersSide) {
    assert!(side.source().depth().await.unwrap().visible > 0);
    let first = all(side).await;
    assert_eq!((first.len(), keys(&first).len()), (COUNT, COUNT));
    // As JSON: what was added to it is taken out again.
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap().to_string();
    let found: BTreeSet<String> = first.iter().map(|held| value(&held.letter.facts.text)).collect();
    assert!(found == (0..COUNT).map(|number| value(&event(number))).collect());
    for held in &first {
        assert_eq!(held.letter.id.source, side.source().source());
        assert_eq!(
            held.letter.facts.saga.map(|saga| saga.to_string()).as_deref(),
            Some(SAGA)
        );
    }
    // While somebody holds them, another operator sees none; what is no queue hides nothing.
    let others = if side.source().is_queue() { 0 } else { COUNT };
    assert_eq!(all(side).await.len(), others);
}

/// A place without a queue is walked in order, from where and to what is wanted.
pub async fn a_shelf_is_walked_in_order(side: &impl LettersSide) {
    if side.source().is_queue() {
        return;
    }
    let first = all(side).await;
    let in_order: Vec<&str> = first.iter().map(|held| held.letter.id.key.as_str()).collect();
    assert!(in_order.is_sorted(), "{in_order:?}");
    let after = Walk {
        after: Some(in_order[9].to_owned()),
        ..walk()
    };
    let rest = walked(side.source(), after).await;
    assert_eq!(keys(&rest), keys(&first[10..]));
    let only = Walk {
        only: Some([in_order[7].to_owned(), "no such key".to_owned()].into()),
        ..walk()
    };
    // One that is kept with others brings them along.
    let found = walked(side.source(), only).await;
    assert!(keys(&found).contains(in_order[7]) && found.len() < COUNT);
}

/// What was looked at is there as before.
pub async fn a_look_consumes_nothing(side: &impl LettersSide) {
    let first = all(side).await;
    side.source().put_back(receipts(&first)).await.unwrap();
    let second = all(side).await;
    assert_eq!(keys(&second), keys(&first));
    let texts = |held: &[Held]| -> BTreeSet<(String, String)> {
        let each = held.iter().map(|held| &held.letter);
        each.map(|letter| (letter.id.key.clone(), letter.facts.text.clone()))
            .collect()
    };
    assert_eq!(texts(&second), texts(&first));
}

/// Whoever held it died: it is there again when the lease has ended.
pub async fn what_is_hidden_comes_back_by_itself(side: &impl LettersSide) {
    let mut short = Walk {
        lease_seconds: 2,
        ..Walk::default()
    };
    assert!(!side.source().next(&mut short).await.unwrap().is_empty());
    side.pass(3).await;
    let mut found = all(side).await;
    // A queue may need a moment.
    for _ in 0..100 {
        if found.len() >= COUNT {
            break;
        }
        side.pass(1).await;
        found.extend(all(side).await);
    }
    assert_eq!((found.len(), keys(&found).len()), (COUNT, COUNT));
}

/// One by one, and several at once; the others stay.
pub async fn what_is_removed_is_gone_and_nothing_else(side: &impl LettersSide) {
    let held = all(side).await;
    let source = side.source();
    assert_eq!(source.remove(&held[0]).await.unwrap(), Removal::Removed);
    let some = source.remove_all(held[1..4].iter().collect()).await;
    for removed in some {
        assert_eq!(removed.unwrap(), Removal::Removed);
    }
    if !source.is_queue() {
        assert_eq!(source.remove(&held[0]).await.unwrap(), Removal::NotOurs);
    }
    source.put_back(receipts(&held[4..])).await.unwrap();
    let rest = all(side).await;
    assert_eq!(keys(&rest), keys(&held[4..]));
}

/// A dead row is pending again, once.
pub async fn a_letter_that_can_be_pending_again_is_so_once(side: &impl LettersSide) {
    let held = all(side).await;
    for one in held
        .iter()
        .filter(|held| held.letter.forward == Forward::Requeue)
        .take(2)
    {
        let source = side.source();
        assert_eq!(source.requeue(one, time(7)).await.unwrap(), Removal::Removed);
        assert_eq!(source.requeue(one, time(8)).await.unwrap(), Removal::NotOurs);
        assert!(!keys(&all(side).await).contains(one.letter.id.key.as_str()));
    }
}

/// An [`Outlet`], and the places that it sends to.
pub trait OutletSide {
    /// The adapter.
    type Port: Outlet;

    /// The adapter.
    fn port(&self) -> &Self::Port;

    /// Where it can send to.
    fn destinations(&self) -> Vec<Destination>;

    /// What has arrived there, once there is something.
    fn arrived(&self, to: Destination) -> impl Future<Output = Vec<String>>;
}

/// A letter of a source, with this event in it.
fn letter(number: usize) -> DeadLetter {
    events(&Received {
        key: format!("key-{number}"),
        body: event(number),
        ..Received::default()
    })
}

/// As it was sent; what belongs to the other cloud is refused for good.
pub async fn what_is_sent_arrives(side: &impl OutletSide) {
    let all = [
        Destination::Bus,
        Destination::EventsQueue,
        Destination::Topic,
        Destination::ParticipantQueue,
    ];
    for (number, to) in all.into_iter().enumerate() {
        let (letter, message) = (letter(number), event(number));
        let sent = side.port().send(to, &letter, &message).await.unwrap();
        if !side.destinations().contains(&to) {
            assert!(matches!(sent, Err(Refusal::Never(_))), "{to:?}: {sent:?}");
            continue;
        }
        assert_eq!(sent, Ok(()), "{to:?}");
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let arrived = side.arrived(to).await;
        let arrived = arrived.iter().any(|text| value(text) == value(&message));
        assert!(arrived, "{to:?}");
    }
}

/// An [`Archive`], and what it keeps.
pub trait ArchiveSide {
    /// The adapter.
    type Port: Archive;

    /// The adapter.
    fn port(&self) -> &Self::Port;

    /// The bodies that are kept of the letter with this id.
    fn kept(&self, id: &str) -> impl Future<Output = Vec<String>>;
}

/// Of any size, and whatever it holds; twice is no error.
pub async fn a_discarded_letter_is_kept_whole(side: &impl ArchiveSide) {
    let mut bodies: Vec<String> = AWKWARD.iter().map(|c| format!("a{c}b{c}")).collect();
    bodies.extend([String::new(), "ä𝄞\"".repeat(100_000)]);
    for (number, body) in bodies.into_iter().enumerate() {
        let letter = events(&Received {
            key: format!("key-{number}"),
            body: body.clone(),
            ..Received::default()
        });
        for _ in 0..2 {
            let discarded = Discarded {
                letter: &letter,
                at: time(0),
                asked: ASKED,
            };
            side.port().keep(discarded).await.unwrap();
        }
        let kept = side.kept(&letter.id.to_string()).await;
        assert!(
            !kept.is_empty() && kept.iter().all(|found| *found == body),
            "{number}"
        );
    }
}

fn marks(count: usize) -> BTreeSet<String> {
    (0..count).map(|number| format!("{number:016x}")).collect()
}

/// Nothing is remembered of a source before it is told of.
pub async fn of_a_source_that_was_never_told_nothing_is_remembered(memory: &impl Memory) {
    for source in Source::ALL {
        assert_eq!(memory.load(source).await.unwrap(), Watched::default());
    }
}

/// None told, one, and as many as a watch remembers; each source has its own, and the last one counts.
pub async fn what_was_told_is_remembered_as_it_was(memory: &impl Memory) {
    for (number, count) in [4_000, 0, 1, 2].into_iter().enumerate() {
        let known = |source: usize| Watched {
            until: Timestamp::from_millis(1_795_226_400_123 + source as i64).millis(),
            told: marks(count),
            depth: number,
        };
        for (place, source) in Source::ALL.into_iter().enumerate() {
            memory.save(source, &known(place)).await.unwrap();
        }
        for (place, source) in Source::ALL.into_iter().enumerate() {
            assert_eq!(
                memory.load(source).await.unwrap(),
                known(place),
                "{source}, {count} told"
            );
        }
    }
}
