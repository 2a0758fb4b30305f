//! What the callers of a run want: which definitions there are, and which sagas are started.

use saga_core::definition::{
    Answerer, Call, Definition, DefinitionRef, OnTimeout, StepDefinition, StepWork, Wait,
};
use saga_core::document::Fields;
use saga_core::step::{Class, Recover};
use saga_core::{Cloud, SagaId};
use saga_wire::json;
use saga_wire::services::Services;

use super::chance::Chance;

/// What the callers of a run want.
#[derive(Debug, Clone)]
pub struct Plan {
    /// At most so many sagas.
    pub sagas: usize,
    /// So many things happen before everything works again.
    pub ticks: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { sagas: 4, ticks: 300 }
    }
}

/// The articles, and how many there are of each.
pub(super) const SKUS: [(&str, i64); 2] = [("sku-1", 7), ("sku-2", 100)];

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A start that a caller tries, maybe several times.
pub(super) struct Order {
    pub definition: String,
    pub key: String,
    pub input: Fields,
    pub id: SagaId,
}

/// The services of each cloud.
const SERVICES: [(Cloud, [&str; 2]); 2] =
    [(Cloud::Aws, ["ledger", "mail"]), (Cloud::Azure, ["bank", "post"])];

/// Every service, bound for the cloud that calls it.
pub(super) fn services() -> Services {
    let each = SERVICES.into_iter().flat_map(|(cloud, names)| {
        names.map(|name| {
            format!(r#""{name}":{{"url":"http://127.0.0.1:9/{name}","cloud":"{cloud}","auth":"none"}}"#)
        })
    });
    let text = format!("{{{}}}", each.collect::<Vec<_>>().join(","));
    Services::parse_json(&text).expect("names and addresses are right")
}

/// The names of all services.
pub(super) fn service_names() -> impl Iterator<Item = &'static str> {
    SERVICES.into_iter().flat_map(|(_, names)| names)
}

/// The definitions of this run, whose steps services, people, the clock and participants do, in any mix.
pub(super) fn mixes(chance: &Chance) -> Vec<Definition> {
    let count = 1 + chance.below(2);
    (0..count).map(|number| mix(number, chance)).collect()
}

fn mix(number: usize, chance: &Chance) -> Definition {
    let steps = 2 + chance.below(3);
    let pivot = chance.below(steps + 2).checked_sub(2);
    let mut taken = Vec::new();
    let all = (0..steps).map(|at| {
        let class = match pivot {
            Some(pivot) if at == pivot => Class::Pivot,
            Some(pivot) if at > pivot => Class::Retriable,
            _ => Class::Compensatable,
        };
        let name = format!("s{at}");
        let (cloud, work) = work(at, class, &mut taken, chance);
        let [done, compensate, cancel] = StepDefinition::default_types(&name);
        StepDefinition {
            name,
            cloud,
            work,
            class,
            done,
            compensate,
            cancel,
        }
    });
    let all = all.collect();
    let reference = DefinitionRef {
        name: format!("mix-{number}"),
        version: 1,
    };
    let deadline = [48 * HOUR, 3 * HOUR, 5 * HOUR][chance.below(3)];
    Definition::new(reference, deadline, all).expect("a mix keeps the rules of definitions")
}

/// Who does the work of the step at this place. A participant does one step of a saga at most.
fn work(at: usize, class: Class, taken: &mut Vec<&'static str>, chance: &Chance) -> (Cloud, StepWork) {
    let (cloud, recover) = match chance.below(9) {
        drawn @ (0 | 1) => {
            let cloud = [Cloud::Aws, Cloud::Azure][drawn];
            let participant = participant(at, cloud, class, chance);
            if let Some(participant) = participant.filter(|name| !taken.contains(name)) {
                taken.push(participant);
                let participant = participant.to_owned();
                return (cloud, StepWork::Local { participant });
            }
            (cloud, Recover::Key)
        }
        2 | 3 => (Cloud::Aws, Recover::Key),
        4 => (Cloud::Azure, Recover::Key),
        5 => (Cloud::Aws, Recover::Tombstone),
        6 => (Cloud::Azure, Recover::Tombstone),
        _ => return (Cloud::Aws, StepWork::Wait(wait(class, chance))),
    };
    let names = SERVICES.into_iter().find(|(owner, _)| *owner == cloud);
    let (_, names) = names.expect("each cloud has services");
    let call = Call {
        recover,
        timeout_millis: [10_000, 1_000, 60_000][chance.below(3)],
        hold_after_millis: [15 * MINUTE, 2 * MINUTE][chance.below(2)],
        key_lifetime_millis: [24 * HOUR, 30 * MINUTE, 5 * MINUTE][chance.below(3)],
        ..Call::of(names[chance.below(2)])
    };
    (cloud, StepWork::Call(call))
}

