//! The function saga-initiator, invoked as Lambda does it. A function is a program and no library: its own sources are taken as
//! they are. They name each other from the root of their crate, so a test says `use initiator::{answers, fields, runs};`.

#[path = "../../../functions/saga-initiator/src/answers.rs"]
pub mod answers;
#[path = "../../../functions/saga-initiator/src/fields.rs"]
pub mod fields;
#[path = "../../../functions/saga-initiator/src/routes.rs"]
pub mod routes;
#[path = "../../../functions/saga-initiator/src/runs.rs"]
pub mod runs;

use lambda_http::request::LambdaRequest;
use lambda_http::{Request, RequestExt};
use lambda_runtime::Context;
use saga_app::ports::Time;
use saga_tests::openapi::Answer;
use saga_tests::saga_api::SagaApi;
use saga_tests::world::World;
use serde_json::Value;

/// The function, which may run for so many milliseconds.
pub struct Function(pub i64);

/// A function that may run for an hour.
pub const API: Function = Function(3_600_000);

impl SagaApi for Function {
    const DOCUMENT: &'static str = routes::DOCUMENT;

    async fn invoke(&self, world: &World, event: Value) -> Answer {
        let api = routes::Api {
            deployment: &world.deployment,
            store: &world.aws,
            time: &world.clock,
        };
        let mut context = Context::default();
        context.deadline = world.clock.now().plus_millis(self.0).millis().unsigned_abs();
        let event: LambdaRequest = serde_json::from_value(event).unwrap();
        let request = Request::from(event).with_lambda_context(context);
        let response = api.answer(request).await;
        let headers = response.headers().iter();
        Answer {
            status: response.status().as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: String::from_utf8(response.body().to_vec()).unwrap(),
        }
    }
}
