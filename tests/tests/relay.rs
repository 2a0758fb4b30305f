//! The outbox relay under load, with several workers, and against a bus that misbehaves.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use saga_app::outbox::{Disposition, Relay, Report, Rules, Stopped};
use saga_app::override_saga::Command;
use saga_app::park_saga::AtOrigin;
use saga_app::ports::outbox::{DEFAULT_SHARDS, OutboxRow, Tries};
use saga_app::ports::{Envelope, Limits, PortError, Published, Publisher, Refusal, Time};
use saga_core::{EventId, SagaId, Timestamp};
use saga_memory::{Clock, Fault, OriginCloud, StepCloud};
use saga_tests::arbitrary::nth_saga;
use saga_tests::contract::given::time;
use saga_tests::sim::chance::Chance;
use saga_tests::sim::watched::Watched;
use saga_tests::sim::witness::Witness;
use saga_tests::world::World;

/// What a bus does with an entry or a call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Takes,
    RefusesTheEntry,
    ThrottlesTheEntry,
    ThrottlesTheCall,
    FailsBefore,
    LosesTheAnswer,
}

/// A bus, and what it took, in order.
struct Bus<F> {
    mood: F,
    taken: Mutex<Vec<Envelope>>,
    witness: Witness,
    calls: Mutex<usize>,
}

impl<F: Fn(&Envelope) -> Mood + Send + Sync> Bus<F> {
    fn new(mood: F) -> Self {
        Self {
            mood,
            taken: Mutex::default(),
            witness: Witness::default(),
            calls: Mutex::default(),
        }
    }

    fn taken(&self) -> Vec<Envelope> {
        self.taken.lock().unwrap().clone()
    }

    fn calls(&self) -> usize {
        *self.calls.lock().unwrap()
    }
}

async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        if given {
            return Poll::Ready(());
        }
        given = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<F: Fn(&Envelope) -> Mood + Send + Sync> Publisher for Bus<F> {
    const LIMITS: Limits = Limits {
        events: 10,
        bytes: 10_000,
    };

    async fn publish(&self, events: &[&Envelope]) -> Result<Vec<Published>, PortError> {
        assert!(
            !events.is_empty() && events.len() <= 10,
            "{} entries",
            events.len()
        );
        let bytes: usize = events.iter().map(|event| event.body.len()).sum();
        assert!(bytes <= 10_000 || events.len() == 1, "{bytes} bytes");
        *self.calls.lock().unwrap() += 1;
        give_way().await;
        match (self.mood)(events[0]) {
            Mood::ThrottlesTheCall => return Err(PortError::Throttled { what: "the bus" }),
            Mood::FailsBefore => return Err(PortError::unavailable("the bus", "500")),
            _ => {}
        }
        let mut lost = false;
        let answers = events.iter().map(|event| match (self.mood)(event) {
            Mood::RefusesTheEntry if event.body.starts_with("never") => {
                Err(Refusal::Never("oversize".to_owned()))
            }
            Mood::RefusesTheEntry => Err(Refusal::Later("InternalFailure".to_owned())),
            Mood::ThrottlesTheEntry => Err(Refusal::Throttled),
            mood => {
                lost |= mood == Mood::LosesTheAnswer;
                self.taken.lock().unwrap().push((*event).clone());
                self.witness.carried(&event.id);
                Ok(())
            }
        });
        let answers: Vec<Published> = answers.collect();
        give_way().await;
        if lost {
            return Err(PortError::unavailable("the bus", "no answer"));
        }
        Ok(answers)
    }
}

/// The events of `sagas` sagas, `each` of each, all of them overdue at `time(1_000_000)`.
fn backlog(cloud: &OriginCloud, sagas: u64, each: i64) -> Vec<OutboxRow> {
    let mut rows = Vec::new();
    for number in 0..sagas {
        let saga = nth_saga(number);
        for nth in 0..each {
            let at = time(number as i64 + 1_000 * nth);
            let row = OutboxRow {
                shard: saga.bucket(DEFAULT_SHARDS),
                event: Envelope {
                    id: format!("{:013}-{saga}-{nth}", at.millis()).parse().unwrap(),
                    saga,
                    kind: "PaymentReserved".to_owned(),
                    body: "b".repeat(600),
                },
                at,
                queued: at,
                follows: nth > 0,
                tries: Tries::default(),
            };
            cloud.put_row(&row);
            rows.push(row);
        }
    }
    rows
}

fn clock(seed: u64) -> Clock {
    Clock::new(time(1_000_000), seed)
}

async fn sweep_with<P: Publisher>(
    cloud: &OriginCloud,
    bus: &P,
    clock: &Clock,
    rules: Rules,
    owner: &str,
) -> Report {
    let until = clock.now().plus_millis(35_000);
    let relay = Relay::new(cloud, bus, cloud, cloud, clock, rules);
    relay.within(owner, until).sweep(DEFAULT_SHARDS).await.unwrap()
}

