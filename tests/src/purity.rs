//! What the source of a pure crate may say. The core and the participants decide, and what they decide depends on nothing
//! but what they are given: no file, network, process, thread, clock, environment or chance, and nothing kept between calls.
//!
//! Code reaches those through the standard library, that is, through the names `std`, `core` and `alloc` or one of their
//! macros, or through a crate that it depends on ([`crate::architecture`] lists those). So the three names may be followed
//! by nothing but a module on a list, and macros are on a list, too. The source is read as tokens: comments and texts say
//! what they like, and no alias, brace or raw name gets past.

use std::collections::BTreeSet;
use std::str::FromStr;

use proc_macro2::{Delimiter, Ident, LexError, TokenStream, TokenTree};

/// The modules of the standard library that only compute. One that also keeps, waits for or reaches something is not here.
const MODULES: [&str; 26] = [
    "any",
    "array",
    "ascii",
    "borrow",
    "boxed",
    "char",
    "clone",
    "cmp",
    "collections",
    "convert",
    "default",
    "error",
    "fmt",
    "hash",
    "iter",
    "marker",
    "mem",
    "num",
    "ops",
    "option",
    "rc",
    "result",
    "slice",
    "str",
    "string",
    "vec",
];

/// The macros of the standard library that only compute.
const MACROS: [&str; 15] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "concat",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "format",
    "format_args",
    "matches",
    "panic",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// What differs from run to run, by whatever way its name comes in.
const CHANCE: [&str; 8] = [
    "DefaultHasher",
    "HashMap",
    "HashSet",
    "RandomState",
    "new_v4",
    "now_v1",
    "now_v6",
    "now_v7",
];

/// The words after which `!` is a negation.
const BEFORE_A_NEGATION: [&str; 9] = [
    "break", "else", "if", "in", "match", "move", "return", "while", "yield",
];

/// What is impure in the files of one crate, given by name and content: each finding with its file and line. Empty is good.
///
/// # Errors
/// [`LexError`] when one is no Rust.
pub fn impure(files: &[(String, String)]) -> Result<Vec<String>, LexError> {
    let parsed = files
        .iter()
        .map(|(file, text)| Ok((file, TokenStream::from_str(text)?)));
    let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
    let mut reader = Reader::default();
    for (_, stream) in &parsed {
        reader.learn_macros(stream.clone());
    }
    for (file, stream) in parsed {
        reader.file.clone_from(file);
        reader.read(stream);
    }
    Ok(reader.found)
}

#[derive(Default)]
struct Reader {
    file: String,
    /// The macros that the crate defines. What they say is read where they say it.
    own_macros: BTreeSet<String>,
    found: Vec<String>,
}

fn name(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

fn ident(tree: Option<&TokenTree>) -> Option<&Ident> {
    match tree {
        Some(TokenTree::Ident(ident)) => Some(ident),
        _ => None,
    }
}

fn is_punct(tree: Option<&TokenTree>, wanted: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

impl Reader {
    fn learn_macros(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        for (at, tree) in trees.iter().enumerate() {
            match tree {
                TokenTree::Group(group) => self.learn_macros(group.stream()),
                TokenTree::Ident(word) if name(word) == "macro_rules" => {
                    self.own_macros.extend(ident(trees.get(at + 2)).map(name));
                }
                _ => {}
            }
        }
    }

    fn report(&mut self, at: &Ident, what: &str) {
        let line = at.span().start().line;
        self.found
            .push(format!("{}:{line}: `{}` {what}", self.file, name(at)));
    }

    fn read(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        for (at, tree) in trees.iter().enumerate() {
            let after = &trees[at + 1..];
            match tree {
                TokenTree::Group(group) => self.read(group.stream()),
                TokenTree::Ident(word) => self.word(word, after),
                _ => {}
            }
        }
    }

    fn word(&mut self, word: &Ident, after: &[TokenTree]) {
        let said = name(word);
        match said.as_str() {
            "std" | "core" | "alloc" => self.library(word, after),
            "extern" => self.report(word, "reaches code that nobody can read here"),
            "path" if is_punct(after.first(), '=') => {
                self.report(word, "takes source from where it is not read")
            }
            "thread_local" => self.report(word, "keeps something between calls"),
            _ if CHANCE.contains(&said.as_str()) => self.report(word, "differs from run to run"),
            _ if said.starts_with("__") => {
                self.report(word, "is a door that a crate leaves to its own macros")
            }
            _ => {}
        }
        let call = is_punct(after.first(), '!') && matches!(after.get(1), Some(TokenTree::Group(_)));
        let known = |list: &[&str]| list.contains(&said.as_str());
        if call && !known(&BEFORE_A_NEGATION) && !known(&MACROS) && !self.own_macros.contains(&said) {
            self.report(word, "is no macro of which it is known that it only computes");
        }
    }

    /// The standard library is named: what of it?
    fn library(&mut self, library: &Ident, after: &[TokenTree]) {
        let path = is_punct(after.first(), ':') && is_punct(after.get(1), ':');
        match after.get(2) {
            Some(TokenTree::Ident(module)) if path => self.module(module),
            Some(TokenTree::Group(group)) if path && group.delimiter() == Delimiter::Brace => {
                let trees: Vec<TokenTree> = group.stream().into_iter().collect();
                for item in trees.split(|tree| is_punct(Some(tree), ',')) {
                    match item.first() {
                        None => {}
                        Some(TokenTree::Ident(module)) => self.module(module),
                        Some(_) => self.report(library, "is used in a way that cannot be followed"),
                    }
                }
            }
            _ => self.report(library, "is used in a way that cannot be followed"),
        }
    }

    fn module(&mut self, module: &Ident) {
        if !MODULES.contains(&name(module).as_str()) {
            self.report(
                module,
                "is no module of the standard library of which it is known that it only computes",
            );
        }
    }
}
