//! A page of the list: source by source, in the order of the letters' keys.
//!
//! A queue has no order and no place to go on from, so each page walks it from its front and keeps the letters with
//! the smallest keys after the cursor. That costs a pass a page; in return a page is the same whoever asks, nothing
//! stays hidden between two pages, and memory is bounded by the page. Rows and blobs have an order: a look that took too
//! long before it came to a page's end goes on from there with the next page.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use saga_core::dead_letter::{DeadLetter, Filter, LetterId};
use saga_wire::dead_letter::http::{Listed, MAX_PAGE, MAX_PAGE_BYTES, Page};

use super::find::{Looked, look};
use super::ports::{LetterSource, Walk};
use super::{Ports, notice, problem};
use crate::ports::{PortError, Time};

/// The letters that the filter takes, after `after`, at most `limit`. A source that cannot be read hides no other: it
/// has a notice.
pub async fn list<S, T: Time>(
    ports: &Ports<'_, S, T>,
    filter: &Filter,
    after: Option<&LetterId>,
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
                    stopped = Some(LetterId { source, key });
                    break;
                }
                notices.extend(looked.incomplete.map(|why| notice(source.source(), why)));
            }
            Err(error) => notices.push(problem(source.source(), &error)),
        }
    }
    let mut page: Vec<Listed> = Vec::new();
    let mut bytes = 0;
    for letter in letters.iter().take(limit) {
        let line = Listed::of(letter);
        bytes += line.bytes_of_json();
        if bytes > MAX_PAGE_BYTES && !page.is_empty() {
            break;
        }
        page.push(line);
    }
    let last = page.len().checked_sub(1).filter(|_| page.len() < letters.len());
    let next = last.map(|last| letters[last].id.clone()).or(stopped);
    Page {
        next: next.map(|id| id.to_string()),
        letters: page,
        sources: sources.iter().map(|source| source.source().as_str()).collect(),
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