async fn sweep<P: Publisher>(cloud: &OriginCloud, bus: &P, clock: &Clock) -> Report {
    sweep_with(cloud, bus, clock, Rules::default(), "a worker").await
}

/// Sweeps, with time between, until the outbox is empty.
async fn sweep_to_the_end<P: Publisher>(cloud: &OriginCloud, bus: &P, clock: &Clock) {
    for round in 0..200 {
        if cloud.outbox().is_empty() {
            return;
        }
        sweep_with(cloud, bus, clock, Rules::default(), &format!("at last {round}")).await;
        clock.advance(61_000);
    }
    panic!("{} rows are never published", cloud.outbox().len());
}

type Work<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Polls one of them once; it leaves when it is done.
fn poll_one(work: &mut Vec<Work<'_>>, at: usize) {
    if work[at]
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_ready()
    {
        drop(work.swap_remove(at));
    }
}

/// The events of each saga, as they were first taken.
fn by_saga(taken: &[Envelope]) -> BTreeMap<SagaId, Vec<EventId>> {
    let mut sagas: BTreeMap<SagaId, Vec<EventId>> = BTreeMap::new();
    for row in taken {
        let events = sagas.entry(row.saga).or_default();
        if !events.contains(&row.id) {
            events.push(row.id.clone());
        }
    }
    sagas
}

fn all_in_order(rows: &[OutboxRow], taken: &[Envelope]) {
    let expected: BTreeSet<&EventId> = rows.iter().map(|row| &row.id).collect();
    let got: BTreeSet<&EventId> = taken.iter().map(|row| &row.id).collect();
    assert_eq!(got, expected, "every event arrives, and no other");
    for (saga, events) in by_saga(taken) {
        assert!(events.is_sorted(), "saga {saga}: {events:?}");
    }
    for row in rows {
        let bodies = taken.iter().filter(|taken| taken.id == row.id);
        assert!(
            bodies.into_iter().all(|taken| taken.body == row.body),
            "{}",
            row.id
        );
    }
}

#[test]
fn four_workers_publish_every_event_once_and_in_order() {
    for seed in 0..300 {
        let (cloud, bus, clock) = (
            OriginCloud::new(),
            Bus::new(|_: &Envelope| Mood::Takes),
            clock(seed),
        );
        let rows = backlog(&cloud, 40, 3);
        let chance = Chance::of_seed(seed);
        let mut started = 0;
        let mut work: Vec<Work<'_>> = Vec::new();
        while started < 12 || !work.is_empty() {
            if started < 12 && work.len() < 4 {
                let (cloud, bus, clock, owner) = (&cloud, &bus, &clock, format!("worker {started}"));
                work.push(Box::pin(async move {
                    sweep_with(cloud, bus, clock, Rules::default(), &owner).await;
                }));
                started += 1;
            }
            let at = chance.below(work.len());
            poll_one(&mut work, at);
        }
        assert_eq!(
            cloud.outbox(),
            [],
            "seed {seed}: twelve sweeps in turn leave nothing"
        );
        assert_eq!(
            bus.taken().len(),
            rows.len(),
            "seed {seed}: no event is published twice"
        );
        all_in_order(&rows, &bus.taken());
    }
}

#[test]
fn with_crashes_and_a_bad_bus_nothing_is_lost_and_the_order_is_kept() {
    let (mut twice, mut deaths) = (0, 0);
    for seed in 0..400 {
        let chance = Chance::of_seed(seed);
        let well = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mood = {
            let (chance, well) = (chance.clone(), Arc::clone(&well));
            move |_: &Envelope| match chance.below(30) {
                _ if well.load(std::sync::atomic::Ordering::Relaxed) => Mood::Takes,
                1 | 2 => Mood::RefusesTheEntry,
                3 => Mood::ThrottlesTheEntry,
                4 => Mood::ThrottlesTheCall,
                5 => Mood::FailsBefore,
                6 => Mood::LosesTheAnswer,
                _ => Mood::Takes,
            }
        };
        let store = {
            let (chance, well) = (chance.clone(), Arc::clone(&well));
            move |_: &'static str| match chance.below(60) {
                _ if well.load(std::sync::atomic::Ordering::Relaxed) => Fault::None,
                1 => Fault::FailBefore,
                2 => Fault::FailAfter,
                _ => Fault::None,
            }
        };
        let (cloud, bus, clock) = (OriginCloud::with_faults(store), Bus::new(mood), clock(seed));
        let rows = backlog(&cloud, 60, 3);
        let mut work: Vec<Work<'_>> = Vec::new();
        for tick in 0..1_500 {
            if work.len() < 4 && chance.below(10) == 1 {
                let (cloud, bus, clock, owner) = (&cloud, &bus, &clock, format!("worker {tick}"));
                work.push(Box::pin(async move {
                    let until = clock.now().plus_millis(35_000);
                    let witness = &bus.witness;
                    let watched = Watched {
                        cloud,
                        witness,
                        clock,
                    };
                    let relay = Relay::new(&watched, bus, cloud, cloud, clock, Rules::default());
                    let relay = relay.within(&owner, until);
                    let _ = relay.sweep(DEFAULT_SHARDS).await;
                }));
            }
            if work.is_empty() {
                clock.advance(chance.below(40_000) as i64);
                continue;
            }
            let at = chance.below(work.len());
            if chance.below(100) == 99 {
                deaths += 1;
                drop(work.swap_remove(at));
            } else {
                poll_one(&mut work, at);
            }
            // Every call of a process takes time; some take much.
            clock.advance([10, 10, 100, 9_000][chance.below(4)]);
            if let Some(rule) = bus.witness.broken() {
                panic!("seed {seed}: {rule}");
            }
        }
        drop(work);
        well.store(true, std::sync::atomic::Ordering::Relaxed);
        let mut end: Vec<Work<'_>> = vec![Box::pin(sweep_to_the_end(&cloud, &bus, &clock))];
        while !end.is_empty() {
            poll_one(&mut end, 0);
        }
        assert_eq!(cloud.dead(), [], "seed {seed}: nothing was refused often enough");
        all_in_order(&rows, &bus.taken());
        twice += bus.taken().len() - rows.len();
    }
    assert!(twice > 0 && deaths > 0, "the test is worth something");
}

