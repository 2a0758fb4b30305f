//! Text that others wrote, where a person reads it. Two ids that look alike must be the same id, and nothing in any
//! text may move a terminal's cursor, reorder what stands beside it, or stay unseen.

use icu_properties::props::{
    DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup, NoncharacterCodePoint,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// The longest text of others that is kept or shown, in characters; longer ones are cut.
pub const MAX_SHOWN: usize = 256;

/// The longest text of several lines that is shown, in characters.
const MAX_LINES: usize = 4_096;

/// Blank by name and in every font, though Unicode's properties count them as symbols and letters
/// (<https://www.unicode.org/Public/UCD/latest/ucd/UnicodeData.txt>): BRAILLE PATTERN BLANK, OBJECT REPLACEMENT
/// CHARACTER, KHITAN SMALL SCRIPT FILLER, EGYPTIAN HIEROGLYPH FULL BLANK and HALF BLANK, MUSICAL SYMBOL NULL NOTEHEAD.
const BLANKS: [char; 6] = [
    '\u{2800}',
    '\u{fffc}',
    '\u{16fe4}',
    '\u{13441}',
    '\u{13442}',
    '\u{1d159}',
];

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Whether a character shows nothing of itself, or only turns or joins what stands beside it. White space is not
/// among them; private characters are, because nobody but their owner knows what they show.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    if c.is_whitespace() {
        return false;
    }
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(
        category(c),
        GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse
    ) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(c)
        || BLANKS.contains(&c)
}

/// The rule for an id that `text` breaks, if it breaks one: what can be seen of an id is all that there is to it.
#[must_use]
pub fn id_breaks(text: &str) -> Option<&'static str> {
    let Some(first) = text.chars().find(|c| !c.is_whitespace()) else {
        return Some("must not be empty");
    };
    if text.chars().any(char::is_control) {
        Some("must not hold control characters")
    } else if text.chars().any(is_unseen) {
        Some("must not hold characters that cannot be seen or that reorder others")
    } else if text.chars().any(|c| c.is_whitespace() && c != ' ') {
        Some("must not hold another white space than the plain blank")
    } else if text.starts_with(' ') || text.ends_with(' ') {
        Some("must not begin or end with a blank")
    } else if GeneralCategoryGroup::Mark.contains(category(first)) {
        Some("must not begin with a combining mark")
    } else {
        None
    }
}

/// A character of a text as it is shown.
enum Shown {
    AsIs(char),
    Escaped(char),
}

/// Joiners and the two common variation selectors shape emoji and several scripts. Between characters that they can
/// shape they stay; elsewhere they only hide.
fn shapes(c: char, before: Option<char>, after: Option<char>) -> bool {
    let seen = |c: char| !c.is_ascii() && !c.is_whitespace() && !is_unseen(c);
    let selector = |c: char| matches!(c, '\u{fe0e}' | '\u{fe0f}');
    match c {
        '\u{200c}' | '\u{200d}' => before.is_some_and(|c| seen(c) || selector(c)) && after.is_some_and(seen),
        c if selector(c) => before.is_some_and(seen),
        _ => false,
    }
}

fn each(text: &str) -> impl Iterator<Item = Shown> {
    let mut rest = text.chars().peekable();
    let mut before = None;
    std::iter::from_fn(move || {
        let c = rest.next()?;
        let kept = if c.is_whitespace() {
            Some(' ')
        } else if !is_unseen(c) || shapes(c, before, rest.peek().copied()) {
            Some(c)
        } else {
            None
        };
        before = kept;
        Some(kept.map_or(Shown::Escaped(c), Shown::AsIs))
    })
}

/// `text` as it is kept and shown: up to [`MAX_SHOWN`] characters, every white space a blank, and what cannot be seen
/// or would reorder the rest as `\u{…}`. Showing it again changes nothing.
#[must_use]
pub fn shown(text: &str) -> String {
    shown_within(text, MAX_SHOWN)
}

/// [`shown`], whole: for what was cut when it was stored.
#[must_use]
pub fn shown_whole(text: &str) -> String {
    shown_within(text, usize::MAX)
}

/// [`shown`], with room for `max` characters.
#[must_use]
pub fn shown_within(text: &str, max: usize) -> String {
    let (mut out, mut length) = (String::new(), 0);
    for each in each(text) {
        let (piece, more) = match each {
            Shown::AsIs(c) => (String::from(c), 1),
            Shown::Escaped(c) => {
                let escape = c.escape_unicode().to_string();
                let more = escape.len();
                (escape, more)
            }
        };
        if length + more > max {
            // A joiner joins nothing any more.
            return out.trim_end_matches(['\u{200c}', '\u{200d}']).to_owned();
        }
        out.push_str(&piece);
        length += more;
    }
    out
}

/// [`shown`] for a text of several lines, which stay lines: up to 4,096 characters. Alerts go to queues, mails and chats,
/// and what XML does not hold is not in it.
#[must_use]
pub fn shown_lines(text: &str) -> String {
    let (mut out, mut left) = (String::new(), MAX_LINES);
    for (index, line) in text.lines().enumerate() {
        if index > 0 {
            if left == 0 {
                break;
            }
            out.push('\n');
            left -= 1;
        }
        let line = shown_within(line, left);
        left -= line.chars().count();
        out.push_str(&line);
    }
    out
}

