//! Many dead letters, and a replayer that dies.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::stream;
use saga_app::dead_letters::DeadLetterSource;
use saga_app::dead_letters::command::{Act, Command, Filter, Selection};
use saga_app::dead_letters::ports::{
    Answer, Answers, DeadLetterContainer, DeadLetterQueue, Depth, Leased, Pages, Receipt, Removal,
};
use saga_app::dead_letters::{Page, Ports, Report, list, run};
use saga_app::ports::Time;
use saga_app::runs::MAX_RUN;
use saga_core::Timestamp;
use saga_memory::Clock;
use saga_tests::dead_letters::{Desk, all, dead};
use saga_tests::world::World;
use saga_wire::dead_letter::{DeadLetter, DeadLetterId, Received, Source, events, listed};

const MANY: usize = 10_000;

/// Polls a future so often, then drops it: a process that was killed there.
fn killed_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Some(done);
        }
    }
    None
}

#[tokio::test]
async fn killing_the_replayer_between_any_two_awaits_loses_no_dead_letter() {
    for act in [Act::Replay, Act::Discard] {
        let mut polls = 0;
        loop {
            polls += 1;
            assert!(polls < 10_000, "the run does not end");
            let (mut world, desk) = (World::default(), Desk::new());
            let mut before = BTreeMap::new();
            for number in 0..6 {
                world.start("100").await;
                world.publish().await;
                let dead_letter = dead(&world.on_the_way.pop().unwrap(), number, number);
                before.insert(dead_letter.id.clone(), dead_letter.clone());
                desk.places.put(dead_letter);
            }
            let done = {
                let (ports, command) = (desk.ports(&world), all(act));
                killed_after(polls, run(&ports, &command, "me", None, desk.later(600_000)))
            };
            // Whatever is not there any more has gone on, or is in the archive.
            let lying: BTreeSet<DeadLetterId> = desk
                .places
                .stored()
                .into_iter()
                .map(|dead_letter| dead_letter.id)
                .collect();
            let mut gone: BTreeSet<String> = desk
                .places
                .archived()
                .into_iter()
                .map(|one| one.facts.text)
                .collect();
            gone.extend(desk.places.take_requeued());
            gone.extend(desk.places.take_sent().into_iter().map(|(_, message)| message));
            let same = |a: &str, b: &str| {
                let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
                parsed(a) == parsed(b)
            };
            for (id, dead_letter) in &before {
                let went_on = || gone.iter().any(|text| same(text, &dead_letter.facts.text));
                assert!(
                    lying.contains(id) || went_on(),
                    "{act:?}, killed after {polls} polls: {id} is lost"
                );
            }
            // The next run, once the leases have ended, does the rest.
            desk.clock.advance(130_000);
            let report = desk.run(&world, &all(act)).await;
            assert_eq!(
                (report.done, report.failed),
                (lying.len(), 0),
                "{act:?}, killed after {polls} polls"
            );
            assert!(desk.places.stored().is_empty());
            if done.is_some() {
                break;
            }
        }
        assert!(polls > 20, "the run gave way only {polls} times");
    }
}

/// A source that makes its dead letters up as they are asked for: what a use case keeps of them is all that is kept.
struct Endless {
    queue: bool,
    many: usize,
    /// The size of each, in bytes.
    size: usize,
    /// So many milliseconds pass with each request, on this clock.
    slow: Option<(i64, Arc<Clock>)>,
    /// So many of the queue are hidden by the walk.
    hidden: AtomicUsize,
    given: Arc<AtomicUsize>,
}

impl Endless {
    fn dead_letter(&self, number: usize) -> DeadLetter {
        let mut dead_letter = events(&Received {
            key: format!("{number:08}"),
            body: "{}".to_owned(),
            ..Received::default()
        });
        dead_letter.facts.text = "x".repeat(self.size);
        dead_letter
    }
}