/// Calls by name.
type Calls = Arc<Mutex<BTreeMap<&'static str, usize>>>;

/// Requests as they are counted for a bill.
fn counted() -> (Calls, impl Fn(&'static str) -> Fault + Send + Sync) {
    let calls = Calls::default();
    let count = {
        let calls = Arc::clone(&calls);
        move |call: &'static str| {
            *calls.lock().unwrap().entry(call).or_default() += 1;
            Fault::None
        }
    };
    (calls, count)
}

#[tokio::test]
async fn a_full_batch_costs_less_than_a_fifth_of_a_request_an_event() {
    for backlog_of in [1_000_u64, 1_001, 10_000] {
        let (calls, count) = counted();
        let (cloud, bus, clock) = (
            OriginCloud::with_faults(count),
            Bus::new(|_: &Envelope| Mood::Takes),
            clock(1),
        );
        backlog(&cloud, backlog_of, 1);
        let report = sweep(&cloud, &bus, &clock).await;
        let n = usize::try_from(backlog_of).unwrap();
        assert_eq!((report.published, report.left, report.stopped), (n, 0, None));
        assert_eq!(bus.calls(), n.div_ceil(10), "PutEvents");
        let calls = calls.lock().unwrap().clone();
        // A wave of fifty is deleted in two requests of 25.
        let deletes = 2 * calls["Outbox::delete"];
        let others = calls
            .iter()
            .filter(|(name, _)| **name != "Outbox::delete")
            .map(|(_, count)| count);
        let requests = bus.calls() + deletes + others.sum::<usize>();
        let each = requests as f64 / n as f64;
        println!("{each} requests an event of {n}");
        assert!(each <= 0.2, "{each} requests an event of {n}: {calls:?}");
    }
}

#[tokio::test]
async fn an_idle_sweep_is_one_glance() {
    let (calls, count) = counted();
    let (cloud, bus, clock) = (
        OriginCloud::with_faults(count),
        Bus::new(|_: &Envelope| Mood::Takes),
        clock(1),
    );
    assert_eq!(sweep(&cloud, &bus, &clock).await, Report::default());
    let calls = calls.lock().unwrap().clone();
    assert_eq!(calls, BTreeMap::from([("Outbox::overdue", 1)]));
}

#[tokio::test]
async fn a_row_that_is_never_taken_is_set_aside_and_the_others_go_out() {
    let bad = nth_saga(3);
    let mood = move |row: &Envelope| {
        if row.saga == bad {
            Mood::RefusesTheEntry
        } else {
            Mood::Takes
        }
    };
    let (cloud, bus, clock) = (OriginCloud::new(), Bus::new(mood), clock(1));
    let rows = backlog(&cloud, 10, 2);
    for round in 0..100 {
        sweep(&cloud, &bus, &clock).await;
        if round == 0 {
            // Its next event waits behind it, and nobody else does.
            assert_eq!(cloud.outbox().len(), 2);
            assert_eq!(cloud.alerts(), []);
        }
        clock.advance(3_600_000 / 4);
    }
    // Twenty attempts each: then the later one was tried, too.
    let dead = cloud.dead();
    assert_eq!(dead.len(), 2);
    for row in &dead {
        assert!((3..=20).contains(&row.tries.failed), "{row:?}");
        assert_eq!(row.tries.reason.as_deref(), Some("InternalFailure"));
    }
    assert_eq!(cloud.outbox(), []);
    assert_eq!(bus.taken().len(), rows.len() - 2);
    assert_eq!(cloud.alerts().len(), 2, "one for each");
    let parked = cloud.take_parked();
    assert!(parked.iter().all(|parked| parked.saga == bad), "{parked:?}");
}

