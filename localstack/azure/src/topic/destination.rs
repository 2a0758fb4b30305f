//! One delivery attempt to a Storage queue or a webhook.
//!
//! An attempt ends in success or in [`Failed`]; it never decides what comes after.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::value::RawValue;

use super::{
    envelope,
    journal::Delivery,
    retry::{DestinationKind, Failed, judge, judge_silence},
};
use crate::{
    config::{DeliverySchema, Subscription, Webhook},
    oidc::Issuer,
    storage::{StorageAccount, StorageError},
};

/// How long Event Grid waits for a webhook's answer.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) enum Destination {
    StorageQueue {
        account: Arc<StorageAccount>,
        queue: String,
    },
    Webhook {
        http: reqwest::Client,
        issuer: Arc<Issuer>,
        settings: Webhook,
    },
}

/// What the destination needs to know of its subscription.
pub(crate) struct Route {
    pub(crate) destination: Destination,
    pub(crate) topic: String,
    pub(crate) subscription: String,
    pub(crate) schema: DeliverySchema,
}

impl Route {
    pub(crate) fn new(
        subscription: &Subscription,
        topic: &str,
        http: &reqwest::Client,
        issuer: &Arc<Issuer>,
        account: &Arc<StorageAccount>,
    ) -> Self {
        let destination = match &subscription.webhook {
            Some(settings) => Destination::Webhook {
                http: http.clone(),
                issuer: Arc::clone(issuer),
                settings: settings.clone(),
            },
            None => Destination::StorageQueue {
                account: Arc::clone(account),
                queue: subscription.storage_queue.clone().unwrap_or_default(),
            },
        };
        Self {
            destination,
            topic: topic.to_owned(),
            subscription: subscription.name.clone(),
            schema: subscription.delivery_schema,
        }
    }

    pub(crate) fn batch_size(&self) -> usize {
        match &self.destination {
            Destination::StorageQueue { .. } => 1,
            Destination::Webhook { settings, .. } => settings.max_events_per_batch,
        }
    }

    /// Tries once. All of `batch` is delivered or none is.
    pub(crate) async fn deliver(&self, batch: &[Delivery]) -> Result<(), Failed> {
        let events = batch
            .iter()
            .map(|delivery| envelope::in_schema(&self.topic, self.schema, &delivery.event))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Failed::new("BadRequest", false))?;
        match &self.destination {
            Destination::StorageQueue { account, queue } => {
                for event in &events {
                    let put = account.put_message(queue, &STANDARD.encode(event.get())).await;
                    put.map_err(|error| queue_failure(&error))?;
                }
                Ok(())
            }
            Destination::Webhook {
                http,
                issuer,
                settings,
            } => {
                let attempts = batch.iter().map(|delivery| delivery.attempts).max();
                let body = self.webhook_body(settings, &events);
                let request = authorized(http.post(&settings.url), issuer, settings)
                    .timeout(WEBHOOK_TIMEOUT)
                    .header("content-type", self.content_type(settings))
                    .header("aeg-event-type", "Notification")
                    .header("aeg-subscription-name", self.subscription.to_uppercase())
                    .header("aeg-delivery-count", attempts.unwrap_or_default().to_string())
                    .header("aeg-metadata-version", "1")
                    .body(body);
                let answer = request.send().await.map_err(|error| judge_silence(&error))?;
                judge(DestinationKind::Webhook, answer.status().as_u16())
            }
        }
    }

    fn content_type(&self, settings: &Webhook) -> &'static str {
        match (self.schema, settings.max_events_per_batch) {
            (DeliverySchema::EventGrid, _) => "application/json; charset=utf-8",
            (DeliverySchema::CloudEvents, 1) => "application/cloudevents+json; charset=utf-8",
            (DeliverySchema::CloudEvents, _) => "application/cloudevents-batch+json; charset=utf-8",
        }
    }

    /// One object, or an array where the schema or batching wants one whatever the number of events.
    fn webhook_body(&self, settings: &Webhook, events: &[Box<RawValue>]) -> String {
        match (self.schema, settings.max_events_per_batch, events) {
            (DeliverySchema::CloudEvents, 1, [event]) => event.get().to_owned(),
            _ => serde_json::to_string(events).unwrap_or_default(),
        }
    }
}

pub(crate) fn authorized(
    request: reqwest::RequestBuilder,
    issuer: &Issuer,
    settings: &Webhook,
) -> reqwest::RequestBuilder {
    match (&settings.audience, settings.entra) {
        (Some(audience), true) => request.bearer_auth(issuer.webhook_token(audience)),
        _ => request,
    }
}

fn queue_failure(error: &StorageError) -> Failed {
    tracing::warn!(%error, "a Storage queue did not take an event");
    let failed = match error {
        StorageError::Refused { status, .. } => judge(DestinationKind::StorageQueue, *status).err(),
        StorageError::Silent { source, .. } => Some(judge_silence(source)),
        StorageError::NotUnderstood { .. } => None,
    };
    failed.unwrap_or_else(|| Failed::new("GenericError", true))
}
