//! Requests that nobody can read decide nothing, and do not keep the service from serving others.

use saga_app::ports::Time;
use saga_runtime::service_client::{IDEMPOTENCY_KEY, WEBHOOK_ID};
use saga_wire::contract::Verb;

use crate::conformance::exchange::{Came, Packet};
use crate::conformance::finding::{Stop, Tried};
use crate::conformance::session::Session;

const LARGE: usize = 1024 * 1024;

pub async fn not_json(session: &Session) -> Tried {
    refused_as_unreadable(session, |packet| packet.body = "This is no JSON: {".to_owned()).await
}

pub async fn not_object(session: &Session) -> Tried {
    refused_as_unreadable(session, |packet| packet.body = format!("[{}]", packet.body)).await
}

pub async fn no_key(session: &Session) -> Tried {
    let id = format!("request-{}", session.clock.below(u64::MAX));
    refused_as_unreadable(session, move |packet| {
        let key = packet.headers.iter().find(|(name, _)| *name == IDEMPOTENCY_KEY);
        let member = key.map_or_else(String::new, |(_, key)| format!("\"key\":\"{key}\","));
        packet.body = packet.body.replacen(&member, "", 1);
        packet.set(IDEMPOTENCY_KEY, None);
        packet.set(WEBHOOK_ID, Some(id));
    })
    .await
}

pub async fn two_keys(session: &Session) -> Tried {
    let other = session.fresh().act_key();
    refused_as_unreadable(session, |packet| {
        packet.set(IDEMPOTENCY_KEY, Some(other.clone()));
        packet.set(WEBHOOK_ID, Some(other));
    })
    .await
}

pub async fn large(session: &Session) -> Tried {
    refused_as_unreadable(session, |packet| {
        let whole = packet.body.strip_suffix('}').unwrap_or_default();
        packet.body = format!("{whole},\"filler\":\"{}", "x".repeat(LARGE));
    })
    .await
}

async fn refused_as_unreadable(session: &Session, spoil: impl FnOnce(&mut Packet)) -> Tried {
    let call = session.fresh();
    let mut packet = session.packet(&session.request(Verb::Act, &call, &session.said(1, &call)));
    spoil(&mut packet);
    session.sign(&mut packet);
    let came = session.send(&packet).await;
    session.note(&call, &came);
    if let Some(why) = wrong(&came) {
        return Err(Stop::Broken(came.finding(why)));
    }
    // Who broke down is no answer to anybody.
    match session.accept(&session.fresh()).await {
        Err(Stop::Silent(_) | Stop::Elsewhere(..)) => Err(Stop::Broken(
            came.finding("after this request the service answers no other one"),
        )),
        other => other.map(drop),
    }
}

/// A connection that breaks is no decision either.
fn wrong(came: &Came) -> Option<String> {
    match came.status {
        None | Some(400..=599) => None,
        Some(_) if came.decides() => Some("it is decided, though nobody can know what was asked".to_owned()),
        Some(status) => Some(format!(
            "{status} is no answer to a request that cannot be read; 4xx is"
        )),
    }
}