impl Endless {
    /// So many of the next from `start`.
    fn give(&self, start: usize) -> Vec<DeadLetter> {
        if let Some((millis, clock)) = &self.slow {
            clock.advance(*millis);
        }
        let numbers = start..self.many.min(start + 10);
        self.given.fetch_add(numbers.len(), Ordering::SeqCst);
        // A queue has no order, and a container has one.
        let key = |number: usize| {
            if self.queue {
                self.many - 1 - number
            } else {
                number
            }
        };
        numbers.map(|number| self.dead_letter(key(number))).collect()
    }

    fn source(self) -> DeadLetterSource {
        if self.queue {
            DeadLetterSource::Queue(Box::new(self))
        } else {
            DeadLetterSource::Container(Box::new(self))
        }
    }
}

impl DeadLetterQueue for Endless {
    fn source(&self) -> Source {
        Source::Events
    }
    fn depth(&self) -> Answer<'_, Depth> {
        Box::pin(async {
            Ok(Depth {
                visible: self.many,
                hidden: 0,
            })
        })
    }
    fn lease(&self, _: u32, before: usize) -> Answer<'_, Vec<Leased>> {
        Box::pin(async move {
            // A walk begins at the front.
            let start = if before == 0 {
                0
            } else {
                self.hidden.load(Ordering::SeqCst)
            };
            let some = self.give(start);
            self.hidden.store(start + some.len(), Ordering::SeqCst);
            let leased = some.into_iter().map(|dead_letter| Leased {
                receipt: Receipt {
                    message: dead_letter.id.key.clone(),
                    handle: String::new(),
                },
                dead_letter,
            });
            Ok(leased.collect())
        })
    }
    fn put_back(&self, _: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn remove<'a>(&'a self, receipts: Vec<&'a Receipt>) -> Answers<'a, Removal> {
        Box::pin(async move { receipts.iter().map(|_| Ok(Removal::Removed)).collect() })
    }
}

impl DeadLetterContainer for Endless {
    fn source(&self) -> Source {
        Source::Events
    }
    fn pages(&self, after: Option<String>, _: Option<Timestamp>) -> Pages<'_> {
        let start = after.map_or(0, |key| key.parse::<usize>().unwrap() + 1);
        Box::pin(stream::try_unfold(start, move |start| async move {
            let page = self.give(start);
            let next = start + page.len();
            Ok((!page.is_empty()).then_some((page, next)))
        }))
    }
    fn find<'a>(&'a self, _: &'a str) -> Answer<'a, Option<DeadLetter>> {
        Box::pin(async { Ok(None) })
    }
    fn remove<'a>(&'a self, _: &'a str) -> Answer<'a, Removal> {
        Box::pin(async { Ok(Removal::Removed) })
    }
}

/// The most memory that this process ever had, in KiB (Linux).
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// One test, because the peak is the process'.
#[tokio::test]
async fn ten_thousand_dead_letters_are_listed_in_constant_memory() {
    let (world, desk) = (World::default(), Desk::new());
    for queue in [false, true] {
        let given = Arc::new(AtomicUsize::new(0));
        let sources = [Endless {
            queue,
            many: MANY,
            // A whole queue message each: all of them together are half a gigabyte.
            size: 48 * 1024,
            slow: None,
            hidden: AtomicUsize::new(0),
            given: Arc::clone(&given),
        }
        .source()];
        let ports = Ports {
            sources: &sources,
            ..desk.ports(&world)
        };
        let filter = Filter {
            source: Some(Source::Events),
            ..Filter::default()
        };
        let before = peak_kib();
        let (mut seen, mut cursor) = (BTreeSet::new(), None::<DeadLetterId>);
        loop {
            let page = list(&ports, &filter, cursor.as_ref(), 1_000).await;
            for id in page.dead_letters.into_iter().map(|one| one.id) {
                assert!(seen.insert(id.clone()), "{id} is on two pages");
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), MANY);
        // A page of a queue is a pass over it; the pages of what has an order are one.
        let given = given.load(Ordering::SeqCst);
        assert_eq!(given > 2 * MANY, queue, "{given} dead letters were given");
        let grown = peak_kib() - before;
        println!(
            "queue {queue}: the peak grew by {grown} KiB for {} MiB of dead letters",
            MANY * 48 / 1024
        );
        assert!(grown < 24 * 1024, "the peak grew by {grown} KiB");
    }
}

