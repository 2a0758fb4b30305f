//! What can go wrong with a call to the outside, chosen by the test before the call has its effect.

use std::future::poll_fn;
use std::task::Poll;

use saga_app::ports::PortError;

/// What is to go wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It fails, and has no effect.
    FailBefore,
    /// It has its effect, and the answer is lost.
    FailAfter,
    /// It is throttled, and has no effect.
    Throttle,
    /// A commit or an insert finds that something else came first; a publisher takes no event of the batch. Calls that
    /// cannot answer so are not disturbed.
    Conflict,
}

/// Chooses the fault of each call. Any closure from the call's name, such as `SagaStore::commit`, is one.
pub trait Faults: Send + Sync {
    /// The fault of the call that is about to have its effect.
    fn on(&self, call: &'static str) -> Fault;
}

impl<F: Fn(&'static str) -> Fault + Send + Sync> Faults for F {
    fn on(&self, call: &'static str) -> Fault {
        self(call)
    }
}

/// Makes one call: gives way, asks for the fault, has the effect, gives way again, answers.
///
/// Both pauses matter to whoever schedules the tasks: before the effect another task may come first, and a task
/// that is dropped after it is a process that crashed between its commit and the answer.
pub(crate) async fn call<T>(
    faults: &dyn Faults,
    name: &'static str,
    conflict: Option<T>,
    effect: impl FnOnce() -> Result<T, PortError>,
) -> Result<T, PortError> {
    give_way().await;
    let fault = faults.on(name);
    let answer = match (fault, conflict) {
        (Fault::FailBefore, _) => return Err(PortError::unavailable(name, "injected before its effect")),
        (Fault::Throttle, _) => return Err(PortError::Throttled { what: name }),
        (Fault::Conflict, Some(conflict)) => conflict,
        _ => effect()?,
    };
    give_way().await;
    match fault {
        Fault::FailAfter => Err(PortError::unavailable(name, "injected after its effect")),
        _ => Ok(answer),
    }
}

/// Lets every other task that is ready run once.
pub(crate) async fn give_way() {
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
