//! Looks after sagas that are due: what the core's plan for each says is committed, and the outbox sends it.

use std::collections::BTreeMap;

use saga_core::call::Undecided;
use saga_core::origin::{Command, Decided, Misaddressed};
use saga_core::{Definition, Saga, SagaId, Timestamp};

use crate::Deployment;
use crate::about;
use crate::alerts::send;
use crate::keep_definitions::keep_all;
use crate::log::About;
use crate::ports::{Alert, Alerts, PortError, SagaStore, Time, causes};
use crate::transact::{Refused, Sagas, Transacted, transact};

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Sagas whose opening event, or whose cancel, was sent.
    pub sent: usize,
    /// Sagas that moved while they were looked at; whoever moved them looks after them.
    pub moved: usize,
    /// Sagas that are seen to be stuck for the first time.
    pub stuck: usize,
    /// Sagas whose definition, or a participant of it, this deployment does not have. They are flagged, and one alert is sent.
    pub held: usize,
    /// Sagas that this version cannot read. They stay as they are; the log names each.
    pub unreadable: usize,
}

/// So many sagas of a bucket that cannot be read or steered are stepped over.
const STEPPED_OVER: usize = 500;
/// What is sent again in one pass leaves spread over so long: sagas that wait for the same slow service are due at the same time,
/// and all at once they would slow the sagas that do not.
const SPREAD_MILLIS: u64 = 30_000;
/// Few are not held up for longer than this, each.
const LONGEST_PAUSE_MILLIS: u64 = 200;

/// What this deployment lacks, and the sagas that need it.
type Lacking = BTreeMap<String, Vec<Saga>>;

/// One pass over all buckets, beginning anywhere, `per_bucket` sagas of each at most, until `until`: bounded work,
/// fair across buckets; what is left is still due at the next pass.
///
/// # Errors
/// [`PortError`] when the store fails; what was done is done, and the rest is still due.
pub async fn sweep_sagas(
    deployment: &Deployment,
    store: &impl SagaStore,
    alerts: &impl Alerts,
    time: &impl Time,
    per_bucket: usize,
    until: Timestamp,
) -> Result<Report, PortError> {
    keep_all(deployment, store, alerts).await;
    let pass = Pass {
        deployment,
        store,
        alerts,
        time,
        until,
    };
    let mut report = Report::default();
    let lacking = pass.buckets(per_bucket, &mut report).await?;
    for (what, sagas) in lacking {
        report.held += pass.hold(&what, sagas).await?;
    }
    tracing::info!(
        sent = report.sent,
        moved = report.moved,
        stuck = report.stuck,
        held = report.held,
        unreadable = report.unreadable,
        "sagas swept"
    );
    Ok(report)
}

enum Swept {
    Sent,
    Stuck,
}

enum NotSwept {
    Port(PortError),
    /// What this deployment does not have, and the saga that needs it.
    Lacking(String, Box<Saga>),
}

impl From<PortError> for NotSwept {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl From<Refused> for NotSwept {
    fn from(refused: Refused) -> Self {
        let what = match &refused.why {
            Misaddressed::NoDefinition(reference) => format!("the definition {reference}"),
            Misaddressed::NoParticipant(name) => format!("the participant {name}"),
            _ => return Self::Port(refused.into()),
        };
        Self::Lacking(what, refused.saga)
    }
}

/// One pass and what it needs.
struct Pass<'a, S, A, T> {
    deployment: &'a Deployment,
    store: &'a S,
    alerts: &'a A,
    time: &'a T,
    until: Timestamp,
}

