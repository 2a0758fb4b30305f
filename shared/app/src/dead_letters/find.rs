//! One dead letter, and what a replay of it would come to.

use saga_wire::dead_letter::{DeadLetter, DeadLetterId, join};

use super::foresee::{foresee, saga_of};
use super::look::look;
use super::source::Wanted;
use super::{Ports, Prospect};
use crate::ports::{PortError, SagaStore, Time};

/// The end of a search for one dead letter.
#[derive(Debug)]
pub enum Found {
    /// The dead letter, and what a replay would come to.
    Here(Box<DeadLetter>, Prospect),
    /// It is not there, or not now, for this reason.
    No(String),
}

/// Finds one dead letter; a part of a body with the whole body, where all of it is there.
///
/// # Errors
/// [`PortError`] when its source or the saga store fails.
pub async fn find<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    id: &DeadLetterId,
) -> Result<Found, PortError> {
    let (sources, _) = ports.chosen(|source| source == id.source);
    let Some(source) = sources.first() else {
        return Ok(Found::No(format!(
            "{}: {}",
            id.source,
            ports.why_absent(id.source)
        )));
    };
    let wanted = Wanted {
        keys: Some([id.key.clone()].into()),
        ..Wanted::default()
    };
    let mut found = None;
    let looked = look(source, ports.time, wanted, |one| {
        if one.id == *id {
            found = Some(one);
        }
        found.is_none()
    })
    .await?;
    let Some(mut found) = found else {
        let gone = format!("there is no dead letter {id}: it was replayed or discarded, or has expired");
        return Ok(Found::No(looked.incomplete.unwrap_or(gone)));
    };
    if let Some(part) = &found.facts.part {
        let mut others = Vec::new();
        look(source, ports.time, Wanted::default(), |other| {
            let of = other.facts.part.as_ref();
            if of.is_some_and(|of| of.sha256 == part.sha256) {
                others.push(other);
            }
            true
        })
        .await?;
        // What is not whole is shown as the part that it is.
        found = join(&found, &others).unwrap_or(found);
    }
    let saga = match found.facts.saga {
        Some(id) => saga_of(ports, id).await?,
        None => None,
    };
    let prospect = foresee(ports, &found, saga.as_ref()).await?;
    Ok(Found::Here(Box::new(found), prospect))
}
