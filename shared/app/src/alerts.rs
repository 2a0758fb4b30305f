//! Alerts, and what is logged when one cannot be sent.

use saga_core::SagaId;

use crate::about;
use crate::log::About;
use crate::ports::{Alert, Alerts, causes};

/// Sends an alert; whether it was sent. One that was not is a line in the log, on which an alarm watches: what it is about is
/// committed, and must not be undone for want of it.
pub(crate) async fn send(alerts: &impl Alerts, alert: Alert, about: &About) -> bool {
    let Err(error) = alerts.raise(alert).await else {
        return true;
    };
    let error = causes(&error);
    about!(error, about, error, outcome = "not told", "alert not sent");
    false
}

/// The alert that an operator has to look at a saga.
pub(crate) fn needs_a_look(saga: SagaId, text: String) -> Alert {
    Alert {
        subject: format!("saga-bridge: saga {saga} needs a look"),
        text,
    }
}
