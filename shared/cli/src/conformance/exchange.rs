//! One request and what came back, as a person reads both.

use saga_app::ports::services::Headers;
use saga_core::text::shown_within;
use saga_runtime::service_client::{IDEMPOTENCY_KEY, Raw};
use saga_wire::contract::{MAX_BODY_BYTES, Reply, Verb};

use super::finding::Finding;

/// How much of a body is shown, in characters.
const SHOWN: usize = 400;

/// A request as it goes over the wire.
#[derive(Clone)]
pub struct Packet {
    pub verb: Verb,
    pub headers: Headers,
    pub body: String,
}

/// What came back.
pub struct Came {
    /// The request, for a person. It holds no signature.
    pub sent: String,
    /// The answer, for a person.
    pub said: String,
    /// The status, unless there was no whole answer.
    pub status: Option<u16>,
    /// What the contract takes it for.
    pub reply: Reply,
    pub content_type: Option<String>,
    /// Whether its body is longer than any is read.
    pub oversize: bool,
}

impl Packet {
    pub fn shown(&self) -> String {
        let key = self.headers.iter().find(|(name, _)| *name == IDEMPOTENCY_KEY);
        let key = key.map_or_else(
            || format!("without {IDEMPOTENCY_KEY}"),
            |(name, value)| format!("{name}: {value}"),
        );
        let body = shown_body(self.body.as_bytes());
        format!("POST /{} {key} {body}", self.verb.as_str())
    }

    /// Replaces a header, or takes it away.
    pub fn set(&mut self, name: &'static str, value: Option<String>) {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.extend(value.map(|value| (name, value)));
    }
}

impl Came {
    pub fn answered(sent: String, raw: &Raw, reply: Reply) -> Self {
        let kind = raw
            .content_type
            .as_deref()
            .map_or_else(|| "no content-type".to_owned(), |kind| shown_within(kind, 80));
        let again = raw.answer.retry_after.as_deref();
        let again = again.map_or_else(String::new, |value| {
            format!(", retry-after: {}", shown_within(value, 40))
        });
        let status = raw.answer.status;
        Self {
            sent,
            said: format!("{status} ({kind}{again}) {}", shown_body(&raw.answer.body)),
            status: Some(status),
            reply,
            content_type: raw.content_type.clone(),
            oversize: raw.answer.body.len() > MAX_BODY_BYTES,
        }
    }

    pub fn silent(sent: String, why: &str) -> Self {
        let why = shown_within(why, SHOWN);
        Self {
            sent,
            said: format!("no answer: {why}"),
            status: None,
            reply: Reply::Again { after: None, why },
            content_type: None,
            oversize: false,
        }
    }

    /// Whether it decides the request.
    pub fn decides(&self) -> bool {
        matches!(self.reply, Reply::Accepted(_) | Reply::Refused(_) | Reply::Undone)
    }

    pub fn finding(&self, why: impl Into<String>) -> Finding {
        Finding {
            sent: self.sent.clone(),
            came: self.said.clone(),
            why: why.into(),
        }
    }

    /// What is wrong with this one after another.
    pub fn after(&self, first: &Came, why: impl Into<String>) -> Finding {
        Finding {
            sent: format!("first {}\nthen {}", first.sent, self.sent),
            came: format!("first {}\nthen {}", first.said, self.said),
            why: why.into(),
        }
    }
}

fn shown_body(body: &[u8]) -> String {
    if body.is_empty() {
        return "without a body".to_owned();
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
    let shown = shown_within(&text, SHOWN);
    if body.len() > shown.len() && text.chars().count() > SHOWN || body.len() > 4 * SHOWN {
        format!("{shown}… ({} bytes)", body.len())
    } else {
        shown
    }
}
