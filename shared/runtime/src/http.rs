//! HTTP behind a function URL: requests read strictly, answers as JSON, problem details with stable codes.

use std::collections::BTreeMap;

use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use mime::Mime;
use saga_app::about;
use saga_app::log::About;
use saga_app::ports::{PortError, causes};
use saga_core::document::Fields;
use saga_core::mark::Caller;
use saga_core::participant::FieldError;
use saga_core::text::{id_breaks, is_readable, shown};
use saga_core::{Document, SagaId, TraceParent};
use saga_wire::json::{self, Unreadable, legible};
use saga_wire::problem::{Code, Problem};

/// The largest body that is read.
pub const MAX_BODY: usize = 64 * 1024;
/// Seconds after which a caller that was turned away tries again.
const RETRY_AFTER: &str = "1";

/// What a route answers.
pub type Answer = Result<Response<Body>, Problem>;

/// An answer in JSON. What it carries is exact, and nothing in it acts on a terminal that shows it.
#[must_use]
pub fn json(status: StatusCode, body: String) -> Response<Body> {
    build(status, "application/json", None, legible(&body).into_owned())
}

/// 201 with the address of what was created, which is at `path` below the root of the API.
#[must_use]
pub fn created(request: &Request, path: &str, body: String) -> Response<Body> {
    let location = format!("{}{path}", to_root(request));
    build(
        StatusCode::CREATED,
        "application/json",
        Some((header::LOCATION, &location)),
        legible(&body).into_owned(),
    )
}

/// From the request's URL to the root of the API, as the beginning of a relative reference: so many levels up as its path
/// has below the root. A function does not know what its URL is, nor that the local stack serves it below a path of
/// others; a reference that begins with `/` would lead past that.
fn to_root(request: &Request) -> String {
    let levels = request.raw_http_path().matches('/').count();
    "../".repeat(levels.saturating_sub(1))
}

/// An answer that says what to change. What it was caused by is logged.
#[must_use]
pub fn problem(request: &Request, problem: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(cause) = &problem.cause {
        log(request, problem.code, cause);
    }
    let possible = problem.possible.as_ref();
    let possible = possible.map(|(name, value)| (HeaderName::from_static(name), value.as_str()));
    let retry = (status == StatusCode::SERVICE_UNAVAILABLE).then_some((header::RETRY_AFTER, RETRY_AFTER));
    let body = problem.body(&to_root(request));
    build(status, Problem::CONTENT_TYPE, possible.or(retry), body)
}

/// The response to this request: `HEAD` is answered as `GET` is, without the body.
#[must_use]
pub fn response(request: &Request, answer: Answer) -> Response<Body> {
    let mut response = answer.unwrap_or_else(|wrong| problem(request, &wrong));
    if request.method() == Method::HEAD {
        *response.body_mut() = Body::Empty;
    }
    response
}

/// The answer of `GET /health`.
#[must_use]
pub fn health() -> Response<Body> {
    json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned())
}

/// The page of a problem's code.
///
/// # Errors
/// There is no such code.
pub fn page(code: &str) -> Answer {
    let mut all = Code::ALL.into_iter();
    let known = all.find(|known| known.as_str() == code).ok_or_else(|| {
        let detail = format!("there is no problem `{}`", shown(code));
        Problem::new(Code::UnknownProblem, detail)
    })?;
    let page = format!("# {}", known.page());
    Ok(build(StatusCode::OK, "text/markdown; charset=utf-8", None, page))
}

/// Something about the request is wrong.
#[must_use]
pub fn invalid(detail: impl AsRef<str>) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}

/// A failure of the store. What it says to the caller holds no internals; [`problem`] logs the whole chain.
#[must_use]
pub fn port(error: &PortError) -> Problem {
    match error {
        PortError::Throttled { .. } | PortError::Contended { .. } => {
            let detail = "The store is busy. Nothing was lost: send the same request again, with the same Idempotency-Key if it \
                          had one.";
            caused(Code::Busy, detail, error)
        }
        PortError::Unavailable { .. } => {
            let detail = "The store did not answer. Whether the request took effect is not known. Send it again with the same \
                          Idempotency-Key: it takes effect once. A start without a key may start a second saga: look at the \
                          list of sagas first.";
            caused(Code::Unavailable, detail, error)
        }
        PortError::Corrupt { .. } => internal(error),
    }
}

