//! The contracts of dead letters: where they lie, where they go, what is kept of those that were discarded, and what is
//! remembered of those that were told.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt};
use saga_app::dead_letters::ports::{
    Archive, DeadLetterContainer, DeadLetterQueue, DeadOutbox, Leased, Memory, Outlet, Receipt, Removal,
    Watched,
};
use saga_app::ports::Refusal;
use saga_core::Timestamp;
use saga_wire::dead_letter::{
    DeadLetter, Destination, Forward, Received, SERVICE_SEPARATOR, Source, events, service_request,
};
use serde_json::Value;

use super::given::{ASKED, AWKWARD, time};

/// So many dead letters a source holds.
pub const COUNT: usize = 45;
/// All of them are of this saga.
pub const SAGA: &str = "4a3c1d70-9f52-8b11-a0de-5b1e0c7f2d93";
const LEASE_SECONDS: u32 = 60;

/// A [`DeadLetterQueue`] that holds [`COUNT`] dead letters, each the [`event`] of its number.
pub trait QueueSide {
    /// The queue.
    fn queue(&self) -> &dyn DeadLetterQueue;

    /// Waits until so many seconds have passed for the queue.
    fn pass(&self, seconds: u32) -> impl Future<Output = ()>;
}

/// A [`DeadLetterContainer`] that holds [`COUNT`] dead letters, each the [`event`] of its number.
pub trait ContainerSide {
    /// The container.
    fn container(&self) -> &dyn DeadLetterContainer;
}

/// A [`DeadOutbox`] that holds [`COUNT`] dead rows, each the [`event`] of its number.
pub trait OutboxSide {
    /// The dead rows.
    fn outbox(&self) -> &dyn DeadOutbox;
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

/// All that a queue gives.
pub async fn leased(queue: &dyn DeadLetterQueue) -> Vec<Leased> {
    let (mut all, mut before) = (Vec::new(), 0);
    loop {
        let some = queue.lease(LEASE_SECONDS, before).await.unwrap();
        if some.is_empty() {
            return all;
        }
        before = some.len();
        all.extend(some);
    }
}

/// All that a container holds after this key.
pub async fn kept(container: &dyn DeadLetterContainer, after: Option<&str>) -> Vec<DeadLetter> {
    let pages = container.pages(after.map(str::to_owned), None);
    let pages: Vec<Vec<DeadLetter>> = pages.try_collect().await.unwrap();
    pages.concat()
}

/// Its first page.
pub async fn first_page(container: &dyn DeadLetterContainer) -> Vec<DeadLetter> {
    let first = container.pages(None, None).next().await;
    first.unwrap().unwrap()
}

fn keys<'a>(all: impl IntoIterator<Item = &'a DeadLetter>) -> BTreeSet<&'a str> {
    all.into_iter().map(|one| one.id.key.as_str()).collect()
}

fn dead_letters(leased: &[Leased]) -> impl Iterator<Item = &DeadLetter> {
    leased.iter().map(|one| &one.dead_letter)
}

fn receipts(leased: &[Leased]) -> Vec<Receipt> {
    leased.iter().map(|one| one.receipt.clone()).collect()
}

/// Each has an id of its own, and what is known of it.
fn check_all(source: Source, all: &[&DeadLetter]) {
    let ids = keys(all.iter().copied());
    assert_eq!((all.len(), ids.len()), (COUNT, COUNT));
    // As JSON: what was added to it is taken out again.
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap().to_string();
    let found: BTreeSet<String> = all.iter().map(|one| value(&one.facts.text)).collect();
    assert!(found == (0..COUNT).map(|number| value(&event(number))).collect());
    for one in all {
        assert_eq!(one.id.source, source);
        let saga = one.facts.saga.map(|saga| saga.to_string());
        assert_eq!(saga.as_deref(), Some(SAGA));
    }
}

/// With what is known of it.
pub async fn a_queue_gives_each_dead_letter_once(side: &impl QueueSide) {
    let queue = side.queue();
    assert!(queue.depth().await.unwrap().visible > 0);
    let first = leased(queue).await;
    check_all(queue.source(), &dead_letters(&first).collect::<Vec<_>>());
    // While somebody holds them, another operator sees none.
    assert_eq!(leased(queue).await.len(), 0);
}

/// What was looked at is there as before.
pub async fn a_look_consumes_nothing(side: &impl QueueSide) {
    let first = leased(side.queue()).await;
    side.queue().put_back(receipts(&first)).await.unwrap();
    let second = leased(side.queue()).await;
    let texts = |all: &[Leased]| -> BTreeSet<(String, String)> {
        dead_letters(all)
            .map(|one| (one.id.key.clone(), one.facts.text.clone()))
            .collect()
    };
    assert_eq!(texts(&second), texts(&first));
}

/// Whoever held it died: it is there again when the lease has ended.
pub async fn what_is_hidden_comes_back_by_itself(side: &impl QueueSide) {
    assert!(!side.queue().lease(2, 0).await.unwrap().is_empty());
    side.pass(3).await;
    let mut found = leased(side.queue()).await;
    // A queue may need a moment.
    for _ in 0..100 {
        if found.len() >= COUNT {
            break;
        }
        side.pass(1).await;
        found.extend(leased(side.queue()).await);
    }
    assert_eq!((found.len(), keys(dead_letters(&found)).len()), (COUNT, COUNT));
}