/// What a participant may stand here: nothing after a pivot refuses, and a payment opens a saga.
fn participant(at: usize, cloud: Cloud, class: Class, chance: &Chance) -> Option<&'static str> {
    match (cloud, class, at) {
        (Cloud::Aws, _, 0) => Some("payments"),
        (Cloud::Aws, Class::Compensatable | Class::Pivot, _) => Some("shipping"),
        (Cloud::Aws, Class::Retriable, _) => None,
        (Cloud::Azure, Class::Retriable, _) => Some("receipts"),
        (Cloud::Azure, _, _) => Some(["inventory", "receipts"][chance.below(2)]),
    }
}

fn wait(class: Class, chance: &Chance) -> Wait {
    let answerer = Answerer::ALL[chance.below(3)];
    let within = [10 * MINUTE, 40 * MINUTE][chance.below(2)];
    let timed = chance.below(3) < 2;
    let on_timeout = match class {
        Class::Retriable => [OnTimeout::Accept, OnTimeout::Hold][chance.below(2)],
        Class::Compensatable | Class::Pivot => OnTimeout::ALL[chance.below(3)],
    };
    let is_timer = answerer == Answerer::Timer;
    let when = (chance.below(3) == 2).then(|| "amount > 10000".parse().expect("a condition"));
    Wait {
        answerer,
        within_millis: (timed || is_timer).then_some(within),
        on_timeout: if is_timer { OnTimeout::Accept } else { on_timeout },
        when,
    }
}

/// The sagas that callers try to start.
pub(super) fn orders(
    plan: &Plan,
    reference: &[Definition],
    mixes: &[Definition],
    chance: &Chance,
) -> Vec<Order> {
    let count = 1 + chance.below(plan.sagas);
    (0..count)
        .map(|number| order(number, reference, mixes, chance))
        .collect()
}

fn order(number: usize, reference: &[Definition], mixes: &[Definition], chance: &Chance) -> Order {
    let mixed = match chance.below(6) {
        0 | 1 => None,
        drawn => Some(&mixes[drawn % mixes.len()]),
    };
    let (definition, steps) = match mixed {
        Some(mixed) => (mixed.reference().name.clone(), mixed.steps()),
        None => {
            let reference = &reference[chance.below(reference.len())];
            (reference.reference().name.clone(), reference.steps())
        }
    };
    let has = |name: &str| steps.iter().any(|step| step.participant() == Some(name));
    // Services know fields that our participants do not; where there is none, no other field is taken.
    let open = steps.iter().any(|step| step.participant().is_none());
    let amount = ["129.90", "10000", "10000.01"][chance.below(3)];
    let (sku, _) = SKUS[chance.below(2)];
    let quantity = 1 + chance.below(4);
    let destination = ["DE", "FR", "AQ"][chance.below(3)];
    let paid = has("payments") || has("receipts");
    let members = [
        (true, format!(r#""order_id":"order-{number}""#)),
        (open || paid || has("inventory"), format!(r#""amount":{amount}"#)),
        (open || paid, r#""currency":"EUR""#.to_owned()),
        (
            open || has("inventory"),
            format!(r#""items":[{{"sku":"{sku}","quantity":{quantity}}}]"#),
        ),
        (has("shipping"), format!(r#""destination":"{destination}""#)),
    ];
    let members = members
        .into_iter()
        .filter_map(|(wanted, member)| wanted.then_some(member));
    let body = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    let key = format!("key-{number}");
    Order {
        id: SagaId::derive(&definition, &key.parse().expect("a plain key")),
        definition,
        key,
        input: json::parse_object(&body).expect("a plain object"),
    }
}
