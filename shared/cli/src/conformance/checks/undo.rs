//! An act and its undo, in every order that the promise allows.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::{join, join_all};
use saga_wire::contract::{Reply, Verb};

use super::repeats::{other_attempt, same};
use crate::conformance::finding::{Stop, Tried};
use crate::conformance::ids::{UNDO_AFTER_ACT, UNDO_BEFORE_ACT, UNDO_TWICE};
use crate::conformance::session::Session;

/// How many undos come at the same time.
const AT_ONCE: usize = 10;
/// How often an act is repeated while its undo is handled.
const MOST_ACTS: usize = 60;
const BETWEEN_ACTS: Duration = Duration::from_millis(3);
/// How long after its act an undo is sent that meets it.
const AFTER: [u64; 6] = [0, 1, 3, 8, 20, 60];

fn needs_undo(session: &Session) -> Tried {
    let none = || Stop::Skipped("the service has no undo (--no-undo)".to_owned());
    session.plan.undo.then_some(()).ok_or_else(none)
}

pub fn needs_tombstone(session: &Session) -> Tried {
    let key =
        || Stop::Skipped("a service of `key` is not asked for it; --recover tombstone tries it".to_owned());
    session.plan.tombstone().then_some(()).ok_or_else(key)
}

pub async fn undo_after_act(session: &Session) -> Tried {
    needs_undo(session)?;
    let call = session.fresh();
    session.accept(&call).await?;
    session.decide(Verb::Undo, &call).await.map(drop)
}

pub async fn undo_twice(session: &Session) -> Tried {
    needs_undo(session)?;
    let call = session.fresh();
    session.accept(&call).await?;
    session.undo(&call).await?;
    let request = session.request(Verb::Undo, &call, &session.said(1, &call));
    for _ in 0..2 {
        session.decide_as(&call, |_| request.clone()).await?;
    }
    Ok(())
}

pub async fn undo_at_once(session: &Session) -> Tried {
    needs_undo(session)?;
    let call = session.fresh();
    session.accept(&call).await?;
    let all = join_all((0..AT_ONCE).map(|_| session.decide(Verb::Undo, &call))).await;
    // One at least is as if it came alone.
    let none = all.iter().all(Result::is_err);
    let each = all.into_iter().map(|came| came.map(drop));
    each.into_iter()
        .try_for_each(|came| came.map_err(|stop| if none { stop.of(UNDO_AFTER_ACT) } else { stop }))
}

pub async fn attempts_are_one(session: &Session) -> Tried {
    needs_undo(session)?;
    let call = session.fresh();
    session.accept(&call).await?;
    session.undo(&call).await?;
    let other = session.request(Verb::Undo, &call, &other_attempt(session, &call, 7));
    session.decide_as(&call, |_| other.clone()).await.map(drop)
}

pub async fn act_after_undo(session: &Session) -> Tried {
    needs_undo(session)?;
    let call = session.fresh();
    let first = session.accept(&call).await?;
    session.undo(&call).await?;
    for _ in 0..2 {
        same(&first, &session.decide(Verb::Act, &call).await?)?;
    }
    Ok(())
}

pub async fn act_during_undo(session: &Session) -> Tried {
    needs_undo(session)?;
    let call = session.fresh();
    let first = session.accept(&call).await?;
    let (is_undone, mut acts) = (Cell::new(false), Vec::new());
    let undo = async {
        let undone = session.decide(Verb::Undo, &call).await;
        is_undone.set(true);
        undone
    };
    let act = async {
        loop {
            // The last one comes when it is undone.
            let last = is_undone.get() || acts.len() + 1 >= MOST_ACTS;
            acts.push(session.decide(Verb::Act, &call).await);
            if last {
                return;
            }
            tokio::time::sleep(BETWEEN_ACTS).await;
        }
    };
    let (undone, ()) = join(undo, act).await;
    undone.map_err(|stop| stop.of(UNDO_AFTER_ACT))?;
    acts.into_iter().try_for_each(|again| same(&first, &again?))
}

pub async fn undo_during_act(session: &Session) -> Tried {
    needs_tombstone(session)?;
    for after in AFTER {
        let call = session.fresh();
        let undo = async {
            tokio::time::sleep(Duration::from_millis(after)).await;
            session.decide(Verb::Undo, &call).await
        };
        let (act, undone) = join(session.decide(Verb::Act, &call), undo).await;
        let act = act?;
        // Where it cannot come first, it may have come first here, too.
        let cannot_be_first = session.seen.borrow().broken.contains_key(UNDO_BEFORE_ACT);
        undone.map_err(|stop| {
            if cannot_be_first {
                stop.of(UNDO_BEFORE_ACT)
            } else {
                stop
            }
        })?;
        same(&act, &session.decide(Verb::Act, &call).await?)?;
        session
            .decide(Verb::Undo, &call)
            .await
            .map_err(|stop| stop.of(UNDO_TWICE))?;
    }
    Ok(())
}

pub async fn undo_before_act(session: &Session) -> Tried {
    needs_tombstone(session)?;
    let call = session.fresh();
    let undone = session.decide(Verb::Undo, &call).await?;
    let first = session.decide(Verb::Act, &call).await?;
    if let Reply::Accepted(_) = first.reply {
        let why = "its saga is cancelled already, and the work is done all the same; nobody undoes it";
        return Err(Stop::Broken(first.after(&undone, why)));
    }
    same(&first, &session.decide(Verb::Act, &call).await?)
}
