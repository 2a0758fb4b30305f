//! One act, asked more than once, and what must not keep a service from deciding.

use futures_util::future::join_all;
use saga_wire::contract::{Reply, Request, Verb};

use crate::conformance::ask::accepted;
use crate::conformance::exchange::Came;
use crate::conformance::finding::{Stop, Tried};
use crate::conformance::ids::{ACT_DECIDES, UNDO_BEFORE_ACT};
use crate::conformance::session::{Call, Said, Session};

/// How many requests come at the same time.
const AT_ONCE: usize = 20;
/// How often an act comes again.
const REPEATS: u32 = 3;

/// Both decisions must be the same, with the same output and reason.
pub fn same(first: &Came, again: &Came) -> Tried {
    if first.reply == again.reply {
        return Ok(());
    }
    let why = match (&first.reply, &again.reply) {
        (Reply::Accepted(_), Reply::Accepted(_)) => "the output is another one: it was decided a second time",
        (Reply::Refused(_), Reply::Refused(_)) => "the reason is another one: it was decided a second time",
        _ => "the decision is another one; the first for a key is final",
    };
    Err(Stop::Broken(again.after(first, why)))
}

/// Another attempt of the same act: everything differs that may.
pub fn other_attempt(session: &Session, call: &Call, attempt: u32) -> Said {
    Said {
        attempt,
        deadline: session.said(1, call).deadline.plus_millis(60_000),
        trace: call.trace_of_another(),
        reason: "it is tried again, for another reason",
    }
}

pub async fn act_decides(session: &Session) -> Tried {
    accepted(session.decide(Verb::Act, &session.fresh()).await?).map(drop)
}

pub async fn same_act_twice(session: &Session) -> Tried {
    let call = session.fresh();
    let first = session.accept(&call).await?;
    for _ in 0..REPEATS {
        // To the byte, but for the time in its header.
        let request = session.request(Verb::Act, &call, &session.said(1, &call));
        let again = session.decide_as(&call, |_| request.clone()).await?;
        same(&first, &again)?;
    }
    Ok(())
}

pub async fn twenty_at_once(session: &Session) -> Tried {
    let call = session.fresh();
    let all = join_all((0..AT_ONCE).map(|_| session.decide(Verb::Act, &call))).await;
    let all = all.into_iter().collect::<Result<Vec<_>, _>>()?;
    let Some((first, others)) = all.split_first() else {
        return Ok(());
    };
    others.iter().try_for_each(|other| same(first, other))?;
    // What is answered now is what was committed.
    same(first, &session.decide(Verb::Act, &call).await?)
}

pub async fn attempts_are_one(session: &Session) -> Tried {
    let call = session.fresh();
    let first = session.accept(&call).await?;
    let other = other_attempt(session, &call, 7);
    let request = session.request(Verb::Act, &call, &other);
    let again = session.decide_as(&call, |_| request.clone()).await?;
    same(&first, &again)
}

pub async fn unknown_members(session: &Session) -> Tried {
    let with_more = |verb: Verb, call: &Call, attempt: u32| {
        let request = session.request(verb, call, &session.said(attempt, call));
        let more = r#"{"member_of_a_later_version":{"a":[1,null]},"#;
        Request {
            body: request.body.replacen('{', more, 1),
            ..request
        }
    };
    let call = session.fresh();
    let came = session
        .decide_as(&call, |attempt| with_more(Verb::Act, &call, attempt))
        .await?;
    if let Reply::Refused(_) = came.reply {
        // Whether because of the members, shows an act without them.
        session.accept(&session.fresh()).await?;
        return Err(Stop::Broken(
            came.finding("an act with a member more is refused, one without is not"),
        ));
    }
    if session.plan.undo {
        let undone = session
            .decide_as(&call, |attempt| with_more(Verb::Undo, &call, attempt))
            .await;
        if let Err(stop) = undone {
            // Whether because of the members, shows an undo without them.
            session.undo(&call).await?;
            return Err(stop);
        }
    }
    Ok(())
}

pub async fn keys_are_apart(session: &Session) -> Tried {
    if !session.plan.step_is_free {
        return Err(Stop::Skipped(
            "it needs another step's name: leave out --step".to_owned(),
        ));
    }
    let call = session.fresh();
    let first = if let Some(refused) = session.fresh_refused() {
        session
            .decide(Verb::Act, &call.beside("b").with_input_of(&refused))
            .await
    } else if session.plan.tombstone() {
        session.decide(Verb::Undo, &call.beside("b")).await
    } else {
        return Err(Stop::Skipped(
            "nothing would show it: --refuse FILE with an input that is refused".to_owned(),
        ));
    };
    let first = first.map_err(|stop| {
        stop.of(if session.plan.refuse.is_some() {
            ACT_DECIDES
        } else {
            UNDO_BEFORE_ACT
        })
    })?;
    let other = session.decide(Verb::Act, &call).await?;
    if let Reply::Refused(_) = other.reply {
        session.accept(&session.fresh()).await?;
        let why = "another step of the saga is refused after this; in a saga of its own it is not";
        return Err(Stop::Broken(other.after(&first, why)));
    }
    Ok(())
}
