//! Problem details (RFC 9457): one code for each thing that can go wrong with a request, and one page for each code.
//!
//! Invariant: the code decides the status and the title, so no two answers with one code can differ in them.

use saga_core::participant::FieldError;
use saga_core::text::{shown, shown_whole};
use serde::Serialize;

/// What the pages say: one section a code.
const PAGES: &str = include_str!("../PROBLEMS.md");

/// The table of codes: each with its word, its HTTP status and its title.
macro_rules! codes {
    ($($code:ident, $word:literal, $status:literal, $title:literal;)+) => {
        /// What can go wrong, for programs. The words are stable; `PROBLEMS.md` has a page for each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $code,)+
        }

        impl Code {
            /// Every code, by status.
            pub const ALL: [Code; [$($status),+].len()] = [$(Code::$code),+];

            fn row(self) -> (&'static str, u16, &'static str) {
                match self {
                    $(Code::$code => ($word, $status, $title),)+
                }
            }
        }
    };
}

codes! {
    InvalidJson, "invalid-json", 400, "The body is not valid JSON";
    InvalidRequest, "invalid-request", 400, "The request is not valid";
    NotFound, "not-found", 404, "There is nothing at this path";
    UnknownDefinition, "unknown-definition", 404, "No saga definition has this name";
    UnknownSaga, "unknown-saga", 404, "No saga has this id";
    UnknownStep, "unknown-step", 404, "The saga has no step of this name";
    UnknownService, "unknown-service", 404, "No service of this name is bound";
    UnknownDeadLetter, "unknown-dead-letter", 404, "No dead letter has this id";
    UnknownProblem, "unknown-problem", 404, "No problem has this code";
    MethodNotAllowed, "method-not-allowed", 405, "This path does not take this method";
    TooLate, "too-late", 409, "The saga has already ended";
    PastPivot, "past-pivot", 409, "The saga is past a step that cannot be undone";
    NotWaiting, "not-waiting", 409, "The step does not wait for this answer";
    NotDeployed, "not-deployed", 409, "The deployment lacks something that this saga needs";
    TooLarge, "too-large", 413, "The body is too large";
    UnsupportedMediaType, "unsupported-media-type", 415, "The body must be plain JSON in UTF-8";
    InvalidInput, "invalid-input", 422, "The input is not valid";
    KeyReused, "key-reused", 422, "The idempotency key belongs to another request";
    Refused, "refused", 422, "The first step refused the saga";
    Internal, "internal", 500, "The request cannot be served";
    Busy, "busy", 503, "The store is busy";
    Unavailable, "unavailable", 503, "The store did not answer";
}

impl Code {
    /// The word used in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        self.row().1
    }

    /// One short sentence for people: the same for every answer with this code.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// Where its page is, below the root of either API.
    #[must_use]
    pub fn path(self) -> String {
        format!("problems/{}", self.as_str())
    }

    /// Its page in Markdown; empty when there is none, which a test forbids.
    #[must_use]
    pub fn page(self) -> &'static str {
        let page = pages().find(|(code, _)| *code == self.as_str());
        page.map_or("", |(_, page)| page)
    }
}

/// The pages in their order, each with its code.
pub fn pages() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGES.split("\n## ").skip(1).map(|page| {
        let code = page.lines().next().unwrap_or_default();
        (code, page)
    })
}

/// What went wrong, for a program (`code`) and for a person (`detail`).
#[derive(Debug)]
pub struct Problem {
    /// What.
    pub code: Code,
    /// What to change.
    pub detail: String,
    /// The fields that are wrong.
    pub errors: Vec<Field>,
    /// The header that says what is possible: `allow`, `accept` or `accept-encoding`.
    pub possible: Option<(&'static str, String)>,
    /// What caused it, for the log; the caller is not told.
    pub cause: Option<String>,
}

#[derive(Serialize)]
struct Out<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "<[Field]>::is_empty")]
    errors: &'a [Field],
}

/// A field that is wrong.
#[derive(Debug, Serialize)]
pub struct Field {
    /// Where.
    pub field: String,
    /// What to change.
    pub problem: String,
}

impl Problem {
    /// The media type of problem details.
    pub const CONTENT_TYPE: &str = "application/problem+json";

    /// A problem. `detail` is for people, and holds no internals; it may quote the request.
    #[must_use]
    pub fn new(code: Code, detail: impl AsRef<str>) -> Self {
        Self {
            code,
            detail: shown_whole(detail.as_ref()),
            errors: Vec::new(),
            possible: None,
            cause: None,
        }
    }

    /// The body of the answer. `type` is a reference to the page of the code; `to_root` leads from the request's URL to
    /// the root of the API (RFC 9457, 3.1.1: it is resolved against the base URI, that of the request).
    #[must_use]
    pub fn body(&self, to_root: &str) -> String {
        let out = Out {
            r#type: format!("{to_root}{}", self.code.path()),
            title: self.code.title(),
            status: self.code.status(),
            detail: &self.detail,
            code: self.code.as_str(),
            errors: &self.errors,
        };
        serde_json::to_string(&out).unwrap_or_default()
    }

    /// The same, with the header that says what is possible.
    #[must_use]
    pub fn with_possible(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.possible = Some((header, value.into()));
        self
    }

    /// The same, with the fields that are wrong.
    #[must_use]
    pub fn with_fields(mut self, errors: Vec<FieldError>) -> Self {
        let fields = errors.into_iter().map(|error| Field {
            field: shown(&error.field),
            problem: shown_whole(&error.problem),
        });
        self.errors = fields.collect();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_title_of_its_own() {
        let titles: std::collections::HashSet<&str> = Code::ALL.into_iter().map(Code::title).collect();
        assert_eq!(titles.len(), Code::ALL.len());
    }

    #[test]
    fn every_code_has_its_page_and_no_page_is_without_a_code() {
        let codes: Vec<&str> = Code::ALL.into_iter().map(Code::as_str).collect();
        assert_eq!(pages().map(|(code, _)| code).collect::<Vec<_>>(), codes);
        for code in Code::ALL {
            let (status, title) = (code.status(), code.title());
            let page = code.page();
            assert!(
                page.contains(&format!("\n{title} (status {status}).")),
                "{}: the page has another title or status",
                code.as_str()
            );
            for part in ["**What it means.** ", "**What to do.** "] {
                let said = page.split(part).nth(1).and_then(|rest| rest.split("\n\n").next());
                assert!(
                    said.is_some_and(|said| said.split_whitespace().count() >= 5),
                    "{}: {part}",
                    code.as_str()
                );
            }
        }
    }
}
