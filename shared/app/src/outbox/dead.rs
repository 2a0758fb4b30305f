//! Alerts the operators, and marks the sagas, before rows move to the dead ones.

use crate::about;
use crate::log::{About, not_shown};
use crate::ports::outbox::OutboxRow;
use crate::ports::{Alert, Alerts, Parked, Parking, Time, causes};

/// Raises one alert for these rows, and marks their sagas as parked; whether the alert was taken.
pub(super) async fn announce(
    alerts: &impl Alerts,
    parking: &impl Parking,
    time: &impl Time,
    dead: &[OutboxRow],
) -> bool {
    // A message that came again and died again was announced before.
    let mut new = Vec::with_capacity(dead.len());
    for row in dead {
        let parked = match row.about_saga() {
            Some(saga) => parking.is_parked(saga, &row.id).await.unwrap_or(false),
            None => false,
        };
        if !parked {
            new.push(row);
        }
    }
    let Some(example) = new.first() else { return true };
    let of_saga = example.about_saga().map(|saga| format!(" of saga {saga}"));
    let shows = if new.iter().any(|row| row.about_saga().is_some()) {
        ", and its saga shows `parked`"
    } else {
        ""
    };
    let alert = Alert {
        subject: format!("saga-bridge: {} event(s) could not be published", new.len()),
        text: format!(
            "For example {} ({}){}, after {} attempt(s): {}\n\nNothing is lost: each is kept whole among the \
             dead rows of the outbox{shows}. Mend the cause, then replay it.",
            example.id,
            example.kind,
            of_saga.unwrap_or_default(),
            example.tries.failed,
            example.tries.why(),
        ),
    };
    if let Err(error) = alerts.raise(alert).await {
        let (about, error) = (&About::envelope(example), causes(&error));
        let outcome = "not told";
        about!(
            error,
            about,
            error,
            outcome,
            "alert not sent; the events stay in the outbox"
        );
        return false;
    }
    for row in new {
        let Some(saga) = row.about_saga() else { continue };
        let parked = Parked {
            saga,
            event: row.id.clone(),
            reason: format!("{} could not be published: {}", row.kind, row.tries.why()),
            at: time.now(),
        };
        if let Err(error) = parking.park(&parked).await {
            not_shown(&About::envelope(row), &error);
        }
    }
    true
}
