//! The one loop that changes a step on a cloud that does not keep the saga: it loads the record, decides and commits, with the
//! participant's entities and the outgoing event in the same transaction; then it publishes that event at once. Should that
//! fail, the outbox's sweep publishes it.

use saga_core::SagaId;
use saga_core::ids::{Timestamp, bucket_of};
use saga_core::participant::{Entities, Placement};
use saga_core::participate::{Message, Step, StepDecision, StepRecord};

use crate::Deployment;
use crate::about;
use crate::alerts::{needs_a_look, send};
use crate::log::About;
use crate::outbox::Relay;
use crate::ports::outbox::OutboxRow;
use crate::ports::{
    Alerts, Committed, Outbox, Parking, Partition, PortError, Publisher, StepCommit, StepStore, Time, causes,
};
use crate::transact::{Conflicts, MAX_CONFLICTS};

/// The steps of a cloud that does not keep the saga, and all that is needed to change one.
pub(crate) struct Steps<'a, S, P, A, K, T> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) store: &'a S,
    pub(crate) publisher: &'a P,
    pub(crate) alerts: &'a A,
    pub(crate) parking: &'a K,
    pub(crate) time: &'a T,
}

/// Where the steps of a participant are kept. `name` counts only where its sagas share entities.
#[must_use]
pub fn partition(name: &str, placement: Placement, saga: SagaId, buckets: u16) -> Partition {
    match placement {
        Placement::Together => Partition(bucket_of(name.as_bytes(), buckets)),
        Placement::BySaga => Partition(saga.bucket(buckets)),
    }
}

/// Where this step's record is kept.
pub(crate) fn partition_of(step: &Step<'_>, buckets: u16) -> Partition {
    let name = step.step().participant().unwrap_or_default();
    partition(name, step.placement(), step.saga, buckets)
}

impl<S, P, A, K, T> Steps<'_, S, P, A, K, T>
where
    S: StepStore + Outbox,
    P: Publisher,
    A: Alerts,
    K: Parking,
    T: Time,
{
    /// Commits what `decide` makes of the step's record as it is read. `message` says which entities are read for it. `None`
    /// when `decide` makes nothing of it. The decision's alert is `None` where it could not be sent.
    pub(crate) async fn decide(
        &self,
        step: &Step<'_>,
        about: &About,
        message: Option<&Message<'_>>,
        decide: impl Fn(Option<&StepRecord>, &Entities, Timestamp) -> Option<StepDecision>,
    ) -> Result<Option<StepDecision>, PortError> {
        let partition = partition_of(step, self.deployment.shards);
        let mut conflicts = Conflicts::new(self.time, "the step's partition", MAX_CONFLICTS);
        let (mut decision, row) = loop {
            let known = self.store.load(&partition, step.saga, step.index).await?;
            let record = known.as_ref().map(|known| &known.value);
            let keys = message.map_or_else(Vec::new, |message| step.reads(record, message));
            let read = if keys.is_empty() {
                Default::default()
            } else {
                self.store.entities(&partition, &keys).await?
            };
            let now = self.time.now();
            let Some(decision) = decide(record, &read.entities, now) else {
                return Ok(None);
            };
            let row = decision.emit.as_ref().map(|event| {
                let mut row = self.deployment.row(event, step.definition, now);
                row.shard = partition.0;
                // What a step says first has nothing of its own before it.
                row.follows = known.is_some();
                row
            });
            if decision.record.is_none() && row.is_none() {
                break (decision, row);
            }
            let commit = StepCommit {
                partition: &partition,
                saga: step.saga,
                index: step.index,
                record: decision.record.as_ref(),
                version: known.as_ref().map(|known| &known.version),
                writes: &decision.writes,
                read: &read,
                row: row.as_ref(),
            };
            match self.store.commit(commit).await? {
                Committed::Yes => break (decision, row),
                Committed::Conflict => conflicts.one_more().await?,
            }
        };
        about!(
            info,
            about,
            outcome = decision.outcome.as_str(),
            emitted = decision.emit.as_ref().map(|emitted| emitted.kind.as_str()),
            "event"
        );
        if let Some(text) = decision.alert.take() {
            let sent = send(self.alerts, needs_a_look(step.saga, text.clone()), about).await;
            decision.alert = sent.then_some(text);
        }
        if let Some(row) = row {
            self.publish(row).await;
        }
        Ok(Some(decision))
    }

    /// Publishes what was just committed. A failure is logged and left to the sweep: the row is still there.
    async fn publish(&self, row: OutboxRow) {
        let about = About::envelope(&row);
        let rules = self.deployment.relay;
        let (store, publisher, alerts) = (self.store, self.publisher, self.alerts);
        let relay = Relay::new(store, publisher, alerts, self.parking, self.time, rules);
        let until = self.time.now().plus_millis(5_000);
        if let Err(error) = relay.within("participant", until).publish(vec![row]).await {
            let error = causes(&error);
            about!(
                warn,
                &about,
                error,
                outcome = "left",
                "left in the outbox for the sweep"
            );
        }
    }
}
