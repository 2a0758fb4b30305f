//! One word for one thing, the field's own: the words that were retired come back nowhere, in code, comments, logs, tests
//! or pages. The glossary is in `shared/README.md`.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use regex_lite::Regex;
use saga_tests::tree::texts;

/// What must not be found in a line, and what to say instead.
const RETIRED: &[(&str, &str)] = &[
    (r"(?i)knock", "trigger"),
    (r"(?i)shel(f|ves)", "archive, store or partition"),
    (r"(?i)stranger", "outside publisher"),
    (r"(?i)parcel", "message"),
    (r"(?i)(^|[^a-z])fates?([^a-z]|$)|Fate", "disposition"),
    (r"(?i)bur(y|ie[ds])", "set aside"),
    (r"(?i)(^|[^a-z])letters?([^a-z]|$)|Letter", "dead letter"),
    (
        r"\bTold[A-Z(:<{,]|_told|told_|\btold[(\[]|\btold\.[a-z_]+\(|\b(let|mut|fn|for|in) told\b|\btold [=:] ",
        "outputs, reported or another name",
    ),
    (r"(?i)\btold (of|once)\b", "reported, or: an alert is sent"),
    (
        r"\bEnds([^a-z. ]|\s*[{=])|\.ends\b|\bends(::| = )|\bends: ([A-Za-z_]+(::|\(|\.\w| \{)|Ends|lifecycle)|(write|read|parse)_ends\b",
        "lifecycle",
    ),
    (r"(?i)\b(the|both|two) ends\b", "lifecycle, or how a saga ends"),
    (
        r"\bBooks[:<{,]|[a-z]Books\b|\bbooks(::|\.rs|\.)|_books|books_|\bmod books|\b(the|our|in) books\b",
        "accounts",
    ),
];

/// Stored and public words stay, and so do a few that only look alike.
const ALLOWED: &[&str] = &[
    // The log field that an alarm reads, its metric, and the alarm.
    r#"outbox-buried|OutboxBuried|\$\.buried|`buried`|"buried"|\bburied = "#,
    // The column of the sagas table.
    r#""Ends"|`Ends`"#,
    // The member of the dead-letter API.
    r#""letters"|`letters`|/letters\b|\bletters: Vec|\.letters\b|rename = "letters"|struct .*letters"#,
    // Its path, operations and schemas, and the column of the archive.
    r#"\{letter\}|"name": "letter"|"(list|replay|discard|show)Letters?"|schemas/Letter["/]|"Letter"(: \{|[,\]])"#,
    // The alphabet.
    r"(?i)(lower-case|upper-case|capital|same) letters?|letters?,? (and )?digits|letters? followed|with a letter\b|letter by letter|letters, then|letters only|three letters|first a letter|other letters|symbols and letters|one letter or one",
    // Dead letters, in every spelling.
    r"(?i)dead[-_ ]?letter(s|ed|ing)?",
];

/// The lines, each with the end of the one before where a phrase was broken across the two.
fn lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut broken = false;
    text.lines().enumerate().map(move |(number, line)| {
        let after_dead = std::mem::replace(&mut broken, line.trim_end().to_lowercase().ends_with("dead"));
        let start = line.trim_start_matches([' ', '/', '!', '#', '*']);
        let line = if after_dead {
            format!("dead {start}")
        } else {
            line.to_owned()
        };
        (number + 1, line)
    })
}

/// Whether it is worth a closer look: most lines are not, and expressions are slow.
fn may_hold_one(line: &str) -> bool {
    let line = line.to_lowercase();
    let roots = [
        "knock", "shel", "stranger", "parcel", "fate", "bur", "letter", "told", "ends", "books",
    ];
    roots.iter().any(|root| line.contains(root))
}

#[test]
fn retired_words_are_nowhere() {
    let retired: Vec<(Regex, &str)> = RETIRED
        .iter()
        .map(|(found, instead)| (Regex::new(found).unwrap(), *instead))
        .collect();
    let allowed: Vec<Regex> = ALLOWED
        .iter()
        .map(|allowed| Regex::new(allowed).unwrap())
        .collect();
    let mut found = Vec::new();
    for (path, text) in texts() {
        let ours = !path.contains("fuzz/corpus")
            && !path.contains("/fixtures/")
            && !path.ends_with("tests/words.rs");
        if !ours || path.ends_with(".lock") || path.ends_with("package-lock.json") {
            continue;
        }
        for (number, line) in lines(&text).filter(|(_, line)| may_hold_one(line)) {
            let line = allowed
                .iter()
                .fold(line, |line, allowed| allowed.replace_all(&line, " ").into_owned());
            for (word, instead) in &retired {
                if word.is_match(&line) {
                    found.push(format!("{path}:{number}: say {instead}: {}", line.trim()));
                }
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} retired words:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn a_retired_word_is_found_and_its_lookalikes_are_not() {
    let retired: Vec<Regex> = RETIRED
        .iter()
        .map(|(found, _)| Regex::new(found).unwrap())
        .collect();
    let allowed: Vec<Regex> = ALLOWED
        .iter()
        .map(|allowed| Regex::new(allowed).unwrap())
        .collect();
    let is_found = |text: &str| {
        lines(text).any(|(_, line)| {
            let line = allowed
                .iter()
                .fold(line, |line, allowed| allowed.replace_all(&line, " ").into_owned());
            retired.iter().any(|word| word.is_match(&line))
        })
    };
    for text in [
        "let letter = 1;",
        "struct LetterBox;",
        "fn a_letter_is_lost()",
        "// a letter of both clouds",
        "Knock::Cancel",
        "saga.ends",
        "enum Ends {",
        "the ends of a saga",
        "is told of once",
        "let told = 1;",
        "what_is_told",
        "Told::new()",
        "row.bury()",
        "the books of both",
        "mod books;",
        "a stranger's event",
        "Parcel { to }",
        "on the shelf",
        "its fate",
    ] {
        assert!(is_found(text), "{text}");
    }
    for text in [
        "a dead\n/// letter of both",
        "DeadLetter",
        "dead_letters",
        "deadletters",
        "16 lower-case letters, digits",
        "\"letters\": []",
        "it ends here",
        "people are told",
        "ends_with",
        "friends",
        "outbox-buried",
        "\"Ends\".into()",
        "Books the shipment",
        "a_saga_that_ends",
        "when a run ends: enough for one",
        "Ends programs that hang",
        "the caller is told.",
    ] {
        assert!(!is_found(text), "{text}");
    }
}