/// Whether a person can read the text as it stands, on one line: it says something, and hides nothing.
#[must_use]
pub fn is_readable(text: &str) -> bool {
    let line_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let says =
        |c: char| !c.is_whitespace() && !is_unseen(c) && !GeneralCategoryGroup::Mark.contains(category(c));
    !text.chars().any(line_break)
        && text.chars().any(says)
        && each(text).all(|each| matches!(each, Shown::AsIs(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_shows_all_that_it_is() {
        for id in [
            "o-1",
            "Order 7",
            "bestellung-ä",
            "注文-1",
            "הזמנה",
            "e\u{301}",
            "हिन्दी",
            "🛒",
            "a@b/c#d",
            "'",
        ] {
            assert_eq!(id_breaks(id), None, "{id:?}");
        }
        for (text, rule) in [
            (" ", "empty"),
            ("\u{3000}\u{a0}", "empty"),
            (" o", "begin or end"),
            ("o ", "begin or end"),
            ("o\u{a0}1", "white space"),
            ("o\u{3000}", "white space"),
            ("o\u{2028}", "white space"),
            ("o\u{85}", "control"),
            ("o\u{9b}31m", "control"),
            ("o\u{1b}[2J", "control"),
            ("o\t1", "control"),
            ("o\u{7f}", "control"),
            ("\u{301}", "combining"),
            ("\u{20dd}x", "combining"),
        ] {
            let broken = id_breaks(text).unwrap_or_default();
            assert!(broken.contains(rule), "{text:?}: {broken}");
        }
        // Zero width, bidi, fillers, selectors, tags, non-characters, private ones, blanks with a name.
        for unseen in [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{180b}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2063}',
            '\u{2065}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{2800}',
            '\u{3164}',
            '\u{e000}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{fffc}',
            '\u{fffe}',
            '\u{ffff}',
            '\u{fdd0}',
            '\u{1bca0}',
            '\u{1d159}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{f0000}',
            '\u{10fffe}',
            '\u{10ffff}',
        ] {
            assert!(id_breaks(&format!("o{unseen}1")).is_some(), "{unseen:?}");
            assert!(id_breaks(&String::from(unseen)).is_some(), "{unseen:?}");
            let escape = unseen.escape_unicode().to_string();
            assert_eq!(shown(&format!("o{unseen}1")), format!("o{escape}1"));
            assert!(!is_readable(&format!("o{unseen}1")), "{unseen:?}");
        }
    }

    #[test]
    fn a_text_is_shown_so_that_nothing_in_it_acts() {
        for (text, is) in [
            ("plain ä 注文 🛒", "plain ä 注文 🛒"),
            ("two\nlines\tand\u{a0}more\u{2028}", "two lines and more "),
            ("\u{1b}[31mred\u{9b}0m\u{7}", "\\u{1b}[31mred\\u{9b}0m\\u{7}"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("a\u{200d}b\u{200b}", "a\\u{200d}b\\u{200b}"),
            // What shapes emoji and scripts stays where it does.
            ("👩\u{200d}❤\u{fe0f}\u{200d}👨", "👩\u{200d}❤\u{fe0f}\u{200d}👨"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            (
                "ä\u{200d}\u{200d}ä\u{fe0f}\u{fe0f}",
                "ä\\u{200d}\\u{200d}ä\u{fe0f}\\u{fe0f}",
            ),
            ("ä\u{200c}", "ä\\u{200c}"),
        ] {
            assert_eq!(shown(text), is);
            assert_eq!(shown(is), is, "once more");
        }
    }

    #[test]
    fn a_text_is_cut_and_no_escape_with_it() {
        assert_eq!(shown(&"ä".repeat(300)), "ä".repeat(MAX_SHOWN));
        assert_eq!(shown_within("abc\u{200b}", 10), "abc");
        assert_eq!(shown_within("abc\u{200b}", 11), "abc\\u{200b}");
        let joined = shown_within("äää\u{200d}ä", 4);
        assert_eq!((joined.as_str(), shown(&joined)), ("äää", "äää".to_owned()));
    }

    #[test]
    fn lines_stay_lines_and_the_whole_is_bounded() {
        assert_eq!(shown_lines("a\u{1b}b\n\nc\td"), "a\\u{1b}b\n\nc d");
        let all: String = ('\0'..=char::MAX).collect();
        let whole: String = all.lines().map(|line| shown_within(line, usize::MAX)).collect();
        let in_xml = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
        assert_eq!(whole.chars().find(|c| !in_xml(*c)), None);
        let long = format!("{}\nmore\nlines", "x".repeat(5_000));
        assert_eq!(shown_lines(&long), "x".repeat(4_096));
        // Line breaks count like all others.
        let many = shown_lines(&"ä\n".repeat(5_000));
        assert_eq!(many, "ä\n".repeat(2_048));
        assert_eq!(shown_lines(&"\n".repeat(100_000)).len(), 4_096);
    }

    #[test]
    fn a_readable_text_says_something_on_one_line() {
        for text in [
            "too dear",
            " a ",
            "ä",
            "👩\u{200d}❤\u{fe0f}\u{200d}👨",
            "cinquante\u{202f}€",
        ] {
            assert!(is_readable(text), "{text:?}");
        }
        for text in [
            "",
            " ",
            "\u{a0}",
            "\u{301}",
            "a\nb",
            "a\u{2029}b",
            "a\u{202e}b",
            "a\u{1b}b",
        ] {
            assert!(!is_readable(text), "{text:?}");
        }
    }
}