#[tokio::test]
async fn a_row_that_can_never_be_taken_is_set_aside_at_once() {
    let (cloud, clock) = (OriginCloud::new(), clock(1));
    let bus = Bus::new(|row: &Envelope| {
        if row.body.starts_with("never") {
            Mood::RefusesTheEntry
        } else {
            Mood::Takes
        }
    });
    let rows = backlog(&cloud, 30, 1);
    let huge = OutboxRow {
        event: Envelope {
            body: format!("never{}", "x".repeat(20_000)),
            ..rows[4].event.clone()
        },
        ..rows[4].clone()
    };
    cloud.put_row(&huge);
    let report = sweep(&cloud, &bus, &clock).await;
    assert_eq!((report.published, report.set_aside, report.left), (29, 1, 0));
    assert_eq!(cloud.dead().len(), 1);
    assert_eq!(cloud.dead()[0].tries.reason.as_deref(), Some("oversize"));
    assert!(cloud.alerts()[0].text.contains(huge.id.as_str()));
}

#[tokio::test]
async fn an_alert_that_cannot_be_sent_keeps_the_row() {
    let faults = |call: &'static str| match call {
        "Alerts::raise" => Fault::FailBefore,
        _ => Fault::None,
    };
    let (cloud, clock) = (OriginCloud::with_faults(faults), clock(1));
    let bus = Bus::new(|_: &Envelope| Mood::RefusesTheEntry);
    backlog(&cloud, 1, 1);
    for _ in 0..60 {
        sweep(&cloud, &bus, &clock).await;
        clock.advance(3_600_000);
    }
    assert_eq!((cloud.dead().len(), cloud.outbox().len()), (0, 1));
}

#[tokio::test]
async fn a_bus_that_is_down_costs_a_few_attempts_and_no_event() {
    let (cloud, clock) = (OriginCloud::new(), clock(1));
    let bus = Bus::new(|_: &Envelope| Mood::FailsBefore);
    let rows = backlog(&cloud, 2_000, 1);
    let report = sweep(&cloud, &bus, &clock).await;
    assert_eq!(report.stopped, Some(Stopped::Down));
    assert!(bus.calls() <= 15, "{} calls in one invocation", bus.calls());
    assert_eq!(cloud.outbox().len(), rows.len());
    let bus = Bus::new(|_: &Envelope| Mood::Takes);
    clock.advance(61_000);
    sweep_to_the_end(&cloud, &bus, &clock).await;
    all_in_order(&rows, &bus.taken());
}

#[tokio::test]
async fn a_throttled_bus_is_given_what_it_takes_and_no_attempt_is_counted() {
    // So many entries in a second of virtual time.
    const CAPACITY: usize = 100;
    let (cloud, clock) = (OriginCloud::new(), Arc::new(clock(1)));
    let window = Mutex::new((0_i64, 0_usize));
    let mood = {
        let clock = Arc::clone(&clock);
        move |_: &Envelope| {
            let mut window = window.lock().unwrap();
            let second = clock.now().millis() / 1_000;
            if window.0 != second {
                *window = (second, 0);
            }
            window.1 += 1;
            if window.1 > CAPACITY {
                Mood::ThrottlesTheEntry
            } else {
                Mood::Takes
            }
        }
    };
    let bus = Bus::new(mood);
    let rows = backlog(&cloud, 1_000, 1);
    let report = sweep(&cloud, &bus, &clock).await;
    assert!(report.published >= 500, "{report:?}");
    assert!(cloud.outbox().iter().all(|row| row.tries == Tries::default()));
    let wasted = bus.calls() as f64 / (report.published as f64 / 10.0);
    assert!(wasted < 2.5, "{wasted} times the calls that were needed");
    sweep_to_the_end(&cloud, &bus, &clock).await;
    all_in_order(&rows, &bus.taken());
}

#[tokio::test]
async fn it_stops_before_its_time_is_up_and_says_what_is_left() {
    let (cloud, clock) = (OriginCloud::new(), Arc::new(clock(1)));
    let slow = {
        let clock = Arc::clone(&clock);
        move |_: &Envelope| {
            clock.advance(20);
            Mood::Takes
        }
    };
    let bus = Bus::new(slow);
    let rows = backlog(&cloud, 4_000, 1);
    let until = clock.now().plus_millis(35_000);
    let report = sweep(&cloud, &bus, &clock).await;
    assert_eq!(report.stopped, Some(Stopped::OutOfTime));
    assert!(report.published > 0 && report.unseen > 0, "{report:?}");
    assert_eq!(report.published + cloud.outbox().len(), rows.len());
    // The last wave had begun before.
    assert!(
        clock.now() < until.plus_millis(2 * 5 * 10 * 20),
        "{:?}",
        clock.now()
    );
    sweep_to_the_end(&cloud, &bus, &clock).await;
    assert_eq!(
        bus.taken().len(),
        rows.len(),
        "its leases were given back, and nothing went out twice"
    );
}

