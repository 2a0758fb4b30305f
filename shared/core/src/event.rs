//! An event: one message of the protocol, addressed to one step of one saga, with the data that travels.

use sha2::{Digest, Sha256};

use crate::address::Address;
use crate::definition::{Cloud, Definition, DefinitionRef};
use crate::document::{Document, Fields, gist};
use crate::ids::{EventId, SagaId, Timestamp, TraceParent};
use crate::reports::Reports;
use crate::text::shown;

/// A message of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Deterministic: the same message emitted again has the same id.
    pub id: EventId,
    /// The domain's name for it.
    pub kind: String,
    /// When what it tells of happened; the same when it is emitted again.
    pub time: Timestamp,
    /// The saga.
    pub saga: SagaId,
    /// The saga's definition.
    pub definition: DefinitionRef,
    /// Who it is for.
    pub address: Address,
    /// The step's number as the wire says it (see [`Definition::step_number`]).
    pub step_number: i32,
    /// The cloud it goes to.
    pub target: Cloud,
    /// Which of its mailboxes, where that is not its own steps': a service's name, or [`MAILBOX_OUTSIDE`].
    ///
    /// [`MAILBOX_OUTSIDE`]: crate::address::MAILBOX_OUTSIDE
    pub mailbox: Option<String>,
    /// The cloud it comes from.
    pub sender: Cloud,
    /// How many messages led to it. Bounded: a loop between the clouds, were there one, would end.
    pub hop: u16,
    /// The caller's trace context.
    pub trace: TraceParent,
    /// What travels, beside the saga's id.
    pub data: Fields,
    /// What the steps of the sender's cloud have said of themselves.
    pub reports: Reports,
    /// It came without a checksum: nothing shows that it is as it was sent.
    pub unverified: bool,
}

impl Event {
    /// Whether it may come in from the other cloud: it is the other's, and meant for the origin. Without this
    /// rule, anybody who can publish to the topic could speak for the origin.
    #[must_use]
    pub fn comes_in(&self) -> bool {
        self.sender != Cloud::ORIGIN && self.target == Cloud::ORIGIN && self.mailbox.is_none()
    }

    /// Why, when it asks for something to be undone.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.data.get("reason").and_then(Document::as_text)
    }

    /// All that the event's data carries on the wire, beside the saga's id.
    #[must_use]
    pub fn payload(&self) -> Fields {
        let mut data = self.data.clone();
        if !self.reports.is_empty() {
            data.insert(Reports::MEMBER.into(), self.reports.as_str().into());
        }
        data
    }

    /// A checksum of what the event asks and carries. It is no signature: whoever can write an event can write its
    /// checksum, too, and is kept out by the entrances. It shows that an event was changed on its way.
    #[must_use]
    pub fn checksum(&self) -> String {
        let asks = format!(
            "{} {} {} {} {} {} {} {} ",
            self.saga,
            self.definition,
            self.kind,
            self.address.verb(),
            self.step_number,
            self.target,
            self.sender,
            self.hop
        );
        let digest = Sha256::new()
            .chain_update(asks)
            .chain_update(gist(&self.payload()))
            .finalize();
        digest[..8]
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}

/// More hops than any saga needs (16 steps up, cancelled once, 16 steps down).
pub const MAX_HOPS: u16 = 64;

/// What an emission is made of, beside the definition's own names.
#[derive(Debug, Clone)]
pub struct Emit<'a> {
    /// The saga.
    pub saga: SagaId,
    /// Its definition.
    pub definition: &'a Definition,
    /// Who it is for.
    pub address: Address,
    /// The cloud that emits.
    pub sender: Cloud,
    /// When it was decided; part of the id.
    pub time: Timestamp,
    /// How many messages led to it.
    pub hop: u16,
    /// The caller's trace context.
    pub trace: &'a TraceParent,
    /// What travels.
    pub data: Fields,
    /// What the steps of the cloud that emits have said of themselves.
    pub reports: Reports,
}