impl<S: SagaStore, A: Alerts, T: Time> Pass<'_, S, A, T> {
    /// Looks after every bucket; gives back what cannot be looked after.
    async fn buckets(&self, per_bucket: usize, report: &mut Report) -> Result<Lacking, PortError> {
        let mut lacking = Lacking::new();
        let shards = self.deployment.shards;
        let first = u16::try_from(self.time.below(u64::from(shards))).unwrap_or_default();
        for bucket in (0..shards).map(|number| (first + number) % shards) {
            // Sagas that cannot be read stay due for ever, and must not fill the page of all others.
            let page = per_bucket + STEPPED_OVER;
            let mut looked_after = 0;
            let due = self.store.due(bucket, self.time.now(), page).await?;
            let pause = self.pause(due.len().min(per_bucket));
            for id in due {
                if looked_after == per_bucket {
                    break;
                }
                looked_after += 1;
                if self.time.now() >= self.until {
                    tracing::warn!(bucket, "out of time; what is left is still due");
                    return Ok(lacking);
                }
                match self.one(id).await {
                    Ok(Some(swept)) => {
                        report.sent += 1;
                        report.stuck += usize::from(matches!(swept, Swept::Stuck));
                        self.time.sleep(pause).await;
                    }
                    Ok(None) => {}
                    // One saga that cannot be read must not keep all others from being looked after.
                    Err(NotSwept::Port(error @ PortError::Corrupt { .. })) => {
                        tracing::error!(saga_id = %id, error = causes(&error), outcome = "left", "saga");
                        report.unreadable += 1;
                        looked_after -= 1;
                    }
                    Err(NotSwept::Port(PortError::Contended { .. })) => report.moved += 1,
                    Err(NotSwept::Port(error)) => return Err(error),
                    Err(NotSwept::Lacking(what, saga)) => {
                        lacking.entry(what).or_default().push(*saga);
                        looked_after -= 1;
                    }
                }
            }
        }
        Ok(lacking)
    }

    /// How long it waits after each of so many sagas of a bucket.
    fn pause(&self, due: usize) -> u64 {
        let of_bucket = SPREAD_MILLIS / u64::from(self.deployment.shards);
        (of_bucket / (due as u64).max(1)).min(LONGEST_PAUSE_MILLIS)
    }

    async fn one(&self, id: SagaId) -> Result<Option<Swept>, NotSwept> {
        // One attempt: whoever moves it meanwhile looks after it.
        let sagas = Sagas::new(self.deployment, self.store, self.time).attempts(1);
        let sweep = |_: &Saga, _: Option<&Definition>, _| Ok::<_, NotSwept>(Some(Command::Sweep));
        let Some(done) = transact(&sagas, id, sweep).await? else {
            return Ok(None);
        };
        let Decided::Commit(decision) = done.decided else {
            return Ok(None);
        };
        if let Some(event) = &decision.emit {
            about!(
                info,
                &About::event(event),
                nudges = decision.saga.nudges,
                outcome = "sent again",
                "saga"
            );
        }
        let Some(text) = &decision.alert else {
            return Ok(Some(Swept::Sent));
        };
        let about = About::saga(&decision.saga, decision.emit.as_ref());
        let (what, shows) = match decision.held.clone() {
            None => ("is stuck", Command::FlagStuck),
            Some((step, attempt)) => {
                let attempt = Undecided {
                    alerted: true,
                    ..attempt
                };
                ("needs a look", Command::Undecided { step, attempt })
            }
        };
        let alert = Alert {
            subject: format!("saga-bridge: saga {id} {what}"),
            text: text.clone(),
        };
        // The saga is flagged once the alert was sent.
        if !send(self.alerts, alert, &about).await {
            return Ok(Some(Swept::Sent));
        }
        let sagas = Sagas::new(self.deployment, self.store, self.time);
        let flag = |_: &Saga, _: Option<&Definition>, _| Ok::<_, PortError>(Some(shows.clone()));
        let flagged = transact(&sagas, id, flag).await?;
        let newly = |flagged: Transacted<'_>| {
            let stuck = flagged.before.stuck.is_none() && decision.held.is_none();
            stuck && flagged.decided.decision().is_some()
        };
        if !flagged.is_some_and(newly) {
            return Ok(Some(Swept::Sent));
        }
        about!(warn, &about, flag = "stuck", outcome = "flagged", "saga flagged");
        Ok(Some(Swept::Stuck))
    }

    /// Flags the sagas that need what this deployment lacks, after one alert for all that were not flagged before; says
    /// how many there are.
    async fn hold(&self, what: &str, sagas: Vec<Saga>) -> Result<usize, PortError> {
        let owed = || sagas.iter().filter(|saga| saga.is_owed());
        let count = owed().count();
        let new = owed().filter(|saga| saga.stuck.is_none()).count();
        let alerted = new == 0 || self.tell(what, new).await;
        for saga in &sagas {
            // Whoever moved it meanwhile has what it needs.
            let hold = |now: &Saga, _: Option<&Definition>, _| {
                Ok::<_, PortError>((now == saga).then_some(Command::Hold { alerted }))
            };
            if self.time.now() >= self.until {
                tracing::warn!("out of time; what is left is still due");
                break;
            }
            let one = Sagas::new(self.deployment, self.store, self.time).attempts(1);
            match transact(&one, saga.id, hold).await {
                Ok(_) | Err(PortError::Contended { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    /// Sends the alert before the sagas are flagged, as for a saga that is stuck.
    async fn tell(&self, what: &str, sagas: usize) -> bool {
        tracing::error!(
            what,
            sagas,
            outcome = "held",
            "this deployment lacks what sagas need"
        );
        let alert = Alert {
            subject: format!("saga-bridge: {sagas} open saga(s) need {what}"),
            text: format!(
                "This deployment does not have {what}, so it cannot move {sagas} open saga(s) that are due.\n\nNothing \
                 is lost. They show the flag `stuck` (GET /sagas?flag=stuck). Deploy a release that has it: then they can \
                 be cancelled and resolved at once, and go on by themselves within an hour."
            ),
        };
        let raised = self.alerts.raise(alert).await;
        if let Err(error) = &raised {
            tracing::error!(
                error = causes(error),
                "alert not sent; it is tried at the next look"
            );
        }
        raised.is_ok()
    }
}
