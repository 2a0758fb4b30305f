//! The routes under `/dead-letters`. Each reads its request strictly, calls one use case, and answers.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use saga_app::dead_letters::MAX_PAGE;
use saga_app::dead_letters::command::{Act, command, filter, mistyped};
use saga_app::dead_letters::{Found, Ports, Prospect, find, list, run};
use saga_app::ports::{SagaStore, Time};
use saga_app::runs::request::name;
use saga_core::Timestamp;
use saga_runtime::http::{self, Answer, body, caller, invalid};
use saga_runtime::routing::{self, Routes as Table};
use saga_wire::dead_letter::{DeadLetterId, whole};
use saga_wire::problem::{Code, Problem};

use crate::answers;

/// The API in OpenAPI 3.1; a test compares it with what is below.
pub const DOCUMENT: &str = include_str!("../openapi.json");

/// Room for [`MAX_RUN`](saga_app::runs::MAX_RUN) ids of the longest.
const MAX_BODY: usize = 1024 * 1024;

/// What a path leads to.
#[derive(Debug, Clone, Copy)]
pub enum Route {
    Health,
    Document,
    Problem,
    List,
    Replay,
    Discard,
    Show,
}

/// Every route.
pub const ROUTES: &Table<Route> = &[
    ("GET", "/health", Route::Health),
    ("GET", "/openapi.json", Route::Document),
    ("GET", "/problems/{code}", Route::Problem),
    ("GET", "/dead-letters", Route::List),
    ("POST", "/dead-letters/replay", Route::Replay),
    ("POST", "/dead-letters/discard", Route::Discard),
    ("GET", "/dead-letters/{letter}", Route::Show),
];

/// Dead letters of a page, unless the request says otherwise.
pub const DEFAULT_PAGE: usize = 50;
/// What a list may be asked for.
pub const PARAMETERS: [&str; 7] = ["source", "saga", "type", "reason", "since", "limit", "cursor"];

/// What the routes need.
pub struct Routes<'a, S, T> {
    pub ports: &'a Ports<'a, S, T>,
    /// When a run has to have ended.
    pub until: Timestamp,
}

impl<S: SagaStore, T: Time> Routes<'_, S, T> {
    /// Answers any request.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let answer = self.route(&request).await;
        http::response(&request, answer)
    }

    async fn route(&self, request: &Request) -> Answer {
        let (route, [given, _]) = routing::find(ROUTES, request)?;
        if matches!(route, Route::Replay | Route::Discard | Route::Show) {
            http::no_query(request)?;
        }
        match route {
            Route::Health => Ok(http::health()),
            Route::Document => Ok(ok(DOCUMENT)),
            Route::Problem => http::page(given),
            Route::List => self.list(request).await,
            Route::Replay => self.run(request, Act::Replay).await,
            Route::Discard => self.run(request, Act::Discard).await,
            Route::Show => self.show(given).await,
        }
    }

    async fn list(&self, request: &Request) -> Answer {
        let mut given = http::query(request, &PARAMETERS)?;
        let (limit, cursor) = (given.remove("limit"), given.remove("cursor"));
        let given = given.into_iter().map(|(name, value)| (name, value.to_owned()));
        let filter = filter(given).map_err(invalid)?;
        let limit = limit.map_or(Ok(DEFAULT_PAGE), str::parse::<usize>).ok();
        let limit = limit.filter(|limit| (1..=MAX_PAGE).contains(limit));
        let limit = limit.ok_or_else(|| invalid(format!("`limit` must be a number from 1 to {MAX_PAGE}")))?;
        let cursor = cursor.map(str::parse::<DeadLetterId>).transpose();
        let cursor = cursor.map_err(|_| invalid("`cursor` must be the `next` of the page before"))?;
        let page = list(self.ports, &filter, cursor.as_ref(), limit).await;
        Ok(ok(answers::page(&page)))
    }

    async fn show(&self, id: &str) -> Answer {
        let unknown = |detail: String| Problem::new(Code::UnknownDeadLetter, detail);
        let Ok(id) = id.parse::<DeadLetterId>() else {
            let id: String = id.chars().take(64).collect();
            return Err(unknown(format!("`{id}` is no id of a dead letter")));
        };
        match find(self.ports, &id).await.map_err(|error| http::port(&error))? {
            Found::Here(found, Prospect { disposition, text }) => {
                Ok(ok(whole(&found, disposition.as_str(), &text)))
            }
            Found::No(why) => Err(unknown(why)),
        }
    }

    async fn run(&self, request: &Request, act: Act) -> Answer {
        let fields = body(request, MAX_BODY)?;
        if let Some(error) = mistyped(&fields) {
            return Err(http::wrong_field(error));
        }
        let command = command(act, &fields).map_err(invalid)?;
        let caller = caller(request);
        let by = name(command.by.as_deref(), command.confirm, caller.as_ref()).map_err(invalid)?;
        let report = run(self.ports, &command, by, caller.as_ref(), self.until).await;
        Ok(ok(answers::report(&report)))
    }
}

fn ok(body: impl ToString) -> Response<Body> {
    http::json(StatusCode::OK, body.to_string())
}
