//! A client of the saga API for tests of steps that are answered from outside: it starts sagas, asks for them, and answers
//! their steps. Every answer of the API is held to the OpenAPI document.

use saga_app::ports::{PortError, StepCommit, StepStore, Time};
use saga_app::step_transact::partition;
use saga_app::transact::{Sagas, transact};
use saga_core::call::Undecided;
use saga_core::document::Fields;
use saga_core::origin::Command;
use saga_core::participant::Placement;
use saga_core::participate::{Message, Step};
use saga_core::step::StepVerb;
use saga_core::{SagaId, StepIndex, TraceParent};
use saga_wire::definitions::parse;
use serde_json::{Value, json};

use crate::function_url::Call;
use crate::openapi::{Answer, Document};
use crate::world::World;

/// Who signs the requests.
pub const ARN: &str = "arn:aws:iam::123456789012:user/ops";

/// The first step of the definition `transfer`, a call on AWS.
pub const DEBIT: StepIndex = StepIndex::new(0);
/// Its pivot, a call on Azure.
pub const PAYOUT: StepIndex = StepIndex::new(2);
/// Its last step, a retriable call on AWS.
pub const NOTIFICATION: StepIndex = StepIndex::new(3);

const JSON: (&str, &str) = ("content-type", "application/json");

/// The function behind the API. A function is no library, so each test takes in its sources and says how it is invoked.
pub trait SagaApi {
    /// The function's OpenAPI document.
    const DOCUMENT: &'static str;

    /// Invokes the function with the event of a function URL.
    fn invoke(&self, world: &World, event: Value) -> impl Future<Output = Answer>;

    /// Sends a request and holds the answer to the document.
    fn ask(&self, world: &World, method: &str, path: &str, body: &str) -> impl Future<Output = Answer> {
        async move {
            let call = Call {
                method,
                path,
                headers: &[JSON],
                body,
                signed_by: Some(ARN),
            };
            let answered = self.invoke(world, call.event()).await;
            let place = path.split('?').next().unwrap();
            Document::parse(Self::DOCUMENT).check(method, place, &answered);
            answered
        }
    }

    /// Starts a saga; its id and its body.
    fn start(&self, world: &World, definition: &str, input: &Value) -> impl Future<Output = (SagaId, Value)> {
        async move {
            let path = format!("/sagas/{definition}");
            let started = self.ask(world, "POST", &path, &input.to_string()).await;
            assert_eq!(started.status, 201, "{started:?}");
            let saga = started.json();
            (saga["saga_id"].as_str().unwrap().parse().unwrap(), saga)
        }
    }

    /// Starts a transfer of this amount; above 10000 it is screened.
    fn transfer(&self, world: &World, amount: &str) -> impl Future<Output = SagaId> {
        async move { self.start(world, "transfer", &json!({"amount": amount})).await.0 }
    }

    /// The saga, as the API shows it.
    fn saga(&self, world: &World, id: SagaId) -> impl Future<Output = Value> {
        async move { self.ask(world, "GET", &format!("/sagas/{id}"), "").await.json() }
    }

    /// The step of this name, as the API shows it.
    fn step(&self, world: &World, id: SagaId, name: &str) -> impl Future<Output = Value> {
        async move {
            let saga = self.saga(world, id).await;
            let mut steps = saga["steps"].as_array().unwrap().iter();
            steps.find(|step| step["name"] == name).unwrap().clone()
        }
    }

    /// Answers a step.
    fn answer(&self, world: &World, id: SagaId, step: &str, body: &Value) -> impl Future<Output = Answer> {
        async move {
            let path = format!("/sagas/{id}/steps/{step}/answer");
            self.ask(world, "POST", &path, &body.to_string()).await
        }
    }

    /// Overrides a saga.
    fn resolve(&self, world: &World, id: SagaId, body: &Value) -> impl Future<Output = Answer> {
        async move {
            let path = format!("/sagas/{id}/resolve");
            self.ask(world, "POST", &path, &body.to_string()).await
        }
    }
}

/// A world in which these definitions are deployed.
#[must_use]
pub fn deployed(definitions: &[&str]) -> World {
    let mut world = World::default();
    world.release(definitions.iter().map(|text| parse(text).unwrap()));
    world
}

/// An operator's word that the effect exists.
#[must_use]
pub fn accepted() -> Value {
    json!({"decision": "accepted", "output": {"ref": "r-1"}, "reason": "seen at the service", "by": "ops"})
}

/// An operator's word that it does not, and never will.
#[must_use]
pub fn refused() -> Value {
    json!({"decision": "refused", "reason": "not ours", "by": "ops"})
}

/// An operator's word that it does not exist any more.
#[must_use]
pub fn undone() -> Value {
    json!({"decision": "undone", "reason": "taken back by hand", "by": "ops"})
}

fn failed() -> Undecided {
    Undecided {
        verb: None,
        why: "it answered 500".to_owned(),
        alerted: false,
        hold: false,
        next: None,
        paused: false,
    }
}

/// The service of a step on AWS was asked, and did not decide.
pub async fn undecided(world: &World, id: SagaId, step: StepIndex) {
    let sagas = Sagas::new(&world.deployment, &world.aws, &world.clock);
    let attempt = |_: &_, _: Option<&_>, _| {
        let attempt = failed();
        Ok::<_, PortError>(Some(Command::Undecided { step, attempt }))
    };
    transact(&sagas, id, attempt).await.unwrap().unwrap();
}

/// The bank, which is called from Azure for the payout, was asked, and did not decide.
pub async fn undecided_payout(world: &World, id: SagaId) {
    let definition = world.deployment.catalogue.latest("transfer").unwrap();
    let step = Step::find(id, definition, PAYOUT, &world.deployment.participants).unwrap();
    let place = partition("", Placement::BySaga, id, world.deployment.shards);
    let known = world.azure.load(&place, id, PAYOUT).await.unwrap().unwrap();
    let (trace, data) = (TraceParent::for_saga(id), Fields::new());
    let now = world.clock.now();
    let message = Message::own(StepVerb::Advance, now, &trace, &data);
    let decided = step.undecided(&known.value, &message, &failed(), now).unwrap();
    let commit = StepCommit {
        partition: &place,
        saga: id,
        index: PAYOUT,
        record: decided.record.as_ref(),
        version: Some(&known.version),
        writes: &[],
        read: &Default::default(),
        row: None,
    };
    world.azure.commit(commit).await.unwrap();
}

/// Holds an answer to be this problem: its status, its code, and words of its detail.
#[track_caller]
pub fn refuses(answer: &Answer, status: u16, code: &str, says: &str) {
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (answer.status, text("code").as_str()),
        (status, code),
        "{answer:?}"
    );
    let detail = text("detail");
    assert!(detail.contains(says), "`{says}` is not in: {detail}");
}
