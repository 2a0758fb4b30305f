//! One service at an endpoint: a request is authorised, limited in time and retried on azure_core's pipeline.

use azure_core::http::{Context, Method, Pipeline, PipelineSendOptions, Request, Url};
use saga_app::ports::PortError;

use super::answer::Answer;
use super::error::Failure;
use super::retry::{Limits, Repeat};

/// A request. It is repeated freely unless it says otherwise.
#[derive(Debug)]
pub(super) struct Call {
    method: Method,
    /// Path and query below the service's endpoint, encoded.
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    repeat: Repeat,
}

impl Call {
    pub(super) fn new(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            headers: Vec::new(),
            body: String::new(),
            repeat: Repeat::Freely,
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn body(mut self, content_type: &str, body: String) -> Self {
        self.body = body;
        self.header("content-type", content_type)
    }

    pub(super) fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) pipeline: Pipeline,
    pub(super) base: String,
    pub(super) what: &'static str,
    pub(super) limits: Limits,
}

impl Service {
    /// Sends a request and gives the answer, whatever its status, unless the service put off the last attempt.
    ///
    /// # Errors
    /// [`PortError::Throttled`] or [`PortError::Unavailable`].
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, PortError> {
        let mut attempt = 1;
        loop {
            let outcome = self.try_once(call).await;
            match self.limits.pause_after(attempt, &outcome, call.repeat) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    let answer = outcome.map_err(|failure| self.failed(failure))?;
                    return match answer.status {
                        408 | 429 | 500 | 502..=504 => Err(self.refused(&answer)),
                        _ => Ok(answer),
                    };
                }
            }
            attempt += 1;
        }
    }

    /// Sends a request that succeeds or fails, and gives the answer.
    pub(super) async fn expect(&self, call: Call) -> Result<Answer, PortError> {
        let answer = self.send(&call).await?;
        if answer.succeeded() {
            Ok(answer)
        } else {
            Err(self.refused(&answer))
        }
    }

    pub(super) fn refused(&self, answer: &Answer) -> PortError {
        self.refusal(answer.status, answer.code())
    }

    pub(super) fn refusal(&self, status: u16, code: String) -> PortError {
        match status {
            429 | 503 => PortError::Throttled { what: self.what },
            _ => self.failed(Failure::Refused { status, code }),
        }
    }

    pub(super) fn failed(&self, failure: Failure) -> PortError {
        PortError::unavailable(self.what, failure)
    }

    async fn try_once(&self, call: &Call) -> Result<Answer, Failure> {
        let url = format!("{}{}", self.base, call.path);
        let url = Url::parse(&url).map_err(|error| Failure::OverLimit(format!("`{url}`: {error}")))?;
        let mut request = Request::new(url, call.method);
        for (name, value) in &call.headers {
            request.insert_header(*name, value.clone());
        }
        request.set_body(call.body.clone());
        let context = Context::new();
        let options = PipelineSendOptions {
            skip_checks: true,
            ..PipelineSendOptions::default()
        };
        let sent = self.pipeline.send(&context, &mut request, Some(options));
        let answer = tokio::time::timeout(self.limits.attempt, sent)
            .await
            .map_err(|_| Failure::Silent(self.limits.attempt))?
            .map_err(Failure::Broken)?;
        Answer::read(answer)
    }
}
