//! Dead letters as the services of both clouds keep them → [`DeadLetter`]. One file an envelope.
//!
//! Invariant: nothing that is stored is hidden. Whatever cannot be read becomes a dead letter, too, with its body whole
//! and the reason why it cannot be read.

mod blob;
mod facts;
mod id;
mod lambda;
mod model;
mod parts;
mod quarantine;
mod row;
mod sqs;
mod storage_queue;
mod view;

pub use blob::{BlobEvent, blob};
pub use facts::{Facts, Part, facts, said};
pub use id::{DeadLetterId, InvalidDeadLetterId, Source};
pub use lambda::stream;
pub use model::{DeadLetter, Destination, Forward};
pub use parts::join;
pub use quarantine::{azure_quarantine, quarantine};
pub use row::{Row, row};
pub use sqs::{Received, destination, events};
pub use storage_queue::poison;
pub use view::{Listed, Shown};