/// A page, how many dead letters the source was asked for, and how long it took in milliseconds.
type Looked = (Page, usize, i64);
/// The same of a run.
type Ran = (Report, usize, i64);

/// A look and a run over one such source: what each answers, how many dead letters it was given, and how long it took.
async fn over(many: usize, queue: bool, slow: Option<i64>) -> (Looked, Ran) {
    let (world, desk) = (World::default(), Desk::new());
    let given = Arc::new(AtomicUsize::new(0));
    let sources = [Endless {
        queue,
        many,
        size: 2,
        slow: slow.map(|millis| (millis, Arc::clone(&desk.clock))),
        hidden: AtomicUsize::new(0),
        given: Arc::clone(&given),
    }
    .source()];
    let ports = Ports {
        sources: &sources,
        ..desk.ports(&world)
    };
    // No dead letter is meant, so each stays.
    let filter = Filter {
        source: Some(Source::Events),
        kind: Some("Another".to_owned()),
        ..Filter::default()
    };
    let begun = desk.clock.now();
    let page = list(&ports, &filter, None, 10).await;
    let listed = (
        page,
        given.swap(0, Ordering::SeqCst),
        desk.clock.now().millis() - begun.millis(),
    );
    let command = Command {
        selection: Selection::All(filter),
        ..all(Act::Discard)
    };
    let begun = desk.clock.now();
    let report = run(&ports, &command, "me", None, desk.later(600_000)).await;
    let ran = (
        report,
        given.load(Ordering::SeqCst),
        desk.clock.now().millis() - begun.millis(),
    );
    (listed, ran)
}

#[tokio::test]
async fn of_a_queue_that_has_no_end_so_many_dead_letters_are_held_as_fit_into_memory() {
    let ((page, listed, _), (report, ran, _)) = over(30_000, true, None).await;
    assert_eq!((listed, ran), (20_000, 20_000));
    let said = "there are more dead letters than one look takes; 20000 were looked at";
    assert_eq!(page.notices[0].problem, said);
    assert_eq!(
        (report.ended.as_str(), report.ended.is_resumable()),
        ("time", true)
    );
}

/// What a queue gave comes back after 75 seconds, and would be given twice.
#[tokio::test]
async fn a_slow_source_is_left_before_what_it_gave_comes_back() {
    for queue in [false, true] {
        let ((page, listed, looked), (report, ran, worked)) = over(MANY, queue, Some(1_000)).await;
        assert!((40_000..75_000).contains(&looked), "{looked} ms");
        assert!((40_000..75_000).contains(&worked), "{worked} ms");
        assert!(
            listed > 400 && ran > 400,
            "{listed} and {ran} dead letters were given"
        );
        // The list says so, or goes on from there.
        assert_eq!(!page.notices.is_empty(), queue, "{page:?}");
        assert_eq!(page.next.is_some(), !queue, "{page:?}");
        assert_eq!(
            (report.ended.as_str(), report.ended.is_resumable()),
            ("time", true)
        );
    }
}

#[tokio::test]
async fn a_report_has_as_many_lines_as_an_answer_holds_and_counts_all() {
    let (world, desk) = (World::default(), Desk::new());
    for number in 0..=MAX_RUN {
        desk.places.put(events(&Received {
            key: format!("{number:08}"),
            body: "no JSON".to_owned(),
            ..Received::default()
        }));
    }
    let report = desk.run(&world, &all(Act::Replay)).await;
    assert_eq!((report.left, report.items.len()), (MAX_RUN + 1, MAX_RUN));
}

