//! A page of the list: source by source, in the order of the dead letters' keys.
//!
//! A queue has no order and no place to go on from, so each page walks it from its front and keeps the dead letters with
//! the smallest keys after the cursor. That costs a pass a page; in return a page is the same whoever asks, nothing
//! stays hidden between two pages, and memory is bounded by the page. Rows and blobs have an order: a look that took too
//! long before it came to a page's end goes on from there with the next page.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use saga_wire::dead_letter::{DeadLetter, DeadLetterId, Source, listed};

use super::command::Filter;
use super::look::{Looked, look};
use super::source::{DeadLetterSource, Wanted};
use super::{Notice, Ports, problem};
use crate::ports::{PortError, Time};

/// At most so many dead letters in one page of the list. A page of a queue costs a pass over it, so pages are large.
pub const MAX_PAGE: usize = 5_000;
/// A page has fewer dead letters, if their lines are longer than this: a function may answer with 6 MB.
const MAX_PAGE_BYTES: usize = 4_000_000;

/// A page of the list.
#[derive(Debug)]
pub struct Page {
    /// The dead letters, without their bodies.
    pub dead_letters: Vec<DeadLetter>,
    /// The page after this one follows this dead letter, if there may be one.
    pub next: Option<DeadLetterId>,
    /// The sources that were looked at.
    pub sources: Vec<Source>,
    /// What kept the list from being whole.
    pub notices: Vec<Notice>,
}

/// The dead letters that the filter takes, after `after`, at most `limit`. A source that cannot be read hides no other: it
/// has a notice.
pub async fn list<S, T: Time>(
    ports: &Ports<'_, S, T>,
    filter: &Filter,
    after: Option<&DeadLetterId>,
    limit: usize,
) -> Page {
    let limit = limit.clamp(1, MAX_PAGE);
    let (sources, mut notices) = ports.chosen(|source| {
        filter.source.is_none_or(|only| only == source) && after.is_none_or(|after| source >= after.source)
    });
    let pages = sources.iter().map(|source| {
        let after = after.filter(|after| after.source == source.source());
        let after = after.map(|after| after.key.clone());
        smallest(source, ports.time, filter, after, limit + 1)
    });
    let pages = join_all(pages).await;
    let sources: Vec<Source> = sources.iter().map(|source| source.source()).collect();
    let (mut dead_letters, mut stopped) = (Vec::new(), None);
    for (&source, page) in sources.iter().zip(pages) {
        match page {
            Ok((found, looked)) => {
                dead_letters.extend(found);
                if let Some(key) = looked.last {
                    // The page ends here, and the next one goes on from there.
                    stopped = Some(DeadLetterId { source, key });
                    break;
                }
                notices.extend(looked.incomplete.map(|why| Notice::new(source, why)));
            }
            Err(error) => notices.push(problem(source, &error)),
        }
    }
    let (mut bytes, mut fits) = (0, 0_usize);
    for dead_letter in dead_letters.iter().take(limit) {
        bytes += listed(dead_letter).to_string().len();
        if fits > 0 && bytes > MAX_PAGE_BYTES {
            break;
        }
        fits += 1;
    }
    let cut = fits.checked_sub(1).filter(|_| fits < dead_letters.len());
    let next = cut.map(|last| dead_letters[last].id.clone()).or(stopped);
    dead_letters.truncate(fits);
    Page {
        dead_letters,
        next,
        sources,
        notices,
    }
}

async fn smallest(
    source: &DeadLetterSource,
    time: &impl Time,
    filter: &Filter,
    after: Option<String>,
    count: usize,
) -> Result<(Vec<DeadLetter>, Looked), PortError> {
    let mut kept = BTreeMap::<String, DeadLetter>::new();
    let ordered = source.queue().is_none();
    let wanted = Wanted {
        after: after.clone(),
        ..Wanted::default()
    };
    let looked = look(source, time, wanted, |one| {
        if after.as_ref().is_none_or(|after| one.id.key > *after) && filter.takes(&one) {
            kept.insert(one.id.key.clone(), one.without_body());
            if kept.len() > count {
                kept.pop_last();
            }
        }
        !(ordered && kept.len() >= count)
    })
    .await?;
    Ok((kept.into_values().collect(), looked))
}
