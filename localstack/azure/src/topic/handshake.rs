//! Proof that a webhook wants the events, before the first of them is sent.
//!
//! CloudEvents use the abuse protection of the CloudEvents webhook specification, Event Grid's own schema its
//! validation event. A queue needs none.

use std::time::Duration;

use serde_json::{Value, json};

use super::destination::{Destination, Route, authorized};
use crate::{config::DeliverySchema, system};

const ORIGIN: &str = "eventgrid.azure.net";
const TIMEOUT: Duration = Duration::from_secs(30);

impl Route {
    /// Shakes hands once; the error says what was wrong with the answer.
    pub(crate) async fn shake_hands(&self) -> Result<(), String> {
        let Destination::Webhook {
            http,
            issuer,
            settings,
        } = &self.destination
        else {
            return Ok(());
        };
        let request = match self.schema {
            DeliverySchema::CloudEvents => http.request(reqwest::Method::OPTIONS, &settings.url),
            DeliverySchema::EventGrid => http.post(&settings.url),
        };
        let request = authorized(request, issuer, settings)
            .timeout(TIMEOUT)
            .header("aeg-event-type", "SubscriptionValidation")
            .header("aeg-subscription-name", self.subscription.to_uppercase());
        match self.schema {
            DeliverySchema::CloudEvents => {
                let request = request.header("webhook-request-origin", ORIGIN);
                let request = request.header("webhook-request-rate", "120");
                let answer = request.send().await.map_err(no_answer)?;
                let allowed = answer.headers().get("webhook-allowed-origin");
                let allowed = allowed.and_then(|value| value.to_str().ok());
                check_origin(answer.status().as_u16(), allowed)
            }
            DeliverySchema::EventGrid => {
                let code = system::guid();
                let request = request
                    .header("content-type", "application/json; charset=utf-8")
                    .body(validation_event(&self.topic, &code).to_string());
                let answer = request.send().await.map_err(no_answer)?;
                let status = answer.status().as_u16();
                check_code(status, &answer.bytes().await.map_err(no_answer)?, &code)
            }
        }
    }
}

fn no_answer(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

fn check_origin(status: u16, allowed: Option<&str>) -> Result<(), String> {
    match (status, allowed) {
        (200, Some(origin)) if origin == "*" || origin.eq_ignore_ascii_case(ORIGIN) => Ok(()),
        (200, allowed) => Err(format!(
            "WebHook-Allowed-Origin must be * or {ORIGIN}, was {allowed:?}"
        )),
        (status, _) => Err(format!("OPTIONS must be answered with 200, was {status}")),
    }
}

fn validation_event(topic: &str, code: &str) -> Value {
    json!([{
        "id": system::guid(), "topic": topic, "subject": "", "eventTime": system::now(),
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": code}, "dataVersion": "1", "metadataVersion": "1",
    }])
}

fn check_code(status: u16, body: &[u8], code: &str) -> Result<(), String> {
    if status != 200 {
        return Err(format!(
            "the validation event must be answered with 200, was {status}"
        ));
    }
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if answer.get("validationResponse").and_then(Value::as_str) == Some(code) {
        Ok(())
    } else {
        Err("the answer must be {\"validationResponse\": the code that was sent}".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_events_receiver_must_allow_the_origin_with_200() {
        assert!(check_origin(200, Some("*")).is_ok());
        assert!(check_origin(200, Some("eventgrid.azure.net")).is_ok());
        assert!(check_origin(200, Some("example.com")).is_err());
        assert!(check_origin(200, None).is_err());
        assert!(check_origin(204, Some("*")).is_err());
    }

    #[test]
    fn an_event_grid_receiver_must_return_the_code_with_200() {
        assert!(check_code(200, br#"{"validationResponse":"c"}"#, "c").is_ok());
        assert!(check_code(200, br#"{"validationResponse":"d"}"#, "c").is_err());
        assert!(check_code(202, br#"{"validationResponse":"c"}"#, "c").is_err());
        assert!(check_code(200, b"", "c").is_err());
    }
}