#[test]
fn an_id_as_long_as_a_source_gives_it_is_read_and_no_longer_one() {
    let id = |bytes: usize| DeadLetterId {
        source: Source::EventGrid,
        key: "k".repeat(bytes),
    };
    assert_eq!(id(4_096).to_string().parse(), Ok(id(4_096)));
    for bytes in [4_097, 10_000] {
        assert!(id(bytes).to_string().parse::<DeadLetterId>().is_err(), "{bytes}");
    }
}

/// A function's answer holds 6 MB, however long the reasons are.
#[tokio::test]
async fn no_page_is_longer_than_an_answer_and_none_is_empty() {
    let (mut world, desk) = (World::default(), Desk::new());
    world.start("100").await;
    world.publish().await;
    let dead_letter = dead(&world.on_the_way.pop().unwrap(), 0, 0);
    for number in 0..40 {
        let mut more = dead_letter.clone();
        more.id.key = format!("{number:08}");
        // One of them is longer than a page alone.
        more.reason = "r".repeat(if number == 20 { 5_000_000 } else { 300_000 });
        desk.places.put(more);
    }
    let (mut seen, mut pages, mut cursor) = (Vec::new(), Vec::new(), None::<DeadLetterId>);
    loop {
        let page = list(&desk.ports(&world), &Filter::default(), cursor.as_ref(), 1_000).await;
        let dead_letters = &page.dead_letters;
        let bytes = serde_json::to_string(&dead_letters.iter().map(listed).collect::<Vec<_>>());
        assert!(
            dead_letters.len() == 1 || bytes.unwrap().len() <= 4_100_000,
            "{}",
            dead_letters.len()
        );
        pages.push(dead_letters.len());
        assert!(pages.len() <= 40, "pages without end: {pages:?}");
        seen.extend(dead_letters.iter().map(|one| one.id.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, [13, 7, 1, 13, 6], "as many as fit");
    let all: Vec<String> = desk
        .places
        .stored()
        .iter()
        .map(|one| one.id.to_string())
        .collect();
    assert_eq!(seen, all);
}

#[tokio::test]
async fn ten_thousand_dead_letters_are_replayed_at_the_rate_asked_for_and_resumed() {
    let (mut world, desk) = (World::default(), Desk::new());
    let mut dead_letters = Vec::new();
    for number in 0..20 {
        world.start("100").await;
        world.publish().await;
        dead_letters.push(dead(&world.on_the_way.pop().unwrap(), 0, number));
    }
    for number in 0..MANY {
        let mut more = dead_letters[number % dead_letters.len()].clone();
        more.id.key = format!("{number:08}");
        desk.places.put(more);
    }
    for rate in [40_u32, 300] {
        let mut command = all(Act::Replay);
        command.bounds.per_second = rate;
        command.bounds.limit = 1_000;
        let began = desk.clock.now();
        let (mut done, mut requests, mut cut_short) = (0, 0, 0);
        loop {
            // A function has not for ever: the run ends before its time does, and the next goes on.
            let report = run(&desk.ports(&world), &command, "me", None, desk.later(20_000)).await;
            assert_eq!((report.failed, report.left), (0, 0));
            assert!(report.done > 0, "no progress");
            done += report.done;
            requests += 1;
            cut_short += usize::from(report.ended.as_str() == "time");
            if !report.ended.is_resumable() || (rate < 100 && done > MANY / 3) {
                break;
            }
        }
        let seconds = (desk.clock.now().millis() - began.millis()) as f64 / 1_000.0;
        let held = done as f64 / seconds;
        println!(
            "{done} dead letters at {rate}/s: {held:.1}/s in {requests} requests, {cut_short} cut short by time"
        );
        assert!(
            (held / f64::from(rate) - 1.0).abs() < 0.1,
            "{held}/s instead of {rate}/s"
        );
        assert!(rate > 100 || cut_short > 0, "no request was cut short");
    }
    assert_eq!(desk.places.stored(), []);
    assert_eq!(desk.places.take_sent().len(), MANY);
    let lines = world.saga(dead_letters[0].facts.saga.unwrap()).timeline;
    assert!(lines.entries.len() <= saga_core::timeline::Timeline::MAX_ENTRIES && lines.dropped > 0);
}
