//! The ports on AWS: DynamoDB, EventBridge, SQS, SNS, Secrets Manager. Adapters decide nothing: they carry out a decision in one
//! request, or say what stood in its way.

pub mod alerts;
pub mod call_queue;
mod cancelled;
pub mod clients;
pub mod dead_letters;
pub mod definitions;
pub mod event_bridge;
mod failure;
mod item;
pub mod outbox;
pub mod quarantine;
mod saga_item;
pub mod saga_store;
pub mod services;
mod timeline_item;
pub mod web_identity;
