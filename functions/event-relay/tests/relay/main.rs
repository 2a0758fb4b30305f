//! The relay as it is deployed: its process between Lambda, STS, Entra and the topic, all of them on loopback. The two
//! of Azure speak TLS, because its client hands no token to anybody else.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

mod function;
mod server;

use std::time::Duration;

use function::{CLIENT, Function, TENANT};
use serde_json::json;
use server::{Reply, Server};
use tokio::time::Instant;

const SAGA: &str = "5f1c7a52-0000-8000-8000-000000000001";

/// The event as its outbox row has it: spaces and order of members are part of it.
fn event(id: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}", "type":"PaymentReserved","source":"saga.orchestrator","data":{{"saga_id":"{SAGA}","amount":"129.90"}}}}"#
    )
}

/// The message in which the bus brings it.
fn message(id: &str) -> String {
    format!(
        r#"{{"version":"0","id":"1","detail-type":"PaymentReserved","source":"saga.orchestrator","detail":{}}}"#,
        event(id)
    )
}

fn aws_token(_: usize, _: &str) -> Reply {
    let token = "<WebIdentityToken>aws-token</WebIdentityToken><Expiration>2030-01-01T00:00:00Z</Expiration>";
    Reply::Answer(
        200,
        format!(
            "<GetWebIdentityTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <GetWebIdentityTokenResult>{token}</GetWebIdentityTokenResult></GetWebIdentityTokenResponse>"
        ),
    )
}

/// The n-th token that Entra gives, good for this long.
fn azure_token(number: usize, seconds: u32) -> Reply {
    let token = json!({ "token_type": "Bearer", "expires_in": seconds, "access_token": format!("azure-token-{number}") });
    Reply::Answer(200, token.to_string())
}

fn hour(number: usize, _: &str) -> Reply {
    azure_token(number, 3_599)
}

fn taken(_: usize, _: &str) -> Reply {
    Reply::status(200)
}

fn refused(status: u16, code: &str) -> Reply {
    Reply::Answer(status, json!({ "error": { "code": code } }).to_string())
}

/// The tokens by which the topic was asked, in order.
fn bearers(topic: &Server) -> Vec<String> {
    let bearer = |request: &String| {
        let line = request
            .lines()
            .find_map(|line| line.strip_prefix("authorization: Bearer "));
        line.unwrap_or_default().to_owned()
    };
    topic.requests().iter().map(bearer).collect()
}

