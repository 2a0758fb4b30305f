//! CloudEvents → events of sagas.

use saga_core::address::Address;
use saga_core::definition::{Cloud, DefinitionRef};
use saga_core::document::{Document, Fields};
use saga_core::event::{Event, MAX_HOPS};
use saga_core::ids::{InvalidId, SagaId, Timestamp, TraceParent};
use saga_core::reports::Reports;
use saga_core::text::id_breaks;

use super::attributes::{Attributes, missing, wrong};
use super::write::source_of;
use crate::saga_event::{Outside, SagaEvent, named_saga};
use crate::{Malformed, json, time};

/// Reads an event: ours when it carries our attributes, somebody else's when it carries none.
///
/// # Errors
/// [`Malformed`] says which attribute is missing or wrong.
pub fn parse(text: &str) -> Result<SagaEvent, Malformed> {
    read(&Attributes::of(text)?)
}

pub(crate) fn read(attributes: &Attributes<'_>) -> Result<SagaEvent, Malformed> {
    let version = attributes.required("specversion")?;
    if version != "1.0" {
        return Err(wrong("specversion", format!("is `{version}`, not `1.0`")));
    }
    let id = attributes.required("id")?;
    let source = attributes.required("source")?;
    let kind = attributes.required("type")?;
    let mut data = match attributes.payload()? {
        Some(text) => json::parse_stored(&text).map_err(|error| wrong("data", error))?,
        None => Fields::new(),
    };
    let own = ["sagaid", "sagadef", "sagaverb", "sagaver", "sagastep"];
    if !own.iter().any(|name| attributes.says(name)) {
        let subject = attributes.text("subject")?;
        return Outside::new(id, source, kind, subject, data).map(SagaEvent::Outside);
    }

    let text = |name| attributes.text(name)?.ok_or_else(missing(name));
    let integer = |name| attributes.integer(name)?.ok_or_else(missing(name));
    let saga = text("sagaid")?;
    let saga: SagaId = saga.parse().map_err(|error: InvalidId| wrong("sagaid", error))?;
    if named_saga(&mut data)?.is_some_and(|named| named != saga) {
        let why = "`data.saga_id` and attribute `sagaid` name two sagas";
        return Err(Malformed(why.to_owned()));
    }
    let verb = text("sagaverb")?;
    let step_number =
        i32::try_from(integer("sagastep")?).map_err(|_| wrong("sagastep", "is out of range"))?;
    let address = Address::parse(&verb, step_number).ok_or_else(|| {
        let why = format!("`{verb}` of step {step_number} is no message");
        wrong("sagaverb", why)
    })?;
    let version = u32::try_from(integer("sagaver")?).map_err(|_| wrong("sagaver", "is out of range"))?;
    let hop = u16::try_from(attributes.integer("sagahop")?.unwrap_or(0)).unwrap_or(u16::MAX);
    if hop > MAX_HOPS {
        let why = format!("{hop} hops are more than any saga needs ({MAX_HOPS})");
        return Err(wrong("sagahop", why));
    }
    let (target, mailbox) = attributes.target()?;
    let sum = attributes.text("sagasum")?;
    // The trace is for people who search; an odd one must not stop a saga.
    let trace = attributes.text("traceparent").ok().flatten();
    let trace = trace.and_then(|text| text.parse().ok());
    let event = Event {
        id: id.parse().map_err(|error: InvalidId| wrong("id", error))?,
        kind,
        time: match attributes.text("time")? {
            Some(text) => time::parse(&text).map_err(|error| wrong("time", error))?,
            None => Timestamp::from_millis(0),
        },
        saga,
        definition: DefinitionRef {
            name: definition_name(text("sagadef")?)?,
            version,
        },
        address,
        step_number,
        target,
        mailbox,
        sender: attributes.cloud("sagaorigin")?,
        hop,
        trace: trace.unwrap_or_else(|| TraceParent::for_saga(saga)),
        reports: reports(&mut data),
        data,
        unverified: sum.is_none(),
    };
    let others = [Cloud::Aws, Cloud::Azure].into_iter();
    if others
        .filter(|cloud| *cloud != event.sender)
        .any(|other| source_of(other) == source)
    {
        let why = format!("{} does not speak as `{source}`", event.sender);
        return Err(wrong("source", why));
    }
    // Other people's tools need not write one.
    if sum.is_some_and(|sum| !sum.eq_ignore_ascii_case(&event.checksum())) {
        return Err(wrong("sagasum", "the event was changed on its way"));
    }
    Ok(SagaEvent::Ours(event))
}

/// What steps have said of themselves, out of an event's data. What is no text is data like any other.
fn reports(data: &mut Fields) -> Reports {
    let text = data.get(Reports::MEMBER).and_then(Document::as_text);
    match text.map(Reports::new) {
        Some(reports) if !reports.is_empty() => {
            data.remove(Reports::MEMBER);
            reports
        }
        _ => Reports::default(),
    }
}

const MAX_DEFINITION_NAME: usize = 200;

/// It becomes a part of keys in both clouds, before anybody knows whether there is such a definition.
fn definition_name(name: String) -> Result<String, Malformed> {
    if name.len() > MAX_DEFINITION_NAME {
        let why = format!("must have at most {MAX_DEFINITION_NAME} bytes");
        return Err(wrong("sagadef", why));
    }
    id_breaks(&name).map_or(Ok(name), |why| Err(wrong("sagadef", why)))
}
