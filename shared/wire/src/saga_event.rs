//! An event about a saga, whoever sent it, and whether what it says is true of the saga's definition.

use saga_core::definition::{Cloud, Definition};
use saga_core::document::{Document, Fields};
use saga_core::event::{Event, MAX_HOPS};
use saga_core::ids::{EventId, SagaId, Timestamp};
use saga_core::reports::Reports;
use saga_core::saga::Saga;
use saga_core::text::id_breaks;

use crate::Malformed;

/// The longest id, source or type of an event, in bytes.
pub(crate) const MAX_WORD: usize = 256;

/// An event about a saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SagaEvent {
    /// It carries our attributes.
    Ours(Event),
    /// It carries none of them: another team's publisher sent it.
    Outside(Outside),
}

impl SagaEvent {
    /// The saga that it names.
    #[must_use]
    pub fn saga(&self) -> SagaId {
        match self {
            Self::Ours(event) => event.saga,
            Self::Outside(event) => event.saga,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &EventId {
        match self {
            Self::Ours(event) => &event.id,
            Self::Outside(event) => &event.id,
        }
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Ours(event) => &event.kind,
            Self::Outside(event) => &event.kind,
        }
    }
}

/// Takes the saga out of an event's data, where it is named beside the attributes. `null` names none.
pub(crate) fn named_saga(data: &mut Fields) -> Result<Option<SagaId>, Malformed> {
    match data.remove("saga_id") {
        None | Some(Document::Null) => Ok(None),
        Some(Document::Text(text)) => {
            let saga = text.parse().map(Some);
            saga.map_err(|error| Malformed(format!("`data.saga_id`: {error}")))
        }
        Some(_) => Err(Malformed("`data.saga_id` must be a text".to_owned())),
    }
}

/// An event of a publisher that is none of our participants: understood by its type and its saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// Its id.
    pub id: EventId,
    /// Who says so.
    pub source: String,
    /// Its type.
    pub kind: String,
    /// The saga that it names.
    pub saga: SagaId,
    /// What it carries.
    pub data: Fields,
}

impl Outside {
    /// The event of a publisher who names the saga in `data.saga_id`, or in the subject `saga/<id>/…`.
    pub(crate) fn new(
        id: String,
        source: String,
        kind: String,
        subject: Option<String>,
        mut data: Fields,
    ) -> Result<Self, Malformed> {
        let named = named_saga(&mut data)?;
        let subject = subject
            .as_deref()
            .and_then(|subject| subject.strip_prefix("saga/")?.split('/').next())
            .map(|id| id.parse::<SagaId>())
            .transpose()
            .map_err(|error| Malformed(format!("`subject`: {error}")))?;
        if named.is_some() && subject.is_some() && named != subject {
            let why = "`subject` and `data.saga_id` name two sagas";
            return Err(Malformed(why.to_owned()));
        }
        let saga = named
            .or(subject)
            .ok_or_else(|| Malformed("`data.saga_id` is missing".to_owned()))?;
        if kind.is_empty() || kind.len() > MAX_WORD {
            return Err(Malformed(format!("the type must have 1 to {MAX_WORD} bytes")));
        }
        for (what, text) in [("type", &kind), ("source", &source)] {
            if let Some(rule) = id_breaks(text) {
                return Err(Malformed(format!("the {what} {rule}")));
            }
        }
        // It is only shown; a topic's name may be longer.
        let source = source[..source.floor_char_boundary(MAX_WORD)].to_owned();
        let id = id.parse().map_err(|error| Malformed(format!("`id`: {error}")))?;
        Ok(Self {
            id,
            source,
            kind,
            saga,
            data,
        })
    }

    /// The message that it is, for the saga that it names. It is taken to come from the cloud that it came through.
    ///
    /// # Errors
    /// [`Malformed`] when the saga's definition has no event of this type.
    pub fn addressed(
        &self,
        saga: &Saga,
        definition: &Definition,
        sender: Cloud,
        now: Timestamp,
    ) -> Result<Event, Malformed> {
        let unknown = || {
            let (kind, reference) = (&self.kind, definition.reference());
            Malformed(format!("type `{kind}` is no event of saga {reference}"))
        };
        let address = definition.address_of(&self.kind).ok_or_else(unknown)?;
        Ok(Event {
            id: self.id.clone(),
            kind: self.kind.clone(),
            time: now,
            saga: self.saga,
            definition: definition.reference().clone(),
            address,
            step_number: definition.step_number(address),
            target: definition.target(address).ok_or_else(unknown)?,
            mailbox: definition.mailbox(address).map(str::to_owned),
            sender,
            hop: 0,
            trace: saga.trace.clone(),
            data: self.data.clone(),
            reports: Reports::default(),
            unverified: true,
        })
    }
}

/// Whether all that an event of ours says of itself is true of `definition`, which is the one that it names.
///
/// # Errors
/// [`Malformed`]: a step that the definition does not have, or a type, target or sender that does not fit.
pub fn check(event: &Event, definition: &Definition) -> Result<(), Malformed> {
    let (reference, address) = (definition.reference(), event.address);
    let (kind, sender) = (&event.kind, event.sender);
    let wrong = |why| Err(Malformed(why));
    if definition.type_of(address) != Some(kind.as_str()) {
        // `complete` and `cancelled` have a number, and are for no step.
        let step = address.step().map_or(String::new(), |step| format!(" {step}"));
        let verb = address.verb();
        return wrong(format!("`{kind}` is not the type of {verb}{step} in {reference}"));
    }
    if definition.step_number(address) != event.step_number {
        return wrong(format!("{reference} has no step {}", event.step_number));
    }
    let fits = definition.mailbox(address) == event.mailbox.as_deref();
    if definition.target(address) != Some(event.target) || !fits {
        return wrong(format!("`{kind}` is not for {}", event.target));
    }
    if !definition.may_send(address, sender) {
        return wrong(format!("{sender} cannot send `{kind}`"));
    }
    // Else an answer to it would be refused on its way, each time that it is said again.
    if event.hop.saturating_add(definition.answers(event.address)) > MAX_HOPS {
        let hop = event.hop;
        return wrong(format!("after {hop} hops no answer to it can arrive"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud_event;

    /// The fuzzer found it: a long topic in other letters went onto the bus, where nobody could read it.
    #[test]
    fn what_is_taken_from_event_grid_can_be_read_behind_the_bus() {
        let outside = |source: &str, kind: &str| {
            let subject = Some("saga/0193e0b1-0000-8000-8000-000000000001/x".to_owned());
            Outside::new("1".into(), source.into(), kind.into(), subject, Fields::new())
        };
        for source in ["ä".repeat(200), "x".repeat(300), format!("x{}", "𝄞".repeat(100))] {
            let event = outside(&source, "PaymentCompensationRequested").unwrap();
            let written = cloud_event::write_outside(&event, Cloud::Aws, Timestamp::from_millis(0));
            assert_eq!(cloud_event::parse(&written), Ok(SagaEvent::Outside(event)));
        }
        for kind in ["", &"x".repeat(257)] {
            assert!(outside("s", kind).unwrap_err().0.contains("the type"));
        }
    }
}
