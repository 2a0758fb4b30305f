//! The timer trigger: one invocation at a time, at the schedule's occurrences in UTC.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

use super::{
    invocation::{self, Invoker},
    schedule::Schedule,
};
use crate::system;

/// Later than this after its occurrence an invocation is past due.
const PAST_DUE: Duration = Duration::from_secs(1);

/// Runs until it is stopped. Occurrences that pass during an invocation are skipped.
pub(crate) async fn run(
    invoker: Invoker,
    binding: String,
    schedule: Schedule,
    mut accepting: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        let Some(next) = schedule.next_after(system::now()) else {
            tracing::warn!(function = invoker.function, "the schedule never comes");
            return;
        };
        let pause = Duration::try_from(next.duration_since(system::now())).unwrap_or_default();
        tokio::select! {
            () = sleep(pause) => {},
            _ = stop.changed() => return,
        }
        tokio::select! {
            opened = accepting.wait_for(|accepting| *accepting) => if opened.is_err() { return },
            _ = stop.changed() => return,
        }
        let late = Duration::try_from(system::now().duration_since(next)).unwrap_or_default();
        let body = invocation::timer_body(&invoker.function, &binding, late > PAST_DUE);
        // A failed timer is not repeated before its next occurrence; the invoker has logged and counted it.
        drop(invoker.invoke(&body).await);
    }
}
