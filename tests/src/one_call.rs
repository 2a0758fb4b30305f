//! A saga whose first step calls a service, on either cloud, and the request that this step has sent: what a test brings to the
//! caller, lets wait, and looks at.

use std::time::Duration;

use saga_app::Handled;
use saga_app::pause_service::change_service;
use saga_app::ports::{Attempt, PortError};
use saga_core::SagaId;
use saga_core::mark::Asked;
use saga_wire::contract::Answer;
use saga_wire::definitions::parse;
use serde_json::Value;

use crate::calls::Outside;
use crate::contract::given;
use crate::world::World;

/// What a service says that accepts.
pub const ACCEPTED: &str = r#"{"decision":"accepted","output":{"ref":"r-1"}}"#;
/// What one says that refuses.
pub const REFUSED: &str = r#"{"decision":"refused","reason":"no funds"}"#;
/// What one says that has undone it.
pub const UNDONE: &str = r#"{"decision":"undone"}"#;

/// One step that calls on `cloud`, and one after it that nobody answers here.
pub fn definition(cloud: &str, step: &str) -> String {
    format!(
        "name = \"calls\"\nversion = 1\ndeadline = \"2d\"\n\
         [[step]]\nname = \"work\"\ncloud = \"{cloud}\"\ncall = \"bank\"\n{step}\n\
         [[step]]\nname = \"after\"\ncloud = \"aws\"\ncall = \"mail\"\n"
    )
}

/// A saga of that definition, and the request that its first step has sent.
pub struct Calls {
    /// Both clouds.
    pub world: World,
    /// The services and the queue of requests.
    pub outside: Outside,
    /// The cloud that calls.
    pub cloud: &'static str,
    /// The saga.
    pub saga: SagaId,
    /// Whose request it is: the name of the service.
    pub mailbox: String,
    /// The request as it lies on its queue.
    pub request: Value,
}

/// Such a saga in this world. `step` says more of its first step.
pub async fn calls_in(mut world: World, cloud: &'static str, step: &str) -> Calls {
    world.release([parse(&definition(cloud, step)).expect("the definition is right")]);
    let saga = world
        .try_start_of("calls", "key", r#"{"order_id":"o-1"}"#)
        .await
        .expect("it starts");
    world.settle().await;
    let (mailbox, request) = world.mailboxes.pop().expect("the step asks its service");
    Calls {
        outside: Outside::new(&[("bank", cloud), ("mail", "aws")]),
        world,
        cloud,
        saga,
        mailbox,
        request,
    }
}

/// The same in a world without faults.
pub async fn calls(cloud: &'static str, step: &str) -> Calls {
    calls_in(World::default(), cloud, step).await
}

impl Calls {
    /// The request comes to the caller.
    pub async fn bring(&self) -> Result<Handled, PortError> {
        self.outside
            .bring(&self.world, &self.mailbox, &self.request)
            .await
    }

    /// The step as the API shows it, once everything that is on the way has arrived.
    pub async fn step(&mut self) -> Value {
        self.world.settle().await;
        let saga = saga_app::list_sagas::find_saga(
            &self.world.deployment,
            &self.world.aws,
            &self.world.clock,
            self.saga,
        );
        let (saga, definition) = saga.await.expect("the store answers").expect("there is one");
        let shown: Value =
            serde_json::from_str(&saga_wire::http::saga(&saga, definition.as_deref())).expect("it is JSON");
        shown["steps"][0].clone()
    }

    /// What was told on either cloud.
    pub fn alerts(&self) -> Vec<String> {
        let all = self
            .world
            .aws
            .alerts()
            .into_iter()
            .chain(self.world.azure.alerts());
        all.map(|alert| alert.text).collect()
    }

    /// An operator pauses the service, or resumes it. What tells Azure of it has arrived.
    pub async fn change(&mut self, service: &str, paused: bool) {
        self.world.deployment.services = Some(self.outside.services().clone());
        let World {
            deployment,
            aws,
            clock,
            ..
        } = &self.world;
        let asked = Asked {
            why: "maintenance",
            ..given::ASKED
        };
        let changed = change_service(deployment, aws, clock, service, paused, asked).await;
        assert!(changed.is_ok());
        self.world.settle().await;
    }

    /// The request waits on its queue until it is shown, and comes to the caller.
    pub async fn bring_when_shown(&mut self) -> Duration {
        let (message, away) = self.outside.take_put().remove(0);
        let message: Value = serde_json::from_str(&message).expect("it is JSON");
        assert_eq!(message, self.request);
        self.wait(i64::try_from(away.as_secs()).expect("it is short") + 1);
        self.bring().await.expect("it is taken");
        away
    }

    /// So much time passes.
    pub fn wait(&self, seconds: i64) {
        self.world.clock.advance(seconds * 1_000);
    }
}

/// The clouds that call services.
pub const BOTH: [&str; 2] = ["aws", "azure"];

/// The service is busy, and wants to be asked after so long.
pub fn busy(minutes: u32) -> Attempt {
    Attempt::Answered(Answer {
        status: 429,
        retry_after: Some((minutes * 60).to_string()),
        body: Vec::new(),
    })
}
