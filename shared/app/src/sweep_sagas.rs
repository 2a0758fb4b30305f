//! Looks after sagas that are due: what the core's plan for each says is committed, and the outbox sends it.

use std::collections::BTreeMap;

use saga_core::origin::{Misaddressed, Origin};
use saga_core::sweep::hold;
use saga_core::{Saga, SagaId, Timestamp};

use crate::Deployment;
use crate::about;
use crate::definitions::find;
use crate::keep_definitions::keep_all;
use crate::log::About;
use crate::ports::{Alert, Alerts, Committed, PortError, SagaStore, Snapshot, Time, Versioned, causes};

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Sagas whose opening event, or whose cancel, was sent.
    pub sent: usize,
    /// Sagas that moved while they were looked at; whoever moved them looks after them.
    pub moved: usize,
    /// Sagas that are seen to be stuck for the first time.
    pub stuck: usize,
    /// Sagas whose definition, or a participant of it, this deployment does not have. They are flagged and told of once.
    pub held: usize,
    /// Sagas that this version cannot read. They stay as they are; the log names each.
    pub unreadable: usize,
}

/// So many sagas of a bucket that cannot be read or steered are stepped over.
const STEPPED_OVER: usize = 500;

/// What this deployment lacks, and the sagas that need it.
type Lacking = BTreeMap<String, Vec<Versioned<Saga>>>;

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
    Moved,
    /// What this deployment does not have, and the saga that needs it.
    Lacking(String, Box<Versioned<Saga>>),
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
            for id in self.store.due(bucket, self.time.now(), page).await? {
                if looked_after == per_bucket {
                    break;
                }
                looked_after += 1;
                if self.time.now() >= self.until {
                    tracing::warn!(bucket, "out of time; what is left is still due");
                    return Ok(lacking);
                }
                match self.one(id).await {
                    Ok(Some(Swept::Sent)) => report.sent += 1,
                    Ok(Some(Swept::Stuck)) => {
                        report.sent += 1;
                        report.stuck += 1;
                    }
                    Ok(Some(Swept::Moved)) => report.moved += 1,
                    Ok(Some(Swept::Lacking(what, saga))) => {
                        lacking.entry(what).or_default().push(*saga);
                        looked_after -= 1;
                    }
                    Ok(None) => {}
                    // One saga that cannot be read must not keep all others from being looked after.
                    Err(error @ PortError::Corrupt { .. }) => {
                        tracing::error!(saga_id = %id, error = causes(&error), outcome = "left", "saga");
                        report.unreadable += 1;
                        looked_after -= 1;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(lacking)
    }

    async fn one(&self, id: SagaId) -> Result<Option<Swept>, PortError> {
        let Self {
            deployment,
            store,
            alerts,
            time,
            ..
        } = *self;
        let Some(saga) = store.load(id).await? else {
            return Ok(None);
        };
        let found = find(deployment, store, time, &saga.value.definition).await?;
        let Some(definition) = found else {
            let what = format!("the definition {}", saga.value.definition);
            return Ok(Some(Swept::Lacking(what, Box::new(saga))));
        };
        let origin = Origin {
            saga: &saga.value,
            definition: &definition,
            participants: &deployment.participants,
            patience: deployment.patience,
            now: time.now(),
        };
        let mut decision = match origin.sweep() {
            Ok(Some(decision)) => decision,
            Ok(None) => return Ok(None),
            Err(Misaddressed::NoParticipant(name)) => {
                let what = format!("the participant {name}");
                return Ok(Some(Swept::Lacking(what, Box::new(saga))));
            }
            Err(error) => {
                return Err(PortError::Corrupt {
                    what: "the saga store",
                    why: error.to_string(),
                });
            }
        };
        let newly_stuck = saga.value.stuck.is_none() && decision.saga.stuck.is_some();
        if let Some(text) = decision.alert.take() {
            let alert = Alert {
                subject: format!("saga-bridge: saga {id} is stuck"),
                text,
            };
            // Told before it is marked as told. An alert that cannot be sent must not keep the saga from being looked after.
            if let Err(error) = alerts.raise(alert).await {
                about!(
                    error,
                    &About::saga(&saga.value, decision.emit.as_ref()),
                    error = causes(&error),
                    outcome = "not told",
                    "alert not sent; it is tried at the next look"
                );
                decision.saga.stuck = None;
            }
        }
        let row = decision
            .emit
            .as_ref()
            .map(|event| deployment.row(event, &definition, time.now()));
        let committed = store
            .commit(&decision, &saga.version, &Snapshot::default(), row.as_ref())
            .await?;
        if let (Committed::Yes, Some(event)) = (&committed, &decision.emit) {
            about!(
                info,
                &About::event(event),
                nudges = decision.saga.nudges,
                outcome = "sent again",
                "saga"
            );
        }
        Ok(Some(match committed {
            Committed::Conflict => Swept::Moved,
            Committed::Yes if newly_stuck && decision.saga.stuck.is_some() => {
                about!(
                    warn,
                    &About::saga(&decision.saga, decision.emit.as_ref()),
                    flag = "stuck",
                    outcome = "flagged",
                    "saga flagged"
                );
                Swept::Stuck
            }
            Committed::Yes => Swept::Sent,
        }))
    }

    /// Flags the sagas that need what this deployment lacks, after one alert for all that were not flagged before; says
    /// how many there are.
    async fn hold(&self, what: &str, sagas: Vec<Versioned<Saga>>) -> Result<usize, PortError> {
        let owed = || sagas.iter().filter(|saga| saga.value.is_owed());
        let count = owed().count();
        let new = owed().filter(|saga| saga.value.stuck.is_none()).count();
        let told = new == 0 || self.tell(what, new).await;
        for saga in sagas {
            let now = self.time.now();
            let Some(mut decision) = hold(&saga.value, self.deployment.patience, now) else {
                continue;
            };
            if now >= self.until {
                tracing::warn!("out of time; what is left is still due");
                break;
            }
            if !told {
                decision.saga.stuck = saga.value.stuck;
            }
            // A conflict: whoever moved it meanwhile has what it needs.
            self.store
                .commit(&decision, &saga.version, &Snapshot::default(), None)
                .await?;
        }
        Ok(count)
    }

    /// Told before it is marked as told, as for a saga that is stuck.
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
