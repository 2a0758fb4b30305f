//! The states of outside services beside what a cloud stores.

use saga_app::ports::outbox::OutboxRow;
use saga_app::ports::{Committed, PortError, ServiceChanges, ServiceStates};
use saga_core::ServiceState;

use crate::cloud::Cloud;
use crate::sagas::OriginCloud;
use crate::state::State;

impl<S> State<S> {
    fn keep_service(&mut self, state: &ServiceState) -> Committed {
        let kept = self.services.get(&state.service);
        if kept.is_some_and(|kept| kept.number >= state.number) {
            return Committed::Conflict;
        }
        self.services.insert(state.service.clone(), state.clone());
        Committed::Yes
    }
}

impl<S: Send> ServiceStates for Cloud<S> {
    async fn service_state(&self, name: &str) -> Result<Option<ServiceState>, PortError> {
        self.call("ServiceStates::service_state", None, |state| {
            Ok(state.services.get(name).cloned())
        })
        .await
    }

    async fn keep_service_state(&self, state: &ServiceState) -> Result<Committed, PortError> {
        let conflict = Some(Committed::Conflict);
        self.call("ServiceStates::keep_service_state", conflict, |all| {
            Ok(all.keep_service(state))
        })
        .await
    }
}

impl ServiceChanges for OriginCloud {
    async fn keep_and_send_service_state(
        &self,
        state: &ServiceState,
        row: &OutboxRow,
    ) -> Result<Committed, PortError> {
        let conflict = Some(Committed::Conflict);
        self.call("ServiceChanges::keep_and_send_service_state", conflict, |all| {
            let kept = all.keep_service(state);
            if kept == Committed::Yes {
                all.outbox.put(Some(row));
            }
            Ok(kept)
        })
        .await
    }
}