/// A failure that the caller can do nothing about.
#[must_use]
pub fn internal(error: &(dyn std::error::Error + 'static)) -> Problem {
    let detail = "The request cannot be served; nothing was changed. The function's log has the reason.";
    caused(Code::Internal, detail, error)
}

fn caused(code: Code, detail: &str, error: &(dyn std::error::Error + 'static)) -> Problem {
    Problem {
        cause: Some(causes(error)),
        ..Problem::new(code, detail)
    }
}

/// Logs what a request failed of that is no fault of the caller's.
fn log(request: &Request, code: Code, cause: &str) {
    let mut parts = request.raw_http_path().split('/');
    let saga: Option<SagaId> = parts.find_map(|part| part.parse().ok());
    let trace = header_text(request.headers(), "traceparent").ok().flatten();
    let trace = trace.and_then(|text| text.parse::<TraceParent>().ok());
    let about = About {
        saga_id: saga.map(|saga| saga.to_string()),
        trace_id: trace.map(|trace| trace.trace_id().to_owned()),
        ..About::default()
    };
    match code {
        Code::Busy => about!(warn, &about, error = cause, outcome = "throttled", "api"),
        Code::Unavailable => about!(error, &about, error = cause, outcome = "unavailable", "api"),
        _ => about!(error, &about, error = cause, outcome = "failed", "api"),
    }
}

fn build(
    status: StatusCode,
    content_type: &str,
    extra: Option<(HeaderName, &str)>,
    body: String,
) -> Response<Body> {
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CACHE_CONTROL, "no-store");
    if let Some((name, value)) = extra {
        response = response.header(name, value);
    }
    // The only fallible part is a header value; all of ours are ASCII.
    response
        .body(Body::from(body))
        .unwrap_or_else(|_| Response::new(Body::Empty))
}

/// The body of at most `max` bytes as fields, after its size, its encoding, its media type and its syntax have been checked, in this order.
///
/// # Errors
/// What to change.
pub fn body(request: &Request, max: usize) -> Result<Fields, Problem> {
    let body = request.body();
    if body.len() > max {
        let detail = format!("the body has {} bytes; at most {max} are read", body.len());
        return Err(Problem::new(Code::TooLarge, detail));
    }
    let headers = request.headers();
    if let Some(encoding) = encoding(headers) {
        let encoding = shown(&encoding);
        let detail = format!("a body with Content-Encoding: {encoding} is not read; send it as it is");
        let problem = Problem::new(Code::UnsupportedMediaType, detail);
        return Err(problem.with_possible("accept-encoding", "identity"));
    }
    if !is_json(headers) {
        let detail = "send the body in UTF-8 and, once, the header Content-Type: application/json";
        let problem = Problem::new(Code::UnsupportedMediaType, detail);
        return Err(problem.with_possible("accept", "application/json"));
    }
    let not_json = |why: String| Problem::new(Code::InvalidJson, format!("the body {why}"));
    let text = std::str::from_utf8(body).map_err(|_| not_json("is not UTF-8".into()))?;
    json::parse_object(text).map_err(|error| match error {
        Unreadable::Json(why) => not_json(why),
        Unreadable::Number { field, why } => wrong_field(FieldError::new(field, why)),
    })
}

/// A field holds a value of another type than it takes.
#[must_use]
pub fn wrong_field(error: FieldError) -> Problem {
    let detail = format!("{} {}", error.field, error.problem);
    Problem::new(Code::InvalidInput, detail).with_fields(vec![error])
}

/// The first encoding of the body that changes it.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let lines = header_lines(headers, header::CONTENT_ENCODING.as_str());
    let mut codings = lines.iter().flat_map(|line| line.split(',')).map(str::trim);
    let changing = codings.find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    changing.map(str::to_owned)
}

