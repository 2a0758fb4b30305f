//! A page of the list: source by source, in the order of the letters' keys.
//!
//! A queue has no order and no place to go on from, so each page walks it from its front and keeps the letters with
//! the smallest keys after the cursor. That costs a pass a page; in return a page is the same whoever asks, nothing
//! stays hidden between two pages, and memory is bounded by the page. Rows and blobs have an order: a look that took too
//! long before it came to a page's end goes on from there with the next page.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use saga_wire::dead_letter::{DeadLetter, DeadLetterId, Listed, Source};

use super::command::Filter;
use super::find::{Looked, look};
use super::ports::{LetterSource, Walk};
use super::{Notice, Ports, notice, problem};
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

/// The letters that the filter takes, after `after`, at most `limit`. A source that cannot be read hides no other: it
/// has a notice.
pub async fn list<S, T: Time>(
    ports: &Ports<'_, S, T>,
    filter: &Filter,
    after: Option<&DeadLetterId>,
    limit: usize,
) -> Page {
    let limit = limit.clamp(1, MAX_PAGE);
    let first = after.map(|after| after.source);
    let (sources, mut notices) = ports.chosen(|source| {
        filter.source.is_none_or(|only| only == source) && first.is_none_or(|first| source >= first)
    });
    let pages = sources.iter().map(|source| {
        let after = after.filter(|after| after.source == source.source());
        smallest(
            *source,
            ports.time,
            filter,
            after.map(|after| after.key.clone()),
            limit + 1,
        )
    });
    let (mut letters, mut stopped) = (Vec::new(), None);
    for (source, page) in sources.iter().zip(join_all(pages).await) {
        match page {
            Ok((found, looked)) => {
                letters.extend(found);
                if let Some(key) = looked.last {
                    // The page ends here, and the next one goes on from there.
                    let source = source.source();
                    stopped = Some(DeadLetterId { source, key });
                    break;
                }
                notices.extend(looked.incomplete.map(|why| notice(source.source(), why)));
            }
            Err(error) => notices.push(problem(source.source(), &error)),
        }
    }
    let mut bytes = 0;
    let fits = letters
        .iter()
        .take(limit)
        .enumerate()
        .take_while(|(index, letter)| {
            bytes += Listed::of(letter).bytes_of_json();
            *index == 0 || bytes <= MAX_PAGE_BYTES
        });
    let fits = fits.count();
    let cut = fits.checked_sub(1).filter(|_| fits < letters.len());
    let next = cut.map(|last| letters[last].id.clone()).or(stopped);
    letters.truncate(fits);
    Page {
        dead_letters: letters,
        next,
        sources: sources.iter().map(|source| source.source()).collect(),
        notices,
    }
}

async fn smallest(
    source: &dyn LetterSource,
    time: &impl Time,
    filter: &Filter,
    after: Option<String>,
    count: usize,
) -> Result<(Vec<DeadLetter>, Looked), PortError> {
    let mut kept = BTreeMap::<String, DeadLetter>::new();
    let ordered = !source.is_queue();
    let walk = Walk {
        after: after.clone(),
        ..Walk::default()
    };
    let looked = look(source, time, walk, |letter| {
        if after.as_ref().is_none_or(|after| letter.id.key > *after) && filter.takes(&letter) {
            kept.insert(letter.id.key.clone(), letter.without_body());
            if kept.len() > count {
                kept.pop_last();
            }
        }
        !(ordered && kept.len() >= count)
    })
    .await?;
    Ok((kept.into_values().collect(), looked))
}