impl Emit<'_> {
    /// The event. `None` when the definition has no such step, which a definition's own indices rule out.
    #[must_use]
    pub fn event(self) -> Option<Event> {
        let step_number = self.definition.step_number(self.address);
        Some(Event {
            id: EventId::ours(
                self.time,
                self.saga,
                &format!("{}{step_number}", self.address.verb()),
            ),
            kind: self.definition.type_of(self.address)?.to_owned(),
            time: self.time,
            saga: self.saga,
            definition: self.definition.reference().clone(),
            target: self.definition.target(self.address)?,
            mailbox: self.definition.mailbox(self.address).map(str::to_owned),
            address: self.address,
            step_number,
            sender: self.sender,
            hop: self.hop,
            trace: self.trace.clone(),
            data: self.data,
            reports: self.reports,
            unverified: false,
        })
    }
}

/// The data of a `compensate` or a `cancel`: ids and a reason, nothing else is needed to undo.
#[must_use]
pub fn reason_data(data: &Fields, reason: Option<&str>) -> Fields {
    let mut out = Fields::new();
    if let Some(order) = data.get("order_id") {
        out.insert("order_id".into(), order.clone());
    }
    if let Some(reason) = reason {
        out.insert("reason".into(), Document::Text(shown(reason)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{StepDefinition, StepWork};
    use crate::ids::StepIndex;
    use crate::step::Class;

    fn of_steps(count: u8) -> Definition {
        let step = |number: u8| StepDefinition {
            name: format!("step-{number}"),
            cloud: if number.is_multiple_of(2) {
                Cloud::Aws
            } else {
                Cloud::Azure
            },
            work: StepWork::Local {
                participant: "anybody".to_owned(),
            },
            class: Class::default(),
            done: format!("Done{number}"),
            compensate: format!("Compensate{number}"),
            cancel: format!("Cancel{number}"),
        };
        let reference = DefinitionRef {
            name: "any".to_owned(),
            version: 1,
        };
        Definition::new(reference, 1_000, (0..count).map(step).collect()).unwrap()
    }

    #[test]
    fn an_address_is_a_verb_and_a_number_and_read_back_as_it_was() {
        let definition = of_steps(3);
        let at = StepIndex::new;
        for (address, verb, number, step) in [
            (Address::Advance(at(0)), "advance", 0, Some(at(0))),
            (Address::Advance(at(2)), "advance", 2, Some(at(2))),
            (Address::Compensate(at(1)), "compensate", 1, Some(at(1))),
            (Address::Cancel(at(2)), "cancel", 2, Some(at(2))),
            (Address::Complete, "complete", 3, None),
            (Address::Cancelled, "cancelled", -1, None),
        ] {
            assert_eq!((address.verb(), definition.step_number(address)), (verb, number));
            assert_eq!(Address::parse(verb, number), Some(address));
            assert_eq!(address.step(), step);
        }
        for (verb, number) in [
            ("cancelled", 0),
            ("cancelled", -2),
            ("advance", -1),
            ("advance", 256),
            ("complete", -1),
            ("resolve", 0),
            ("", 0),
        ] {
            assert_eq!(Address::parse(verb, number), None, "{verb} {number}");
        }
    }

    /// Up to `complete`, and from there down to `cancelled`: one message each.
    #[test]
    fn the_longest_chain_of_answers_goes_up_to_the_end_and_all_the_way_down() {
        for count in [2_u8, 3, 16] {
            let definition = of_steps(count);
            let steps = u16::from(count);
            for index in 0..count {
                let (step, number) = (StepIndex::new(index), u16::from(index));
                let (up, down) = (steps - number, steps + 1);
                assert_eq!(definition.answers(Address::Advance(step)), up + down);
                assert_eq!(definition.answers(Address::Cancel(step)), up + down);
                assert_eq!(definition.answers(Address::Compensate(step)), number + 1);
            }
            assert_eq!(definition.answers(Address::Complete), steps + 1);
            assert_eq!(definition.answers(Address::Cancelled), 0);
        }
    }
}
