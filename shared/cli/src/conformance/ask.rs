//! Asking as a caller asks: the same request again until it is decided, with pauses, within a bound.

use std::time::Duration;

use saga_app::ports::Time;
use saga_wire::contract::{Reply, Request, Verb};

use super::exchange::{Came, Packet};
use super::finding::Stop;
use super::ids::{ACT_DECIDES, BODY_BOUND, LATER_DECIDES, NO_REDIRECT, OUTPUT_RULES, UNDO_AFTER_ACT};
use super::session::{Call, Session};

/// The first pause; it doubles up to the longest. Callers pause longer, but nobody wants to wait here.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often work that is taken back is asked for: what comes of it is no part of any check.
const TAKE_BACK: u32 = 4;
/// A service that cannot be reached so often is not there.
const FIRST_TRIES: u32 = 4;

impl Session {
    /// Asks until there is a decision.
    pub async fn decide(&self, verb: Verb, call: &Call) -> Result<Came, Stop> {
        self.decide_as(call, |attempt| {
            self.request(verb, call, &self.said(attempt, call))
        })
        .await
    }

    /// Asks until there is a decision, with what `request` writes for each attempt.
    pub async fn decide_as(&self, call: &Call, request: impl Fn(u32) -> Request) -> Result<Came, Stop> {
        let came = self.settle(|attempt| self.packet(&request(attempt))).await?;
        self.note(call, &came);
        let given = || came.finding(meaning(&came));
        match &came.reply {
            Reply::Accepted(_) | Reply::Refused(_) | Reply::Undone => Ok(came),
            Reply::BadOutput { .. } => Err(Stop::Elsewhere(OUTPUT_RULES, given())),
            _ if came.status.is_some_and(|status| (300..400).contains(&status)) => {
                Err(Stop::Elsewhere(NO_REDIRECT, given()))
            }
            _ => Err(Stop::Broken(given())),
        }
    }

    /// Sends until the answer is none of those after which a caller asks again soon.
    pub async fn settle(&self, packet: impl Fn(u32) -> Packet) -> Result<Came, Stop> {
        let end = self.clock.now().plus_millis(millis(self.plan.decide_within));
        let (mut attempt, mut pause, mut answered) = (1, FIRST_PAUSE, false);
        loop {
            let came = self.send(&packet(attempt)).await;
            answered |= came.status.is_some();
            let asked_for = match &came.reply {
                Reply::Again { after, .. } => after.unwrap_or_default(),
                Reply::Later => Duration::ZERO,
                _ => return Ok(came),
            };
            let next = asked_for.max(self.some_of(pause));
            let not_there = !self.seen.borrow().answered && attempt >= FIRST_TRIES;
            if not_there || self.clock.now().plus_millis(millis(next)) >= end {
                return Err(self.undecided(&came, answered, asked_for));
            }
            tokio::time::sleep(next).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
            attempt += 1;
        }
    }

    /// At least half of it, so that many requests do not come back at once.
    fn some_of(&self, pause: Duration) -> Duration {
        let half = u64::try_from(millis(pause) / 2).unwrap_or(0);
        Duration::from_millis(half + self.clock.below(half + 1))
    }

    fn undecided(&self, last: &Came, answered: bool, asked_for: Duration) -> Stop {
        let within = format!("it was not decided within {:?}", self.plan.decide_within);
        if !answered {
            return Stop::Silent(last.finding("nothing answers"));
        }
        if last.oversize {
            return Stop::Elsewhere(BODY_BOUND, last.finding("such an answer is never read"));
        }
        if last.reply == Reply::Later {
            return Stop::Elsewhere(
                LATER_DECIDES,
                last.finding(format!("{within}: the answer stays 202")),
            );
        }
        let patience = if asked_for > self.plan.decide_within / 2 {
            format!(" and asks for a pause of {asked_for:?}: give a longer --decide-within")
        } else {
            String::new()
        };
        Stop::Broken(last.finding(format!("{within}: {}{patience}", meaning(last))))
    }

    /// The decision of an act that prepares a check, which the service accepts.
    pub async fn accept(&self, call: &Call) -> Result<Came, Stop> {
        let came = self
            .decide(Verb::Act, call)
            .await
            .map_err(|stop| stop.of(ACT_DECIDES))?;
        accepted(came)
    }

    /// The undo that prepares a check.
    pub async fn undo(&self, call: &Call) -> Result<Came, Stop> {
        self.decide(Verb::Undo, call)
            .await
            .map_err(|stop| stop.of(UNDO_AFTER_ACT))
    }

    /// Takes back what stands. What comes of it breaks no promise of a check; what stays is counted at the end.
    pub async fn take_back(&self) {
        if !self.plan.undo || self.seen.borrow().broken.contains_key(UNDO_AFTER_ACT) {
            return;
        }
        let standing: Vec<Call> = self.seen.borrow().standing.values().cloned().collect();
        for call in standing {
            for attempt in 1..=TAKE_BACK {
                let request = self.request(Verb::Undo, &call, &self.said(attempt, &call));
                let came = self.send(&self.packet(&request)).await;
                self.note(&call, &came);
                let after = match came.reply {
                    Reply::Again { after, .. } => after.unwrap_or_default(),
                    Reply::Later => Duration::ZERO,
                    _ => break,
                };
                tokio::time::sleep(after.max(self.some_of(FIRST_PAUSE * attempt)).min(LONGEST_PAUSE)).await;
            }
        }
    }
}

/// An act that was accepted; a refusal is no broken promise, but nothing can be tried with it.
pub fn accepted(came: Came) -> Result<Came, Stop> {
    match &came.reply {
        Reply::Refused(reason) => Err(Stop::Unfit(format!(
            "the service refused the input ({reason}): give another with --input"
        ))),
        _ => Ok(came),
    }
}

/// Why an answer is no decision, in the words of the contract.
fn meaning(came: &Came) -> String {
    match (&came.reply, came.status) {
        (Reply::Misbound { .. }, Some(status @ (401 | 403))) => {
            format!("{status} means that the service does not know the caller")
        }
        (Reply::Misbound { .. }, Some(status)) => {
            format!("{status} means that the service is bound wrongly; it is no decision")
        }
        (Reply::Again { why, .. }, _) => why.clone(),
        (Reply::BadOutput { why }, _) => why.clone(),
        (Reply::Later, _) => "it answered 202".to_owned(),
        _ => "it is no decision".to_owned(),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
