//! Who calls, proven by a signature of Standard Webhooks.

use saga_app::ports::Time;
use saga_runtime::service_client::{WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use saga_wire::contract::Verb;
use saga_wire::contract::signature::Secrets;

use crate::conformance::exchange::Packet;
use crate::conformance::finding::{Stop, Tried};
use crate::conformance::plan::Signing;
use crate::conformance::session::{Call, Session, signature};

/// A secret that no service has.
const FOREIGN: &str = "whsec_bm9ib2R5IGhhcyBldmVyIHNlZW4gdGhpcyBzZWNyZXQ=";
const OFF_SECONDS: i64 = 10 * 60;

fn signing(session: &Session) -> Result<&Signing, Stop> {
    let how = || Stop::Skipped("no secret is known: --secret-env NAME".to_owned());
    session.plan.signing.as_ref().ok_or_else(how)
}

#[allow(clippy::expect_used, reason = "the message proves that it cannot fail")]
fn foreign() -> Secrets {
    Secrets::parse(FOREIGN).expect("it has the form of a secret")
}

pub async fn missing(session: &Session) -> Tried {
    signing(session)?;
    unknown_caller(session, |packet| packet.set(WEBHOOK_SIGNATURE, None)).await
}

pub async fn wrong(session: &Session) -> Tried {
    signing(session)?;
    unknown_caller(session, |packet| {
        let signature = signature(&foreign(), packet);
        packet.set(WEBHOOK_SIGNATURE, Some(signature));
    })
    .await?;
    // Rightly signed, and changed on its way.
    unknown_caller(session, |packet| {
        packet.body = packet.body.replacen("\"attempt\":1", "\"attempt\":2", 1)
    })
    .await
}

pub async fn old(session: &Session) -> Tried {
    signing(session)?;
    for off in [-OFF_SECONDS, OFF_SECONDS] {
        let seconds = session.clock.now().millis() / 1_000 + off;
        unknown_caller(session, |packet| {
            packet.set(WEBHOOK_TIMESTAMP, Some(seconds.to_string()));
            session.sign(packet);
        })
        .await?;
    }
    Ok(())
}

pub async fn rotation(session: &Session) -> Tried {
    let signing = signing(session)?;
    for first in [true, false] {
        known_caller(session, |packet| {
            let (right, other) = (signature(&signing.all, packet), signature(&foreign(), packet));
            let right = right.split(' ').next().unwrap_or_default();
            let both = if first {
                format!("{other} {right}")
            } else {
                format!("{right} {other}")
            };
            packet.set(WEBHOOK_SIGNATURE, Some(both));
        })
        .await?;
    }
    for one in &signing.each {
        known_caller(session, |packet| {
            let signature = signature(one, packet);
            packet.set(WEBHOOK_SIGNATURE, Some(signature));
        })
        .await?;
    }
    Ok(())
}

pub async fn raw_body(session: &Session) -> Tried {
    signing(session)?;
    known_caller(session, |packet| {
        packet.body = packet.body.replacen('{', "{ \n ", 1) + " \n";
        session.sign(packet);
    })
    .await
}

fn packet(session: &Session, verb: Verb, call: &Call, change: impl FnOnce(&mut Packet)) -> Packet {
    let mut packet = session.packet(&session.request(verb, call, &session.said(1, call)));
    change(&mut packet);
    packet
}

/// Neither an act nor an undo of such a caller is answered otherwise.
async fn unknown_caller(session: &Session, change: impl Fn(&mut Packet)) -> Tried {
    let mut asked = vec![(Verb::Act, session.fresh())];
    if session.plan.undo {
        let call = session.fresh();
        session.accept(&call).await?;
        asked.push((Verb::Undo, call));
    }
    for (verb, call) in asked {
        let came = session.settle(|_| packet(session, verb, &call, &change)).await?;
        session.note(&call, &came);
        if !matches!(came.status, Some(401 | 403)) {
            let why = if came.decides() {
                "whoever sends this is obeyed"
            } else {
                "401 or 403 is the answer to this"
            };
            return Err(Stop::Broken(came.finding(why)));
        }
    }
    Ok(())
}

async fn known_caller(session: &Session, change: impl Fn(&mut Packet)) -> Tried {
    let call = session.fresh();
    let came = session
        .settle(|_| packet(session, Verb::Act, &call, &change))
        .await?;
    session.note(&call, &came);
    if came.decides() {
        return Ok(());
    }
    Err(Stop::Broken(
        came.finding("the request is rightly signed, and is not decided"),
    ))
}