#[tokio::test]
async fn events_go_to_the_topic_as_they_are_with_one_token_for_all() {
    let (sts, entra) = (
        Server::start(false, aws_token).await,
        Server::start(true, hour).await,
    );
    let topic = Server::start(true, taken).await;
    let mut relay = Function::start(&sts, &entra, &topic).await;
    assert_eq!(
        relay.invoke(&[&message("a"), &message("b"), &message("c")]).await,
        [0; 0]
    );
    assert_eq!(relay.invoke(&[&message("d")]).await, [0; 0]);

    let [sts] = &sts.requests()[..] else {
        panic!("{:?}", sts.requests())
    };
    for part in [
        "Action=GetWebIdentityToken",
        "api%3A%2F%2FAzureADTokenExchange",
        "DurationSeconds=300",
        "RS256",
    ] {
        assert!(sts.contains(part), "{part}: {sts}");
    }
    let [entra] = &entra.requests()[..] else {
        panic!("{:?}", entra.requests())
    };
    assert!(
        entra.starts_with(&format!("POST /{TENANT}/oauth2/v2.0/token HTTP/1.1")),
        "{entra}"
    );
    for part in [
        "client_assertion=aws-token",
        &format!("client_id={CLIENT}"),
        "grant_type=client_credentials",
        "scope=https%3A%2F%2Feventgrid.azure.net%2F.default",
    ] {
        assert!(entra.contains(part), "{part}: {entra}");
    }
    assert_eq!(bearers(&topic), ["azure-token-1"; 4]);
    let mut sent: Vec<String> = Vec::new();
    for request in topic.requests() {
        assert!(
            request.starts_with("POST /api/events?api-version=2018-01-01 HTTP/1.1"),
            "{request}"
        );
        assert!(
            request.contains("content-type: application/cloudevents+json; charset=utf-8"),
            "{request}"
        );
        sent.push(request.split_once("\r\n\r\n").unwrap().1.to_owned());
    }
    sent.sort();
    assert_eq!(sent, [event("a"), event("b"), event("c"), event("d")]);
    let log = relay.log();
    assert!(
        log.contains(r#""outcome":"relayed""#) && log.contains(SAGA),
        "{log}"
    );
    assert!(
        !log.contains("aws-token") && !log.contains("azure-token"),
        "{log}"
    );
}

#[tokio::test]
async fn a_token_is_got_anew_before_it_expires_and_serves_on_when_there_is_none() {
    // A minute is within the time before the end in which a new one is asked for.
    let short = |number, _: &str| match number {
        1 | 2 => azure_token(number, 60),
        _ => refused(401, "down"),
    };
    let (sts, entra) = (
        Server::start(false, aws_token).await,
        Server::start(true, short).await,
    );
    let topic = Server::start(true, taken).await;
    let mut relay = Function::start(&sts, &entra, &topic).await;
    for id in ["a", "b", "c"] {
        assert_eq!(
            relay.invoke(&[&message(id)]).await,
            [0; 0],
            "{id}: {}",
            relay.log()
        );
    }
    assert_eq!(
        bearers(&topic),
        ["azure-token-1", "azure-token-2", "azure-token-2"]
    );
    assert_eq!((sts.requests().len(), entra.requests().len()), (3, 3));
}

#[tokio::test]
async fn without_awss_word_everything_stays_until_it_is_given() {
    let disabled = |number, request: &str| {
        match number {
        1 => Reply::Answer(
            400,
            "<ErrorResponse><Error><Type>Sender</Type><Code>OutboundWebIdentityFederationDisabledException</Code>\
             <Message>not enabled for this account</Message></Error></ErrorResponse>"
                .to_owned(),
        ),
        _ => aws_token(number, request),
    }
    };
    let (sts, entra) = (
        Server::start(false, disabled).await,
        Server::start(true, hour).await,
    );
    let topic = Server::start(true, taken).await;
    let mut relay = Function::start(&sts, &entra, &topic).await;
    assert_eq!(
        relay.invoke(&[&message("a"), &message("b"), &message("c")]).await,
        [0, 1, 2]
    );
    // The batch asks once, not once an event.
    assert_eq!(
        (
            sts.requests().len(),
            entra.requests().len(),
            topic.requests().len()
        ),
        (1, 0, 0)
    );
    let log = relay.log();
    assert!(
        log.contains("OutboundWebIdentityFederationDisabledException"),
        "{log}"
    );
    assert!(
        log.contains(&format!("event a of saga {SAGA} is not published")),
        "{log}"
    );

    let end = Instant::now() + Duration::from_secs(120);
    while relay.invoke(&[&message("a")]).await == [0] {
        assert!(Instant::now() < end, "{}", relay.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(bearers(&topic), ["azure-token-1"]);
}

#[tokio::test]
async fn what_entra_does_not_give_is_asked_for_within_limits() {
    let aad = json!({ "error": "invalid_client", "error_description": "AADSTS700213: no matching federated identity", "error_codes": [700_213] });
    for (reply, asked, reason) in [
        (Reply::Answer(401, aad.to_string()), 1, "AADSTS700213"),
        (Reply::status(500), 3, "ClientAssertionCredential"),
        (Reply::Silence, 1, "there was no token within 3000 ms"),
    ] {
        let (sts, entra) = (
            Server::start(false, aws_token).await,
            Server::start(true, {
                let reply = reply.clone();
                move |_, _: &str| reply.clone()
            })
            .await,
        );
        let topic = Server::start(true, taken).await;
        let mut relay = Function::start(&sts, &entra, &topic).await;
        assert_eq!(
            relay.invoke(&[&message("a"), &message("b")]).await,
            [0, 1],
            "{reply:?}"
        );
        assert_eq!(
            (entra.requests().len(), topic.requests().len()),
            (asked, 0),
            "{reply:?}"
        );
        let log = relay.log();
        let reported = log.lines().filter(|line| line.contains(reason)).count();
        assert_eq!(reported, 2, "each message has the reason: {log}");
    }
}

#[tokio::test]
async fn what_the_topic_does_not_take_stays_on_the_queue() {
    for (reply, asked, reason) in [
        (
            refused(400, "BadRequest"),
            1,
            "is refused: Event Grid refuses it for good: 400 BadRequest",
        ),
        (
            refused(413, "RequestEntityTooLarge"),
            1,
            "413 RequestEntityTooLarge",
        ),
        (refused(401, "Unauthorized"), 1, "it answered 401 Unauthorized"),
        (refused(429, "TooMany"), 2, "is throttled"),
        (refused(503, "Busy"), 2, "is throttled"),
        (refused(500, "Internal"), 2, "it answered 500 Internal"),
        (Reply::Silence, 2, "there was no answer within 4000 ms"),
    ] {
        let (sts, entra) = (
            Server::start(false, aws_token).await,
            Server::start(true, hour).await,
        );
        let topic = Server::start(true, {
            let reply = reply.clone();
            move |_, _: &str| reply.clone()
        })
        .await;
        let mut relay = Function::start(&sts, &entra, &topic).await;
        assert_eq!(relay.invoke(&[&message("a")]).await, [0], "{reply:?}");
        assert_eq!(topic.requests().len(), asked, "{reply:?}");
        assert!(relay.log().contains(reason), "{reply:?}: {}", relay.log());
    }
}

#[tokio::test]
async fn one_that_fails_holds_back_no_other() {
    let (sts, entra) = (
        Server::start(false, aws_token).await,
        Server::start(true, hour).await,
    );
    let picky = |_, request: &str| match request.contains(r#""id":"bad""#) {
        true => refused(400, "BadRequest"),
        false => Reply::status(200),
    };
    let topic = Server::start(true, picky).await;
    let mut relay = Function::start(&sts, &entra, &topic).await;
    // The fourth is what a replay may put there: the event without an envelope.
    let bodies = [&message("a"), &message("bad"), "no JSON", &event("d")];
    assert_eq!(relay.invoke(&bodies).await, [1, 2], "{}", relay.log());
    assert_eq!(topic.requests().len(), 3);
    assert!(
        relay.log().contains("the message holds no event"),
        "{}",
        relay.log()
    );
}
