//! The routes of the API. Each reads its request strictly, calls one use case, and answers.

use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use saga_app::Deployment;
use saga_app::list_sagas::{MAX_PAGE, Query, find_saga, list_sagas, parse_cursor};
use saga_app::override_saga::{Command, command};
use saga_app::ports::{SagaStore, Time};
use saga_app::start_saga::{self, start_saga};
use saga_core::ids::IdempotencyKey;
use saga_core::origin::Override;
use saga_core::saga::Flag;
use saga_core::{Outcome, SagaId, Status};
use saga_runtime::http::{self, Answer, body, caller, header_text, invalid, not_found, only, text_field};
use saga_wire::http::Problem;
use saga_wire::time;
use uuid::Uuid;

use crate::answers;

/// What the routes need.
pub struct Api<'a, S, T> {
    pub deployment: &'a Deployment,
    pub store: &'a S,
    pub time: &'a T,
}

impl<S: SagaStore, T: Time> Api<'_, S, T> {
    /// Answers any request.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let answer = self.route(&request).await;
        answer.unwrap_or_else(|problem| http::problem(&problem))
    }

    async fn route(&self, request: &Request) -> Answer {
        let path = request.raw_http_path().trim_end_matches('/').to_owned();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let (get, post) = (Method::GET, Method::POST);
        match (request.method(), parts.as_slice()) {
            (method, ["health"]) if method == get => {
                Ok(http::json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned()))
            }
            (method, ["sagas"]) if method == get => self.list(request).await,
            (method, ["sagas", id]) if method == get => self.find(id).await,
            (method, ["sagas", definition]) if method == post => self.start(request, definition).await,
            (method, ["sagas", id, "cancel"]) if method == post => self.cancel(request, id).await,
            (method, ["sagas", id, "resolve"]) if method == post => self.resolve(request, id).await,
            (_, ["health"] | ["sagas"]) => Ok(http::not_allowed("GET")),
            (_, ["sagas", _]) => Ok(http::not_allowed("GET, POST")),
            (_, ["sagas", _, "cancel" | "resolve"]) => Ok(http::not_allowed("POST")),
            _ => Err(not_found(format!(
                "there is nothing at {}",
                request.raw_http_path()
            ))),
        }
    }

    async fn start(&self, request: &Request, definition: &str) -> Answer {
        let input = body(request)?;
        let key = match header_text(request.headers(), "idempotency-key") {
            Some(text) => text.parse().map_err(|error| invalid(format!("{error}")))?,
            // Without a key every request starts a saga of its own.
            None => generated_key()?,
        };
        // A trace context that is not valid is ignored, as the W3C recommendation asks.
        let trace = header_text(request.headers(), "traceparent").and_then(|text| text.parse().ok());
        let wanted = start_saga::Request {
            definition,
            key: &key,
            input,
            trace,
        };
        let started = start_saga(self.deployment, self.store, self.time, wanted).await;
        let started = started.map_err(answers::not_started)?;
        let body = saga_wire::http::saga(&started.saga, started.definition);
        Ok(if started.new {
            http::created(&format!("/sagas/{}", started.saga.id), body)
        } else {
            http::json(StatusCode::OK, body)
        })
    }

    async fn find(&self, id: &str) -> Answer {
        let found = match id.parse() {
            Ok(id) => find_saga(self.deployment, self.store, id)
                .await
                .map_err(|error| http::port(&error))?,
            Err(_) => None,
        };
        let body = found.ok_or_else(|| unknown_saga(id))?;
        Ok(http::json(StatusCode::OK, body))
    }

    async fn list(&self, request: &Request) -> Answer {
        let parameters = request.query_string_parameters();
        let given = |name: &str| parameters.first(name).filter(|value| !value.is_empty());
        let wrong = |name: &str, what: &str| invalid(format!("`{name}` must be {what}"));
        let status = given("status").map(str::parse::<Status>).transpose();
        let flag = given("flag").map(str::parse::<Flag>).transpose();
        let all = Status::ALL.map(Status::as_str).join(", ");
        let flags = Flag::ALL.map(Flag::as_str).join(", ");
        let since = given("since").map(time::parse).transpose();
        let limit = given("limit").map(str::parse::<usize>).transpose();
        let limit = limit
            .ok()
            .map(|limit| limit.unwrap_or(20))
            .filter(|limit| (1..=MAX_PAGE).contains(limit));
        let cursor = given("cursor")
            .map(|text| parse_cursor(text).ok_or(()))
            .transpose();
        let query = Query {
            status: status.map_err(|_| wrong("status", &format!("one of {all}")))?,
            flag: flag.map_err(|_| wrong("flag", &format!("one of {flags}")))?,
            since: since.map_err(|_| wrong("since", "an RFC 3339 time, such as 2026-11-21T00:00:00Z"))?,
            limit: limit.ok_or_else(|| wrong("limit", &format!("a number from 1 to {MAX_PAGE}")))?,
            cursor: cursor.map_err(|()| wrong("cursor", "the `next` of the page before"))?,
        };
        let page = list_sagas(self.deployment, self.store, query)
            .await
            .map_err(|error| http::port(&error))?;
        Ok(http::json(
            StatusCode::OK,
            serde_json::to_string(&page).unwrap_or_default(),
        ))
    }

    async fn cancel(&self, request: &Request, id: &str) -> Answer {
        let fields = if request.body().is_empty() {
            Default::default()
        } else {
            body(request)?
        };
        only(&fields, &["reason"])?;
        let asked = "asked by the caller".to_owned();
        let reason = if fields.contains_key("reason") {
            text_field(&fields, "reason")?
        } else {
            asked
        };
        let by = caller(request).unwrap_or_else(|| "caller".to_owned());
        self.command(id, Command::Cancel, &by, &reason).await
    }

    async fn resolve(&self, request: &Request, id: &str) -> Answer {
        let fields = body(request)?;
        only(&fields, &["to", "reason", "by"])?;
        let to = match text_field(&fields, "to")?.as_str() {
            "completed" => Override::Completed,
            "cancelled" => Override::Cancelled,
            _ => return Err(invalid("`to` must be `completed` or `cancelled`")),
        };
        let (reason, by) = (text_field(&fields, "reason")?, text_field(&fields, "by")?);
        let by = caller(request).map_or(by.clone(), |caller| format!("{by} ({caller})"));
        self.command(id, Command::Resolve(to), &by, &reason).await
    }

    async fn command(&self, id: &str, what: Command, by: &str, reason: &str) -> Answer {
        let saga: SagaId = id.parse().map_err(|_| unknown_saga(id))?;
        let done = command(self.deployment, self.store, self.time, saga, what, by, reason).await;
        let done = done
            .map_err(|error| http::port(&error))?
            .ok_or_else(|| unknown_saga(id))?;
        if done.outcome == Outcome::Late {
            let status = done.saga.status(done.definition);
            let detail = format!("the saga has ended: {status}; nothing was changed");
            return Err(Problem::new(409, "too-late", "Conflict", detail));
        }
        let status = if what == Command::Cancel {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        };
        Ok(http::json(
            status,
            saga_wire::http::saga(&done.saga, done.definition),
        ))
    }
}

fn unknown_saga(id: &str) -> Problem {
    let id: String = id.chars().take(64).collect();
    Problem::new(404, "unknown-saga", "Not Found", format!("there is no saga {id}"))
}

/// From the operating system's randomness: two environments of the function must not draw the same.
fn generated_key() -> Result<IdempotencyKey, Problem> {
    let key = format!("generated-{}", Uuid::new_v4());
    key.parse().map_err(|error| invalid(format!("{error}")))
}
