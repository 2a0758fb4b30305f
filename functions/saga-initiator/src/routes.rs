//! The routes of the API. Each reads its request strictly, calls one use case, and answers.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use saga_app::Deployment;
use saga_app::answer_step::{Answer as StepAnswer, answer_step};
use saga_app::list_sagas::{MAX_PAGE, Query, find_saga, flag_named, list_sagas, status_named};
use saga_app::override_saga::{Command, TooLate, command};
use saga_app::pause_service::{change_service, list_services};
use saga_app::ports::{SagaStore, ServiceChanges, Time};
use saga_app::runs::request::moment;
use saga_app::start_saga::{self, start_saga};
use saga_core::SagaId;
use saga_core::document::Document;
use saga_core::ids::IdempotencyKey;
use saga_core::mark::Asked;
use saga_core::step::Reply;
use saga_runtime::http::{
    self, Answer, MAX_BODY, body, caller, header_text, invalid, name_field, only, text_field,
};
use saga_runtime::routing::{Routes, find};
use saga_wire::problem::{Code, Problem};
use saga_wire::service_view;
use uuid::Uuid;

use crate::runs::{self, Kind};
use crate::{answers, fields};

/// The API in OpenAPI 3.1; a test compares it with what is below.
pub const DOCUMENT: &str = include_str!("../openapi.json");

/// What a path leads to.
#[derive(Debug, Clone, Copy)]
pub enum Route {
    Health,
    Document,
    Problem,
    List,
    Find,
    Start,
    Cancel,
    Retransmit,
    Resolve,
    AnswerStep,
    Run(Kind),
    Services,
    Pause,
    Resume,
}

/// Every route. `{saga}` is a saga's id, and where a saga is started its definition's name; `{step}` and `{service}` are names.
pub const ROUTES: &Routes<Route> = &[
    ("GET", "/health", Route::Health),
    ("GET", "/openapi.json", Route::Document),
    ("GET", "/problems/{code}", Route::Problem),
    ("GET", "/sagas", Route::List),
    ("GET", "/sagas/{saga}", Route::Find),
    ("POST", "/sagas/{saga}", Route::Start),
    ("POST", "/sagas/{saga}/cancel", Route::Cancel),
    ("POST", "/sagas/{saga}/retransmit", Route::Retransmit),
    ("POST", "/sagas/{saga}/resolve", Route::Resolve),
    ("POST", "/sagas/{saga}/steps/{step}/answer", Route::AnswerStep),
    ("POST", "/runs/cancel", Route::Run(Kind::Cancel)),
    ("POST", "/runs/resolve", Route::Run(Kind::Resolve)),
    ("POST", "/runs/answer", Route::Run(Kind::Answer)),
    ("POST", "/runs/retransmit", Route::Run(Kind::Retransmit)),
    ("GET", "/services", Route::Services),
    ("POST", "/services/{service}/pause", Route::Pause),
    ("POST", "/services/{service}/resume", Route::Resume),
];

/// Sagas of a page, unless the request says otherwise.
pub const DEFAULT_PAGE: usize = 20;
/// What a list may be asked for.
pub const PARAMETERS: [&str; 5] = ["status", "flag", "since", "limit", "cursor"];

/// What the routes need.
pub struct Api<'a, S, T> {
    pub deployment: &'a Deployment,
    pub store: &'a S,
    pub time: &'a T,
}