#[tokio::test]
async fn a_dead_workers_shards_are_taken_over() {
    let (cloud, bus, clock) = (OriginCloud::new(), Bus::new(|_: &Envelope| Mood::Takes), clock(1));
    let rows = backlog(&cloud, 200, 1);
    {
        let mut dies: Work<'_> = Box::pin(async {
            sweep(&cloud, &bus, &clock).await;
        });
        // It has taken leases and published nothing.
        while bus.calls() == 0 {
            assert!(
                dies.as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
        }
    }
    let report = sweep_with(&cloud, &bus, &clock, Rules::default(), "another").await;
    assert!(report.busy > 0 && !cloud.outbox().is_empty(), "{report:?}");
    clock.advance(61_000);
    let report = sweep_with(&cloud, &bus, &clock, Rules::default(), "a third").await;
    assert_eq!((report.busy, cloud.outbox().len()), (0, 0));
    all_in_order(&rows, &bus.taken());
}

#[tokio::test]
async fn a_worker_that_stood_still_for_longer_than_its_lease_publishes_nothing_of_it() {
    let (calls, count) = counted();
    let (cloud, clock) = (OriginCloud::with_faults(count), clock(1));
    let bus = Bus::new(|_: &Envelope| Mood::Takes);
    let rows = backlog(&cloud, 100, 1);
    // It has time enough, as far as it knows.
    let until = clock.now().plus_millis(600_000);
    let mut slow: Work<'_> = Box::pin(async {
        let relay = Relay::new(&cloud, &bus, &cloud, &cloud, &clock, Rules::default());
        let _ = relay.within("slow", until).sweep(DEFAULT_SHARDS).await;
    });
    let mut context = Context::from_waker(Waker::noop());
    // It has read some shards, and has published nothing.
    while calls.lock().unwrap().get("Outbox::read").copied().unwrap_or(0) < 3 {
        assert!(slow.as_mut().poll(&mut context).is_pending());
    }
    assert!(cloud.leases() > 0 && bus.calls() == 0);
    clock.advance(61_000);
    sweep_with(&cloud, &bus, &clock, Rules::default(), "another").await;
    assert_eq!(cloud.outbox(), []);
    while slow.as_mut().poll(&mut context).is_pending() {}
    assert_eq!(bus.taken().len(), rows.len(), "no event is published twice");
}

/// A row as the stream brings it, just committed.
fn fresh(clock: &Clock, nth: i64, follows: bool) -> OutboxRow {
    let (saga, at) = (nth_saga(1), clock.now().plus_millis(nth));
    OutboxRow {
        shard: saga.bucket(DEFAULT_SHARDS),
        event: Envelope {
            id: format!("{:013}-{saga}-{nth}", at.millis()).parse().unwrap(),
            saga,
            kind: "PaymentReserved".to_owned(),
            body: "{}".to_owned(),
        },
        at,
        queued: at,
        follows,
        tries: Tries::default(),
    }
}

async fn stream<P: Publisher>(cloud: &OriginCloud, bus: &P, clock: &Clock, rows: &[OutboxRow]) -> Report {
    let until = clock.now().plus_millis(35_000);
    let relay = Relay::new(cloud, bus, cloud, cloud, clock, Rules::default());
    relay
        .within("the stream", until)
        .publish(rows.to_vec())
        .await
        .unwrap()
}

#[tokio::test]
async fn on_the_stream_too_a_later_event_waits_for_an_earlier_one() {
    let (cloud, clock) = (OriginCloud::new(), clock(1));
    let [first, second, third] = [
        fresh(&clock, 0, false),
        fresh(&clock, 1, true),
        fresh(&clock, 2, true),
    ];
    for row in [&first, &second, &third] {
        cloud.put_row(row);
    }
    let bad = Bus::new(|_: &Envelope| Mood::RefusesTheEntry);
    assert_eq!(
        stream(&cloud, &bad, &clock, std::slice::from_ref(&first))
            .await
            .left,
        1
    );
    // Another invocation, which knows nothing of the first row but what the table says.
    let bus = Bus::new(|_: &Envelope| Mood::Takes);
    assert_eq!(
        stream(&cloud, &bus, &clock, std::slice::from_ref(&second))
            .await
            .left,
        1
    );
    assert_eq!(bus.taken(), []);
    // At hand together, they go one after the other.
    let report = stream(&cloud, &bus, &clock, &[first.clone(), second.clone(), third]).await;
    assert_eq!(report.published, 3);
    assert!(by_saga(&bus.taken())[&first.saga].is_sorted());
    assert_eq!(bus.calls(), 3, "never two of a saga in one call");
}

