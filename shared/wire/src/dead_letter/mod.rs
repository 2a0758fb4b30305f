//! Dead letters as the services of both clouds keep them → [`DeadLetter`]. One file an envelope.
//!
//! Invariant: nothing that is stored is hidden. Whatever cannot be read becomes a dead letter, too, with its body whole
//! and the reason why it cannot be read.

mod blob;
mod facts;
mod id;
mod model;
mod quarantine;
mod row;
mod sqs;
mod storage_queue;
mod view;

pub use blob::{BlobEvent, blob};
pub use facts::{Facts, Part, facts, said};
pub use id::{DeadLetterId, InvalidDeadLetterId, Source};
pub use model::{DeadLetter, Destination, Forward, SERVICE_SEPARATOR};
pub use quarantine::{azure_quarantine, join, quarantine};
pub use row::{Row, row};
pub use sqs::{Received, destination, events, service_request, stream};
pub use storage_queue::{azure_service_request, poison};
pub use view::{listed, whole};
