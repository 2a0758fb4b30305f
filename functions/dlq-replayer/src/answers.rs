//! The JSON of what the use cases answer.

use saga_app::dead_letters::{Notice, Page, Report};
use saga_wire::dead_letter::{Source, listed};
use serde_json::{Value, json};

/// A page of the list.
pub fn page(page: &Page) -> Value {
    json!({
        "letters": page.dead_letters.iter().map(listed).collect::<Vec<_>>(),
        "next": page.next.as_ref().map(ToString::to_string),
        "sources": page.sources.iter().copied().map(Source::as_str).collect::<Vec<_>>(),
        "notices": notices(&page.notices),
    })
}

/// What a run did, or would do.
pub fn report(report: &Report) -> Value {
    let items = report.items.iter().map(|item| {
        json!({
            "id": item.id.to_string(),
            "saga_id": item.saga.map(|saga| saga.to_string()),
            "outcome": item.disposition.as_str(),
            "text": item.text,
        })
    });
    json!({
        "act": report.act.as_str(),
        "dry_run": report.dry_run,
        "done": report.done,
        "failed": report.failed,
        "left": report.left,
        "ended": report.ended.as_str(),
        "more": report.ended.is_resumable(),
        "items": items.collect::<Vec<_>>(),
        "notices": notices(&report.notices),
    })
}

fn notices(notices: &[Notice]) -> Vec<Value> {
    let each = notices.iter();
    each.map(|notice| json!({ "source": notice.source.as_str(), "problem": notice.problem }))
        .collect()
}