impl<S: SagaStore + ServiceChanges, T: Time> Api<'_, S, T> {
    /// Answers any request.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let answer = self.route(&request).await;
        http::response(&request, answer)
    }

    async fn route(&self, request: &Request) -> Answer {
        let (route, [named, step]) = find(ROUTES, request)?;
        let reads_query = matches!(
            route,
            Route::Health | Route::Document | Route::Problem | Route::List
        );
        if !reads_query {
            http::no_query(request)?;
        }
        match route {
            Route::Health => Ok(http::health()),
            Route::Document => Ok(http::json(StatusCode::OK, DOCUMENT.to_owned())),
            Route::Problem => http::page(named),
            Route::List => self.list(request).await,
            Route::Find => self.find(named).await,
            Route::Start => self.start(request, named).await,
            Route::Cancel => self.commanded(request, named, Command::Cancel).await,
            Route::Retransmit => self.commanded(request, named, Command::Retransmit).await,
            Route::Resolve => self.resolve(request, named).await,
            Route::AnswerStep => self.answer_step(request, named, step).await,
            Route::Run(kind) => {
                let on = (self.deployment, self.store, self.time);
                // Boxed: nested in one another, the futures are deeper than the compiler likes.
                Box::pin(runs::answer(on, request, kind)).await
            }
            Route::Services => self.services().await,
            Route::Pause => self.change_service(request, named, true).await,
            Route::Resume => self.change_service(request, named, false).await,
        }
    }

    async fn start(&self, request: &Request, definition: &str) -> Answer {
        let input = body(request, MAX_BODY)?;
        let key = match header_text(request.headers(), "idempotency-key")? {
            Some(text) => text.trim().parse().map_err(|error| invalid(format!("{error}")))?,
            // Without a key every request starts a saga of its own.
            None => generated_key()?,
        };
        let trace = http::trace(request.headers());
        let wanted = start_saga::Request {
            definition,
            key: &key,
            input,
            trace,
        };
        let started = start_saga(self.deployment, self.store, self.time, wanted).await;
        let started = started.map_err(answers::not_started)?;
        let body = saga_wire::http::saga(&started.saga, started.definition.as_deref());
        Ok(if started.new {
            http::created(request, &format!("sagas/{}", started.saga.id), body)
        } else {
            http::json(StatusCode::OK, body)
        })
    }

    async fn find(&self, id: &str) -> Answer {
        let saga: SagaId = id.parse().map_err(|_| unknown_saga(id))?;
        let found = find_saga(self.deployment, self.store, self.time, saga).await;
        let found = found.map_err(|error| http::port(&error))?;
        let (saga, definition) = found.ok_or_else(|| unknown_saga(id))?;
        let body = saga_wire::http::saga(&saga, definition.as_deref());
        Ok(http::json(StatusCode::OK, body))
    }

    async fn list(&self, request: &Request) -> Answer {
        let parameters = http::query(request, &PARAMETERS)?;
        let given = |name: &str| parameters.get(name).copied();
        let wrong = |name: &str, what: &str| invalid(format!("`{name}` must be {what}"));
        let limit = given("limit").map_or(Ok(DEFAULT_PAGE), str::parse::<usize>);
        let limit = limit.ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
        let cursor = given("cursor").map(|text| saga_wire::http::parse_cursor(text).ok_or(()));
        let cursor = cursor.transpose();
        let query = Query {
            status: given("status").map(status_named).transpose().map_err(invalid)?,
            flag: given("flag").map(flag_named).transpose().map_err(invalid)?,
            since: given("since")
                .map(|text| moment("since", text))
                .transpose()
                .map_err(invalid)?,
            limit: limit.ok_or_else(|| wrong("limit", &format!("a number from 1 to {MAX_PAGE}")))?,
            cursor: cursor.map_err(|()| wrong("cursor", "the `next` of the page before"))?,
        };
        let page = list_sagas(self.deployment, self.store, self.time, query).await;
        let page = page.map_err(|error| http::port(&error))?;
        let body = saga_wire::http::page(&page.sagas, page.next);
        Ok(http::json(StatusCode::OK, body))
    }

    /// A command that says no more than why.
    async fn commanded(&self, request: &Request, id: &str, what: Command) -> Answer {
        let fields = if request.body().is_empty() {
            Default::default()
        } else {
            body(request, MAX_BODY)?
        };
        only(&fields, &["reason"])?;
        let why = match fields.get("reason") {
            // `null` says no more than absence.
            None | Some(Document::Null) => "asked by the caller".to_owned(),
            Some(_) => text_field(&fields, "reason")?,
        };
        let caller = caller(request);
        let asked = Asked {
            by: "caller",
            caller: caller.as_ref(),
            why: &why,
        };
        self.command(id, what, asked).await
    }

    async fn resolve(&self, request: &Request, id: &str) -> Answer {
        let fields = body(request, MAX_BODY)?;
        only(&fields, &["to", "reason", "by", "force"])?;
        let to = fields::end(&fields)?;
        let (why, by) = (text_field(&fields, "reason")?, name_field(&fields, "by")?);
        let force = fields::force(&fields)?;
        let caller = caller(request);
        let asked = Asked {
            by: &by,
            caller: caller.as_ref(),
            why: &why,
        };
        self.command(id, Command::Resolve { to, force }, asked).await
    }

    async fn answer_step(&self, request: &Request, id: &str, step: &str) -> Answer {
        let fields = body(request, MAX_BODY)?;
        only(&fields, &["decision", "output", "reason", "by"])?;
        let reply = fields::decision(&fields)?;
        let output = fields::output(&fields, reply)?;
        let reason = match fields.get("reason") {
            None | Some(Document::Null) if reply == Reply::Accepted => None,
            _ => Some(text_field(&fields, "reason")?),
        };
        let (by, caller) = (name_field(&fields, "by")?, caller(request));
        let saga: SagaId = id.parse().map_err(|_| unknown_saga(id))?;
        let said = StepAnswer {
            step,
            reply,
            output,
            reason: reason.as_deref(),
            by: &by,
            caller: caller.as_ref(),
        };
        let done = answer_step(self.deployment, self.store, self.time, saga, said).await;
        let done = done.map_err(answers::not_answered)?;
        let done = done.ok_or_else(|| unknown_saga(id))?;
        let status = if done.forwarded {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        };
        let body = saga_wire::http::saga(&done.saga, done.definition.as_deref());
        Ok(http::json(status, body))
    }

    async fn services(&self) -> Answer {
        let all = list_services(self.deployment, self.store).await;
        let all = all.map_err(|error| http::port(&error))?;
        Ok(http::json(StatusCode::OK, service_view::services(&all)))
    }

    async fn change_service(&self, request: &Request, name: &str, paused: bool) -> Answer {
        let fields = body(request, MAX_BODY)?;
        only(&fields, &["reason", "by"])?;
        let (why, by) = (text_field(&fields, "reason")?, name_field(&fields, "by")?);
        let caller = caller(request);
        let asked = Asked {
            by: &by,
            caller: caller.as_ref(),
            why: &why,
        };
        let changed = change_service(self.deployment, self.store, self.time, name, paused, asked).await;
        let changed = changed.map_err(answers::not_changed)?;
        let status = if changed.forwarded {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        };
        let body = service_view::service(changed.service, changed.state.as_ref());
        Ok(http::json(status, body))
    }

    async fn command(&self, id: &str, what: Command, asked: Asked<'_>) -> Answer {
        let saga: SagaId = id.parse().map_err(|_| unknown_saga(id))?;
        let done = command(self.deployment, self.store, self.time, saga, what, asked).await;
        let done = done.map_err(answers::not_commanded)?;
        let done = done.ok_or_else(|| unknown_saga(id))?;
        let definition = done.definition.as_deref();
        if let Some(late) = done.too_late() {
            let code = match late {
                TooLate::PastPivot(_) => Code::PastPivot,
                TooLate::Ended(_) => Code::TooLate,
            };
            return Err(Problem::new(code, late.to_string()));
        }
        // What was sent has its effect later.
        let accepted = matches!(what, Command::Cancel | Command::Retransmit);
        let status = if accepted {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        };
        Ok(http::json(status, saga_wire::http::saga(&done.saga, definition)))
    }
}

fn unknown_saga(id: &str) -> Problem {
    let id: String = id.chars().take(64).collect();
    Problem::new(Code::UnknownSaga, format!("there is no saga {id}"))
}

/// From the operating system's randomness: two environments of the function must not draw the same.
fn generated_key() -> Result<IdempotencyKey, Problem> {
    let key = format!("generated-{}", Uuid::new_v4());
    key.parse().map_err(|error| invalid(format!("{error}")))
}
