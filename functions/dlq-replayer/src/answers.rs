//! The JSON of what the use cases answer.

use saga_app::dead_letters::{Item, Notice, Page, Report};
use saga_wire::dead_letter::{Listed, Source};
use serde::Serialize;

#[derive(Serialize)]
struct PageBody<'a> {
    letters: Vec<Listed>,
    next: Option<String>,
    sources: Vec<&'static str>,
    notices: Vec<NoticeBody<'a>>,
}

#[derive(Serialize)]
struct ReportBody<'a> {
    act: &'static str,
    dry_run: bool,
    done: usize,
    failed: usize,
    left: usize,
    ended: &'static str,
    more: bool,
    items: Vec<ItemBody<'a>>,
    notices: Vec<NoticeBody<'a>>,
}

#[derive(Serialize)]
struct ItemBody<'a> {
    id: String,
    saga_id: Option<String>,
    outcome: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
struct NoticeBody<'a> {
    source: &'static str,
    problem: &'a str,
}

/// A page of the list.
pub fn page(page: &Page) -> String {
    json(&PageBody {
        letters: page.dead_letters.iter().map(Listed::of).collect(),
        next: page.next.as_ref().map(ToString::to_string),
        sources: page.sources.iter().copied().map(Source::as_str).collect(),
        notices: notices(&page.notices),
    })
}

/// What a run did, or would do.
pub fn report(report: &Report) -> String {
    json(&ReportBody {
        act: report.act.as_str(),
        dry_run: report.dry_run,
        done: report.done,
        failed: report.failed,
        left: report.left,
        ended: report.ended.as_str(),
        more: report.ended.is_resumable(),
        items: report.items.iter().map(item).collect(),
        notices: notices(&report.notices),
    })
}

/// Any answer.
pub fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

fn item(item: &Item) -> ItemBody<'_> {
    ItemBody {
        id: item.id.to_string(),
        saga_id: item.saga.map(|saga| saga.to_string()),
        outcome: item.disposition.as_str(),
        text: &item.text,
    }
}

fn notices(notices: &[Notice]) -> Vec<NoticeBody<'_>> {
    let each = notices.iter().map(|notice| NoticeBody {
        source: notice.source.as_str(),
        problem: &notice.problem,
    });
    each.collect()
}
