//! The store contract, held against the adapters that need nothing but memory.

use saga_memory::{OriginCloud, StepCloud};

async fn empty_origin() -> Option<OriginCloud> {
    Some(OriginCloud::new())
}

async fn empty_steps() -> Option<StepCloud> {
    Some(StepCloud::new())
}

saga_tests::saga_store_contract!(memory_sagas, empty_origin);
saga_tests::step_store_contract!(memory_steps, empty_steps);
