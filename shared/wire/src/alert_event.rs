//! The event by which the other cloud's functions tell the one monitoring channel something: it travels the same
//! way as every event, and is no message of the protocol.

use saga_core::ids::Timestamp;
use saga_core::text::{shown, shown_lines};
use serde::{Deserialize, Serialize};

use crate::{cloud_event, json, time};

/// Its type.
pub const TYPE: &str = "SagaAlertRaised";

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Text {
    /// What happened, in a few words.
    pub subject: String,
    /// What it means and what to do.
    pub text: String,
}

#[derive(Serialize)]
struct Out<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'static str,
    r#type: &'static str,
    time: String,
    datacontenttype: &'static str,
    sagatarget: &'static str,
    data: &'a Text,
}

/// Writes the event.
#[must_use]
pub fn write(id: &str, text: &Text, now: Timestamp) -> String {
    let out = Out {
        specversion: "1.0",
        id,
        source: "saga.participant.azure",
        r#type: TYPE,
        time: time::format(now),
        datacontenttype: "application/json",
        sagatarget: "aws",
        data: text,
    };
    json::to_string(&out)
}

/// Reads it; `None` when this is another event.
#[must_use]
pub fn parse(text: &str) -> Option<Text> {
    let said: Text = serde_json::from_str(&cloud_event::told_by_azure(text, TYPE)?).ok()?;
    let text = Text {
        subject: shown(said.subject.trim()),
        text: shown_lines(said.text.trim()),
    };
    // A monitoring channel takes no empty ones.
    Some(text).filter(|text| !text.subject.is_empty() && !text.text.is_empty())
}