/// The rows of a saga say themselves which of them have something before them.
#[tokio::test]
async fn on_the_stream_only_the_opening_of_a_saga_goes_without_a_look_at_what_is_before_it() {
    let (calls, count) = counted();
    let world = World::new(OriginCloud::with_faults(count), StepCloud::new());
    let id = world.start("100").await;
    let opening = world.aws.outbox();
    world.command(id, Command::Cancel).await;
    let cancel: Vec<OutboxRow> = world.aws.outbox().split_off(1);
    assert_eq!((opening.len(), cancel.len()), (1, 1));
    let (cloud, clock) = (&world.aws, &world.clock);
    let bus = Bus::new(|_: &Envelope| Mood::Takes);
    assert_eq!(stream(cloud, &bus, clock, &cancel).await.published, 0);
    assert_eq!(calls.lock().unwrap()["Outbox::earlier"], 1);
    assert_eq!(stream(cloud, &bus, clock, &opening).await.published, 1);
    assert_eq!(calls.lock().unwrap()["Outbox::earlier"], 1);
    assert_eq!(stream(cloud, &bus, clock, &cancel).await.published, 1);
    let both = [opening, cancel].concat().into_iter().map(|row| row.event);
    assert_eq!(bus.taken(), both.collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_old_on_the_stream_is_the_sweeps() {
    let (cloud, bus, clock) = (OriginCloud::new(), Bus::new(|_: &Envelope| Mood::Takes), clock(1));
    let row = fresh(&clock, 0, false);
    cloud.put_row(&row);
    assert_eq!(
        sweep(&cloud, &bus, &clock).await.published,
        0,
        "it is the stream's for 30 seconds"
    );
    clock.advance(19_000);
    assert_eq!(
        stream(&cloud, &bus, &clock, std::slice::from_ref(&row))
            .await
            .published,
        0
    );
    clock.advance(12_000);
    assert_eq!(sweep(&cloud, &bus, &clock).await.published, 1);
}

#[tokio::test]
async fn a_stream_that_is_slow_leaves_the_rest_to_the_sweep() {
    let (cloud, clock) = (OriginCloud::new(), Arc::new(clock(1)));
    let slow = {
        let clock = Arc::clone(&clock);
        move |_: &Envelope| {
            clock.advance(400);
            Mood::Takes
        }
    };
    let bus = Bus::new(slow);
    let rows: Vec<OutboxRow> = (0..100)
        .map(|nth| OutboxRow {
            event: Envelope {
                saga: nth_saga(u64::try_from(nth).unwrap()),
                ..fresh(&clock, nth, false).event
            },
            ..fresh(&clock, nth, false)
        })
        .collect();
    for row in &rows {
        cloud.put_row(row);
    }
    let report = stream(&cloud, &bus, &clock, &rows).await;
    assert!(report.published >= 10 && report.left > 0, "{report:?}");
    clock.advance(31_000);
    sweep_to_the_end(&cloud, &bus, &clock).await;
    assert_eq!(bus.taken().len(), rows.len(), "no event is published twice");
}

#[tokio::test]
async fn an_event_that_dies_again_is_reported_once() {
    let world = saga_tests::world::World::default();
    let id = world.start("129.90").await;
    let row = world.aws.outbox().remove(0);
    let bus = Bus::new(|_: &Envelope| Mood::RefusesTheEntry);
    let parking = AtOrigin::new(&world.aws, &world.clock);
    let rules = Rules {
        attempts: 1,
        ..Rules::default()
    };
    for _ in 0..5 {
        world.clock.advance(60_000);
        world.aws.put_row(&row);
        let relay = Relay::new(&world.aws, &bus, &world.aws, &parking, &world.clock, rules);
        let until = world.clock.now().plus_millis(35_000);
        relay
            .within("a worker", until)
            .sweep(DEFAULT_SHARDS)
            .await
            .unwrap();
        assert_eq!(world.aws.outbox(), []);
    }
    assert_eq!(world.aws.alerts().len(), 1);
    assert_eq!(world.saga(id).parked.len(), 1);
}

#[test]
fn pauses_double_to_an_hour_with_full_jitter() {
    let (rules, now) = (Rules::default(), time(0));
    for failed in 0..19_u32 {
        let ceiling = (1_000_i64 << failed.min(12)).min(3_600_000);
        let wait = |jitter: u64| {
            let mut row = fresh(&clock(1), 0, false);
            row.tries.failed = failed;
            let Disposition::Later(row) = rules.failed(row, "busy", now, jitter) else {
                panic!("dead after {failed}");
            };
            assert_eq!(
                (row.tries.failed, row.tries.reason.as_deref()),
                (failed + 1, Some("busy"))
            );
            row.tries.next.unwrap().millis() - now.millis()
        };
        let chance = clock(7);
        let waits: Vec<i64> = (0..200).map(|_| wait(chance.below(u64::MAX))).collect();
        assert!(
            waits.iter().all(|wait| (1..=ceiling).contains(wait)),
            "{failed}: {waits:?}"
        );
        let (shortest, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(
            *longest > ceiling * 9 / 10 && *shortest < ceiling / 10,
            "{failed}: {shortest} to {longest} of {ceiling}"
        );
    }
    let mut last = fresh(&clock(1), 0, false);
    last.tries.failed = 19;
    assert!(matches!(rules.failed(last, "busy", now, 0), Disposition::Dead(_)));
    // A retransmission of an old event is old when it is put into the outbox: it has three attempts, too.
    let mut old = fresh(&clock(1), 0, false);
    let now = old.at.plus_millis(rules.age_millis);
    for _ in 0..2 {
        let Disposition::Later(row) = rules.failed(old, "busy", now, 0) else {
            panic!("dead before its third attempt");
        };
        old = row;
    }
    assert!(matches!(rules.failed(old, "busy", now, 0), Disposition::Dead(_)));
}

/// Time with no chance in it, that remembers how it was slept.
struct Metronome {
    clock: Clock,
    slept: Mutex<Vec<u64>>,
}

impl Metronome {
    fn new() -> Self {
        Self {
            clock: clock(1),
            slept: Mutex::default(),
        }
    }
}

impl Time for Metronome {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn sleep(&self, millis: u64) {
        self.slept.lock().unwrap().push(millis);
        self.clock.sleep(millis).await;
    }

    fn below(&self, _: u64) -> u64 {
        0
    }
}

#[tokio::test]
async fn it_pauses_only_where_the_other_side_is_strained_and_more_is_to_be_sent() {
    for (strained, slept) in [(0, vec![]), (1, vec![1])] {
        let (cloud, time) = (OriginCloud::new(), Metronome::new());
        let calls = Mutex::new(0);
        let bus = Bus::new(|_: &Envelope| {
            let mut calls = calls.lock().unwrap();
            *calls += 1;
            if *calls <= strained {
                Mood::ThrottlesTheCall
            } else {
                Mood::Takes
            }
        });
        let rows = backlog(&cloud, 60, 1);
        // What was strained is one wave of all, and the rest goes out in one.
        let rows = if strained > 0 { &rows[..10] } else { &rows[..] };
        for row in cloud.outbox().iter().filter(|row| !rows.contains(row)) {
            saga_app::ports::Outbox::delete(&cloud, std::slice::from_ref(row))
                .await
                .unwrap();
        }
        let relay = Relay::new(&cloud, &bus, &cloud, &cloud, &time, Rules::default());
        let until = time.now().plus_millis(35_000);
        let report = relay
            .within("a worker", until)
            .sweep(DEFAULT_SHARDS)
            .await
            .unwrap();
        assert_eq!((report.published, report.left), (rows.len(), 0));
        assert_eq!(report.calls, bus.calls());
        assert_eq!(*time.slept.lock().unwrap(), slept, "{strained} strained call(s)");
    }
}

#[tokio::test]
async fn what_was_left_is_reported_with_its_age() {
    let (cloud, clock) = (OriginCloud::new(), clock(1));
    let bus = Bus::new(|row: &Envelope| {
        if row.saga == nth_saga(0) {
            Mood::RefusesTheEntry
        } else {
            Mood::Takes
        }
    });
    backlog(&cloud, 3, 2);
    let report = sweep(&cloud, &bus, &clock).await;
    // Both events of the first saga: the first was refused, and the second waits behind it.
    assert_eq!((report.published, report.left), (4, 2));
    assert_eq!(report.oldest_millis, clock.now().millis() - time(0).millis());
}

#[tokio::test]
async fn a_sweep_that_cannot_read_ends_and_gives_its_leases_back() {
    let calls = Calls::default();
    let fails = {
        let calls = Arc::clone(&calls);
        move |call: &'static str| {
            *calls.lock().unwrap().entry(call).or_default() += 1;
            if call == "Outbox::read" {
                Fault::FailBefore
            } else {
                Fault::None
            }
        }
    };
    let (cloud, clock) = (OriginCloud::with_faults(fails), clock(1));
    let bus = Bus::new(|_: &Envelope| Mood::Takes);
    backlog(&cloud, 100, 1);
    let relay = Relay::new(&cloud, &bus, &cloud, &cloud, &clock, Rules::default());
    let until = clock.now().plus_millis(35_000);
    assert!(
        relay
            .within("a worker", until)
            .sweep(DEFAULT_SHARDS)
            .await
            .is_err()
    );
    let calls = calls.lock().unwrap().clone();
    assert_eq!(
        (calls["Outbox::take"], calls["Outbox::read"], bus.calls()),
        (1, 1, 0)
    );
    assert_eq!(cloud.leases(), 0);
}

/// The events of one shard: `each` of so many sagas.
fn backlog_of_one_shard(cloud: &OriginCloud, sagas: usize, each: i64) -> Vec<OutboxRow> {
    let all = OriginCloud::new();
    let rows = backlog(&all, 200 * sagas as u64, each);
    let shard = rows[0].shard;
    let chosen: BTreeSet<SagaId> = rows
        .iter()
        .filter(|row| row.shard == shard)
        .map(|row| row.saga)
        .collect();
    let chosen: BTreeSet<SagaId> = chosen.into_iter().take(sagas).collect();
    let rows: Vec<OutboxRow> = rows
        .into_iter()
        .filter(|row| chosen.contains(&row.saga))
        .collect();
    assert_eq!(rows.len(), sagas * each as usize);
    for row in &rows {
        cloud.put_row(row);
    }
    rows
}

#[tokio::test]
async fn a_shard_that_was_not_read_to_its_end_is_reported() {
    // Its time is up, or its lease runs out under a call.
    for (millis_a_row, stopped) in [(700, Some(Stopped::OutOfTime)), (40_000, None)] {
        let (cloud, clock) = (OriginCloud::new(), Arc::new(clock(1)));
        let slow = {
            let clock = Arc::clone(&clock);
            move |_: &Envelope| {
                clock.advance(millis_a_row);
                Mood::Takes
            }
        };
        let bus = Bus::new(slow);
        let rows = backlog_of_one_shard(&cloud, 250, 1);
        let until = clock
            .now()
            .plus_millis(if stopped.is_some() { 35_000 } else { 3_600_000 });
        let relay = Relay::new(&cloud, &bus, &cloud, &cloud, &*clock, Rules::default());
        let report = relay
            .within("a worker", until)
            .sweep(DEFAULT_SHARDS)
            .await
            .unwrap();
        assert_eq!((report.unseen, report.stopped), (1, stopped));
        assert!(report.published > 0 && report.published <= 100, "{report:?}");
        assert_eq!(report.published + cloud.outbox().len(), rows.len());
    }
}

#[tokio::test]
async fn without_time_no_shard_is_looked_at_and_each_is_counted() {
    let (cloud, clock) = (OriginCloud::new(), clock(1));
    let bus = Bus::new(|_: &Envelope| Mood::Takes);
    let shards: BTreeSet<u16> = backlog(&cloud, 100, 1).iter().map(|row| row.shard).collect();
    let relay = Relay::new(&cloud, &bus, &cloud, &cloud, &clock, Rules::default());
    let report = relay
        .within("a worker", clock.now())
        .sweep(DEFAULT_SHARDS)
        .await
        .unwrap();
    let expected = Report {
        unseen: shards.len(),
        stopped: Some(Stopped::OutOfTime),
        ..Report::default()
    };
    assert_eq!((report, bus.calls()), (expected, 0));
}

#[tokio::test]
async fn a_saga_with_more_events_than_pages_is_sent_while_it_is_read() {
    let names = Arc::new(Mutex::new(Vec::new()));
    let log = {
        let names = Arc::clone(&names);
        move |call: &'static str| {
            names.lock().unwrap().push(call);
            Fault::None
        }
    };
    let (cloud, clock) = (OriginCloud::with_faults(log), clock(1));
    let bus = Bus::new(|_: &Envelope| Mood::Takes);
    let rows = backlog_of_one_shard(&cloud, 1, 900);
    sweep_to_the_end(&cloud, &bus, &clock).await;
    all_in_order(&rows, &bus.taken());
    let names = names.lock().unwrap();
    let until_sent = names.iter().take_while(|name| **name != "Outbox::delete");
    let reads = until_sent.filter(|name| **name == "Outbox::read").count();
    assert!(reads <= 3, "{reads} pages were read before anything was sent");
}

#[tokio::test]
async fn it_begins_with_any_shard() {
    let mut first = BTreeSet::new();
    for seed in 0..40 {
        let (cloud, clock) = (OriginCloud::new(), clock(seed));
        let bus = Bus::new(|_: &Envelope| Mood::Takes);
        backlog(&cloud, 100, 1);
        sweep(&cloud, &bus, &clock).await;
        first.insert(bus.taken()[0].saga.bucket(DEFAULT_SHARDS));
    }
    assert!(first.len() > 5, "only {first:?}");
}

#[tokio::test]
async fn a_worker_that_goes_on_keeps_its_lease_and_asks_for_it_now_and_then() {
    let (calls, count) = counted();
    let (cloud, clock) = (OriginCloud::with_faults(count), Arc::new(clock(1)));
    let slow = {
        let clock = Arc::clone(&clock);
        move |_: &Envelope| {
            clock.advance(1_000);
            Mood::Takes
        }
    };
    let bus = Bus::new(slow);
    // One call at a time, because all are of one saga.
    let rows = backlog_of_one_shard(&cloud, 1, 300);
    let until = clock.now().plus_millis(3_600_000);
    let begun = clock.now();
    let mut works: Work<'_> = Box::pin(async {
        let relay = Relay::new(&cloud, &bus, &cloud, &cloud, &*clock, Rules::default());
        relay.within("slow", until).sweep(DEFAULT_SHARDS).await.unwrap();
    });
    let mut context = Context::from_waker(Waker::noop());
    while clock.now() < begun.plus_millis(200_000) {
        assert!(works.as_mut().poll(&mut context).is_pending());
    }
    let before = bus.taken().len();
    let report = sweep_with(&cloud, &bus, &clock, Rules::default(), "another").await;
    assert_eq!((report.busy, bus.taken().len()), (1, before), "the lease is held");
    while works.as_mut().poll(&mut context).is_pending() {}
    assert_eq!(bus.taken().len(), rows.len(), "no event is published twice");
    let renewals = calls.lock().unwrap()["Outbox::renew"];
    let seconds = (clock.now().millis() - begun.millis()) / 1_000;
    assert!(
        (15..=25).contains(&renewals),
        "{renewals} renewals in {seconds} s"
    );
}
