//! The names of checks that are found out in passing.

/// The check without which no other can be tried.
pub const ACT_DECIDES: &str = "act-decides";
pub const UNDO_AFTER_ACT: &str = "undo-after-act";
pub const UNDO_BEFORE_ACT: &str = "undo-before-act";
pub const UNDO_TWICE: &str = "undo-twice";
pub const LATER_DECIDES: &str = "later-decides";
pub const REFUSAL_REASON: &str = "refusal-reason";
pub const OUTPUT_RULES: &str = "output-rules";
pub const BODY_BOUND: &str = "body-bound";
pub const CONTENT_TYPE: &str = "content-type";
pub const NO_REDIRECT: &str = "no-redirect";