/// Whether the headers say, once, that the body is JSON, and in no other charset than the one of JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let lines = header_lines(headers, header::CONTENT_TYPE.as_str());
    let [line] = &lines[..] else { return false };
    let is_utf8 = |charset: &str| ["utf-8", "utf8"].contains(&charset.to_ascii_lowercase().as_str());
    let in_utf8 = |(name, value): (mime::Name<'_>, mime::Name<'_>)| {
        // The second is no registered name, and many clients send it.
        name != mime::CHARSET || is_utf8(value.as_str().trim_matches('"'))
    };
    let kind = line.trim().parse::<Mime>();
    kind.is_ok_and(|kind| kind.essence_str() == "application/json" && kind.params().all(in_utf8))
}

/// A field that is not known is a mistake that would otherwise go unseen.
///
/// # Errors
/// Names the field.
pub fn only(fields: &Fields, known: &[&str]) -> Result<(), Problem> {
    let unknown = fields.keys().find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| {
        let name = shown(name);
        Err(invalid(format!("`{name}` is not a field of this request")))
    })
}

/// A field that names somebody: a text field of which all can be seen.
///
/// # Errors
/// Names the field.
pub fn name_field(fields: &Fields, name: &str) -> Result<String, Problem> {
    let text = text_field(fields, name)?;
    match id_breaks(&text) {
        Some(rule) => Err(invalid(format!("`{name}` {rule}"))),
        None => Ok(text),
    }
}

/// A field that is a readable text of some length.
///
/// # Errors
/// Names the field.
pub fn text_field(fields: &Fields, name: &str) -> Result<String, Problem> {
    const MAX: usize = 200;
    let text = match fields.get(name) {
        None | Some(Document::Null) => "",
        Some(Document::Text(text)) => text.trim(),
        Some(_) => return Err(wrong_field(FieldError::new(name, "must be a text"))),
    };
    if text.is_empty() || text.chars().count() > MAX || !is_readable(text) {
        return Err(invalid(format!(
            "`{name}` must be a text of 1 to {MAX} characters on one line, all of which can be seen"
        )));
    }
    Ok(text.to_owned())
}

/// A header's lines. What is no text in them is no text of any rule, either.
#[must_use]
pub fn header_lines(headers: &HeaderMap, name: &str) -> Vec<String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.get_all(name).iter().map(text).collect()
}

/// The value of a header that is given once; `None` when it is not given.
///
/// # Errors
/// It is given more than once: of two values none is meant.
pub fn header_text(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let mut lines = header_lines(headers, name);
    if lines.len() > 1 {
        return Err(invalid(format!("the header `{name}` must be given once")));
    }
    Ok(lines.pop())
}

/// The caller's trace context. One that is not valid, and of two headers both, is ignored, as the W3C recommendation asks.
#[must_use]
pub fn trace(headers: &HeaderMap) -> Option<TraceParent> {
    match &header_lines(headers, "traceparent")[..] {
        [line] => line.trim().parse().ok(),
        _ => None,
    }
}

/// Refuses a query where there is nothing to be said in one.
///
/// # Errors
/// Names the parameter.
pub fn no_query(request: &Request) -> Result<(), Problem> {
    query(request, &[]).map(drop)
}

/// A name in a query is given once, and is known: what is not would go unseen.
///
/// # Errors
/// Names the parameter.
pub fn query<'r>(
    request: &'r Request,
    known: &[&'static str],
) -> Result<BTreeMap<&'static str, &'r str>, Problem> {
    let parameters = request.query_string_parameters_ref();
    let mut given = BTreeMap::new();
    for (name, value) in parameters.into_iter().flat_map(QueryMap::iter) {
        let Some(known) = known.iter().find(|known| **known == name) else {
            let name = shown(name);
            return Err(invalid(format!("`{name}` is not a parameter of this request")));
        };
        if given.insert(*known, value).is_some() {
            return Err(invalid(format!("`{known}` must be given once")));
        }
    }
    // `?status=` says no more than nothing.
    given.retain(|_, value| !value.is_empty());
    Ok(given)
}

/// Who calls, where the function URL checks signatures
/// (<https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>). Nothing else in a request
/// says it: not its body, not its headers.
#[must_use]
pub fn caller(request: &Request) -> Option<Caller> {
    let RequestContext::ApiGatewayV2(context) = request.request_context_ref()? else {
        return None;
    };
    let arn = context.authorizer.as_ref()?.iam.as_ref()?.user_arn.as_deref();
    arn.and_then(Caller::new)
}
