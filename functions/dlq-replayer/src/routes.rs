//! The routes under `/dead-letters`. Each reads its request strictly, calls one use case, and answers.

use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use saga_app::dead_letters::{Found, Ports, find, list, run};
use saga_app::ports::{SagaStore, Time};
use saga_core::Timestamp;
use saga_core::dead_letter::{Act, LetterId};
use saga_runtime::http::{self, Answer, body, caller, invalid, not_found};
use saga_wire::dead_letter::http::{MAX_PAGE, Shown, command, filter};
use saga_wire::http::Problem;
use serde::Serialize;

/// Letters of a page, unless the request says otherwise.
const DEFAULT_PAGE: usize = 50;
/// What a list may be asked for.
const PARAMETERS: [&str; 5] = ["source", "saga", "type", "reason", "since"];

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
            (method, ["dead-letters"]) if method == get => self.list(request).await,
            (method, ["dead-letters", "replay"]) if method == post => self.run(request, Act::Replay).await,
            (method, ["dead-letters", "discard"]) if method == post => self.run(request, Act::Discard).await,
            (_, ["dead-letters", "replay" | "discard"]) => Ok(http::not_allowed("POST")),
            (method, ["dead-letters", id]) if method == get => self.show(id).await,
            (_, ["health"] | ["dead-letters"] | ["dead-letters", _]) => Ok(http::not_allowed("GET")),
            _ => Err(not_found(format!(
                "there is nothing at {}",
                request.raw_http_path()
            ))),
        }
    }

    async fn list(&self, request: &Request) -> Answer {
        let parameters = request.query_string_parameters();
        let given = |name: &str| {
            parameters
                .first(name)
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
        };
        let known = |name: &str| PARAMETERS.contains(&name) || ["limit", "cursor"].contains(&name);
        if let Some((name, _)) = parameters.iter().find(|(name, _)| !known(name)) {
            return Err(invalid(format!(
                "`{}` is not a parameter of the list",
                saga_core::event::cut(name)
            )));
        }
        let pairs = PARAMETERS
            .into_iter()
            .filter_map(|name| Some((name, given(name)?)));
        let filter = filter(pairs).map_err(invalid)?;
        let limit = given("limit").map_or(Ok(DEFAULT_PAGE), |text| text.parse::<usize>());
        let limit = limit.ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
        let limit = limit.ok_or_else(|| invalid(format!("`limit` must be a number from 1 to {MAX_PAGE}")))?;
        let cursor = given("cursor").map(|text| text.parse::<LetterId>()).transpose();
        let cursor = cursor.map_err(|_| invalid("`cursor` must be the `next` of the page before"))?;
        let page = list(self.ports, &filter, cursor.as_ref(), limit).await;
        Ok(json(&page))
    }

    async fn show(&self, id: &str) -> Answer {
        let unknown = |detail: String| Problem::new(404, "unknown-dead-letter", "Not Found", detail);
        let Ok(id) = id.parse::<LetterId>() else {
            let id: String = id.chars().take(64).collect();
            return Err(unknown(format!("`{id}` is no id of a dead letter")));
        };
        match find(self.ports, &id).await.map_err(|error| http::port(&error))? {
            Found::Letter(letter, prospect) => Ok(json(&Shown::of(&letter, &prospect))),
            Found::No(why) => Err(unknown(why)),
            Found::Absent(notice) => Err(unknown(format!("{}: {}", notice.source, notice.problem))),
        }
    }

    async fn run(&self, request: &Request, act: Act) -> Answer {
        let command = command(act, &body(request)?).map_err(invalid)?;
        let by = match (command.by.clone(), caller(request)) {
            (Some(by), Some(caller)) => format!("{by} ({caller})"),
            (Some(by), None) => by,
            (None, Some(caller)) => caller,
            (None, None) if command.confirm => {
                return Err(invalid(
                    "`by` must be a text of 1 to 200 characters: the record says who",
                ));
            }
            (None, None) => "nobody".to_owned(),
        };
        Ok(json(&run(self.ports, &command, &by, self.until).await))
    }
}

fn json(body: &impl Serialize) -> Response<Body> {
    http::json(StatusCode::OK, serde_json::to_string(body).unwrap_or_default())
}