/// One by one, and several at once; the others stay.
pub async fn what_is_leased_is_removed_and_nothing_else(side: &impl QueueSide) {
    let queue = side.queue();
    let held = leased(queue).await;
    for some in [&held[..1], &held[1..4]] {
        let removals = queue.remove(some.iter().map(|one| &one.receipt).collect()).await;
        assert_eq!(removals.len(), some.len());
        for removal in removals {
            assert_eq!(removal.unwrap(), Removal::Removed);
        }
    }
    queue.put_back(receipts(&held[4..])).await.unwrap();
    let rest = leased(queue).await;
    assert_eq!(keys(dead_letters(&rest)), keys(dead_letters(&held[4..])));
}

/// With what is known of it; nothing is hidden.
pub async fn a_container_gives_each_dead_letter_once_and_in_order(side: &impl ContainerSide) {
    let container = side.container();
    for _ in 0..2 {
        let all = kept(container, None).await;
        check_all(container.source(), &all.iter().collect::<Vec<_>>());
        assert!(all.iter().map(|one| &one.id.key).is_sorted());
    }
}

/// From where it is wanted, or one alone.
pub async fn a_container_is_read_from_a_key_and_by_key(side: &impl ContainerSide) {
    let container = side.container();
    let all = kept(container, None).await;
    let rest = kept(container, Some(&all[9].id.key)).await;
    assert_eq!(rest, all[10..]);
    assert_eq!(
        container.find(&all[7].id.key).await.unwrap().map(|one| one.id),
        Some(all[7].id.clone())
    );
    assert_eq!(container.find("no such key").await.unwrap(), None);
}

/// One by one; the others stay.
pub async fn what_is_removed_is_gone_and_nothing_else(side: &impl ContainerSide) {
    let container = side.container();
    let all = kept(container, None).await;
    for one in &all[..4] {
        assert_eq!(container.remove(&one.id.key).await.unwrap(), Removal::Removed);
        assert_eq!(container.remove(&one.id.key).await.unwrap(), Removal::NotOurs);
        assert_eq!(container.find(&one.id.key).await.unwrap(), None);
    }
    let rest = kept(container, None).await;
    assert_eq!(keys(&rest), keys(&all[4..]));
}

/// A dead row is pending again, once.
pub async fn a_dead_row_is_pending_again_once(side: &impl OutboxSide) {
    let outbox = side.outbox();
    for one in &kept(outbox, None).await[..2] {
        assert_eq!(one.forward, Forward::Requeue);
        assert_eq!(
            outbox.requeue(&one.id.key, time(7)).await.unwrap(),
            Removal::Removed
        );
        assert_eq!(
            outbox.requeue(&one.id.key, time(8)).await.unwrap(),
            Removal::NotOurs
        );
        assert!(!keys(&kept(outbox, None).await).contains(one.id.key.as_str()));
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

/// The service whose queue an outlet knows, where it knows any.
pub const SERVICE: &str = "ledger";

/// A dead letter of a source, with this event in it.
fn dead_letter(number: usize, to: Destination) -> DeadLetter {
    let (prefix, read): (_, fn(&Received) -> DeadLetter) = match to {
        Destination::ServiceQueue => (format!("{SERVICE}{SERVICE_SEPARATOR}"), service_request),
        _ => (String::new(), events),
    };
    read(&Received {
        key: format!("{prefix}key-{number}"),
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
        Destination::ServiceQueue,
        Destination::AzureServiceQueue,
    ];
    for (number, to) in all.into_iter().enumerate() {
        let (dead_letter, message) = (dead_letter(number, to), event(number));
        let sent = side.port().send(to, &dead_letter, &message).await.unwrap();
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

    /// The bodies that are kept of the dead letter with this id.
    fn kept(&self, id: &str) -> impl Future<Output = Vec<String>>;
}

/// Of any size, and whatever it holds; twice is no error.
pub async fn a_discarded_dead_letter_is_kept_whole(side: &impl ArchiveSide) {
    let mut bodies: Vec<String> = AWKWARD.iter().map(|c| format!("a{c}b{c}")).collect();
    bodies.extend([String::new(), "ä𝄞\"".repeat(100_000)]);
    for (number, body) in bodies.into_iter().enumerate() {
        let dead_letter = events(&Received {
            key: format!("key-{number}"),
            body: body.clone(),
            ..Received::default()
        });
        for _ in 0..2 {
            side.port().keep(&dead_letter, time(0), ASKED).await.unwrap();
        }
        let kept = side.kept(&dead_letter.id.to_string()).await;
        assert!(
            !kept.is_empty() && kept.iter().all(|found| *found == body),
            "{number}"
        );
    }
}

fn marks(count: usize) -> BTreeSet<String> {
    (0..count).map(|number| format!("{number:016x}")).collect()
}

/// Nothing is remembered of a source before an alert is sent about it.
pub async fn of_a_source_that_was_never_announced_nothing_is_remembered(memory: &impl Memory) {
    for source in Source::ALL {
        assert_eq!(memory.load(source).await.unwrap(), Watched::default());
    }
}

/// None told, one, and as many as a watch remembers; each source has its own, and the last one counts.
pub async fn what_was_announced_is_remembered_as_it_was(memory: &impl Memory) {
    for (number, count) in [4_000, 0, 1, 2].into_iter().enumerate() {
        let known = |source: usize| Watched {
            until: Timestamp::from_millis(1_795_226_400_123 + source as i64).millis(),
            announced: marks(count),
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
