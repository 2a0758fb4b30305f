//! What the outbox relay costs, on adapters in memory (`make bench`): requests and time an event, and how much memory
//! the relay adds to what the store itself takes.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]
#![allow(clippy::disallowed_methods, reason = "a measurement of real time")]

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::future::join_all;
use saga_app::outbox::{Relay, Rules};
use saga_app::ports::Envelope;
use saga_app::ports::outbox::{DEFAULT_SHARDS, OutboxRow, Tries};
use saga_memory::{Clock, Fault, OriginCloud};
use saga_tests::arbitrary::nth_saga;
use saga_tests::contract::given::time;

/// A line of `/proc/self/status`, in kilobytes; 0 where there is no such file.
fn kilobytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn backlog(cloud: &OriginCloud, count: u64) {
    for number in 0..count {
        let (saga, at) = (nth_saga(number), time(i64::try_from(number).unwrap()));
        cloud.put_row(&OutboxRow {
            shard: saga.bucket(DEFAULT_SHARDS),
            event: Envelope {
                id: format!("{:013}-{saga}-advance1", at.millis()).parse().unwrap(),
                saga,
                kind: "PaymentReserved".to_owned(),
                body: "b".repeat(600),
            },
            at,
            queued: at,
            follows: false,
            tries: Tries::default(),
        });
    }
}

/// One run: calls by name, nanoseconds and kilobytes.
async fn run(count: u64, workers: usize) -> (BTreeMap<&'static str, usize>, u128, u64) {
    let calls: Arc<Mutex<BTreeMap<&'static str, usize>>> = Arc::default();
    let counted = {
        let calls = Arc::clone(&calls);
        move |call: &'static str| {
            *calls.lock().unwrap().entry(call).or_default() += 1;
            Fault::None
        }
    };
    let cloud = OriginCloud::with_faults(counted);
    backlog(&cloud, count);
    // Later than the grace of the youngest.
    let clock = Clock::new(time(i64::try_from(count).unwrap() + 60_000), 1);
    // The highest mark is set back, where the system lets us.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = kilobytes("VmRSS");
    let began = Instant::now();
    while !cloud.outbox_is_empty() {
        let sweeps = (0..workers).map(|number| {
            let (cloud, clock) = (&cloud, &clock);
            async move {
                let owner = format!("worker {number}");
                let relay = Relay::new(cloud, cloud, cloud, cloud, clock, Rules::default());
                let relay = relay.within(&owner, time(i64::MAX / 4));
                relay.sweep(DEFAULT_SHARDS).await.unwrap()
            }
        });
        join_all(sweeps).await;
    }
    let nanos = began.elapsed().as_nanos();
    let peak = kilobytes("VmHWM").saturating_sub(before);
    assert_eq!(cloud.take_published().len() as u64, count, "each once");
    let calls = calls.lock().unwrap().clone();
    (calls, nanos, peak)
}

#[tokio::test]
#[ignore = "a measurement: `make bench`"]
async fn a_backlog_of_any_size() {
    println!("| events | workers | PutEvents | requests an event | time an event | memory above the store |");
    println!("|---|---|---|---|---|---|");
    for workers in [1, 2, 4] {
        let mut first = 0.0;
        for count in [1_000, 10_000, 100_000] {
            // The best of a few: a small backlog is gone in a few milliseconds.
            let times = if count == 1_000 { 20 } else { 3 };
            let mut best = run(count, workers).await;
            for _ in 1..times {
                let again = run(count, workers).await;
                if again.1 < best.1 {
                    best = again;
                }
            }
            let (calls, nanos, peak) = best;
            // A wave of fifty is deleted in two requests.
            let requests: usize = calls.values().sum::<usize>() + calls["Outbox::delete"];
            let each = requests as f64 / count as f64;
            let micros = nanos as f64 / 1_000.0 / count as f64;
            let puts = calls["Publisher::publish"];
            println!("| {count} | {workers} | {puts} | {each:.3} | {micros:.2} µs | {peak} kB |");
            assert!(each <= 0.2 || workers > 1, "{each}");
            if workers == 1 {
                assert_eq!(puts as u64, count.div_ceil(10));
            }
            if first == 0.0 {
                first = micros;
            }
            if count == 100_000 {
                println!(
                    "(time an event at 100,000 is {:.2} times that at 1,000)",
                    micros / first
                );
            }
        }
    }
}
