//! What is refused.

use futures_util::future::join_all;
use saga_wire::contract::{Reply, Verb};

use super::repeats::same;
use crate::conformance::exchange::Came;
use crate::conformance::finding::{Stop, Tried};
use crate::conformance::ids::ACT_DECIDES;
use crate::conformance::session::{Call, Session};

const AT_ONCE: usize = 5;

/// A call that was refused.
async fn refused(session: &Session) -> Result<(Call, Came), Stop> {
    let how = || Stop::Skipped("no input is known to be refused: --refuse FILE".to_owned());
    let call = session.fresh_refused().ok_or_else(how)?;
    let came = session
        .decide(Verb::Act, &call)
        .await
        .map_err(|stop| stop.of(ACT_DECIDES))?;
    match came.reply {
        Reply::Refused(_) => Ok((call, came)),
        _ => Err(Stop::Unfit(
            "the service accepted the input of --refuse: give one that it refuses".to_owned(),
        )),
    }
}

pub async fn refusal_stays(session: &Session) -> Tried {
    let (call, first) = refused(session).await?;
    same(&first, &session.decide(Verb::Act, &call).await?)?;
    let all = join_all((0..AT_ONCE).map(|_| session.decide(Verb::Act, &call))).await;
    all.into_iter().try_for_each(|again| same(&first, &again?))
}

pub async fn undo_of_refused(session: &Session) -> Tried {
    super::undo::needs_tombstone(session)?;
    let (call, first) = refused(session).await?;
    session.decide(Verb::Undo, &call).await?;
    same(&first, &session.decide(Verb::Act, &call).await?)
}
