//! Puts mutants behind a switch: `saga-mutation TREE < mutants.json` rewrites the files of TREE so that each mutant of the
//! list is there beside the original, active when `saga_mutation_switch::on` says so. Prints the numbers of those that are in.
//!
//! The list is cargo-mutants' own (`--list --json`), with a number each. A mutant that no expression can hold, such as one in
//! a constant, is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::{env, fs, io};

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, quote};
use serde::Deserialize;
use syn::visit_mut::{self, VisitMut};
use syn::{Arm, BinOp, Block, Expr, ExprBinary, ExprStruct, Signature, UnOp, parse_quote};

/// One line of cargo-mutants' list.
#[derive(Deserialize, Clone)]
struct Mutant {
    number: usize,
    file: String,
    genre: String,
    replacement: String,
    span: MutantSpan,
}

#[derive(Deserialize, Clone)]
struct MutantSpan {
    start: Place,
}

/// A line and a column, both from 1.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    fn of(span: Span) -> Self {
        let start = span.start();
        Self {
            line: start.line,
            column: start.column + 1,
        }
    }

    fn of_first(tokens: impl ToTokens) -> Option<Self> {
        tokens
            .into_token_stream()
            .into_iter()
            .next()
            .map(|token| Self::of(token.span()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let tree = env::args()
        .nth(1)
        .ok_or("usage: saga-mutation TREE < mutants.json")?;
    let list: Vec<Mutant> = serde_json::from_reader(io::stdin().lock())?;
    let mut files: BTreeMap<String, Vec<Mutant>> = BTreeMap::new();
    for mutant in list {
        files.entry(mutant.file.clone()).or_default().push(mutant);
    }
    for (file, mutants) in files {
        let path = Path::new(&tree).join(file);
        let mut source = syn::parse_file(&fs::read_to_string(&path)?)?;
        let mut switches = Switches::new(mutants);
        switches.visit_file_mut(&mut source);
        fs::write(&path, prettyplease::unparse(&source))?;
        for number in switches.built_in {
            println!("{number}");
        }
    }
    Ok(())
}

struct Switches {
    at: BTreeMap<Place, Vec<Mutant>>,
    built_in: BTreeSet<usize>,
}

/// Whether the mutant is active, as an expression.
fn active(mutant: &Mutant) -> Expr {
    let number = Literal::usize_unsuffixed(mutant.number);
    parse_quote!(::saga_mutation_switch::on(#number))
}

/// Only a condition may hold a `let`, and no other expression around it.
fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        Expr::Paren(inner) => has_let(&inner.expr),
        _ => false,
    }
}

impl Switches {
    fn new(mutants: Vec<Mutant>) -> Self {
        let mut at: BTreeMap<Place, Vec<Mutant>> = BTreeMap::new();
        for mutant in mutants {
            at.entry(mutant.span.start).or_default().push(mutant);
        }
        Self {
            at,
            built_in: BTreeSet::new(),
        }
    }

    fn take(&self, place: Option<Place>, genre: &str) -> Vec<Mutant> {
        let here = place.and_then(|place| self.at.get(&place)).into_iter().flatten();
        here.filter(|mutant| mutant.genre == genre).cloned().collect()
    }

    /// `place`: where the body began before anything was changed in it.
    fn body(&mut self, signature: &Signature, place: Option<Place>, body: &mut Block) {
        if signature.constness.is_some() {
            return;
        }
        for mutant in self.take(place, "FnValue") {
            if let Ok(value) = syn::parse_str::<Expr>(&mutant.replacement) {
                let active = active(&mutant);
                body.stmts.insert(0, parse_quote!(if #active { return #value; }));
                self.built_in.insert(mutant.number);
            }
        }
    }

    fn choose(&mut self, mutant: &Mutant, instead: impl ToTokens, expression: &mut Expr) {
        let active = active(mutant);
        let tokens: TokenStream = quote!((if #active { #instead } else { #expression }));
        if let Ok(choice) = syn::parse2(tokens) {
            *expression = choice;
            self.built_in.insert(mutant.number);
        }
    }
}

fn start(body: &Block) -> Option<Place> {
    body.stmts.first().and_then(Place::of_first)
}

impl VisitMut for Switches {
    fn visit_item_fn_mut(&mut self, function: &mut syn::ItemFn) {
        let place = start(&function.block);
        visit_mut::visit_item_fn_mut(self, function);
        self.body(&function.sig, place, &mut function.block);
    }

    fn visit_impl_item_fn_mut(&mut self, function: &mut syn::ImplItemFn) {
        let place = start(&function.block);
        visit_mut::visit_impl_item_fn_mut(self, function);
        self.body(&function.sig, place, &mut function.block);
    }

    fn visit_trait_item_fn_mut(&mut self, function: &mut syn::TraitItemFn) {
        let place = function.default.as_ref().and_then(start);
        visit_mut::visit_trait_item_fn_mut(self, function);
        if let Some(body) = &mut function.default {
            self.body(&function.sig, place, body);
        }
    }

    // No switch can be asked while a constant is computed.
    fn visit_item_const_mut(&mut self, _: &mut syn::ItemConst) {}
    fn visit_impl_item_const_mut(&mut self, _: &mut syn::ImplItemConst) {}
    fn visit_item_static_mut(&mut self, _: &mut syn::ItemStatic) {}

    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        let original = expression.clone();
        visit_mut::visit_expr_mut(self, expression);
        match &original {
            Expr::Binary(binary) if !has_let(&original) => {
                for mutant in self.take(Place::of_first(binary.op), "BinaryOperator") {
                    if let Ok(op) = syn::parse_str::<BinOp>(&mutant.replacement) {
                        let instead = ExprBinary { op, ..binary.clone() };
                        self.choose(&mutant, instead, expression);
                    }
                }
            }
            Expr::Unary(unary) if !matches!(unary.op, UnOp::Deref(_)) => {
                for mutant in self.take(Place::of_first(unary.op), "UnaryOperator") {
                    self.choose(&mutant, &unary.expr, expression);
                }
            }
            Expr::Struct(whole) => {
                for field in &whole.fields {
                    for mutant in self.take(Place::of_first(field), "StructField") {
                        let others = whole.fields.iter().filter(|other| other.member != field.member);
                        let mut instead = ExprStruct {
                            fields: others.cloned().collect(),
                            ..whole.clone()
                        };
                        // Before `..rest`.
                        if !instead.fields.is_empty() {
                            instead.fields.push_punct(Default::default());
                        }
                        self.choose(&mutant, instead, expression);
                    }
                }
            }
            _ => {}
        }
    }

    fn visit_arm_mut(&mut self, arm: &mut Arm) {
        let place = Place::of_first(&*arm);
        let guard_place = arm.guard.as_ref().and_then(|(_, guard)| Place::of_first(guard));
        let with_let = arm.guard.as_ref().is_some_and(|(_, guard)| has_let(guard));
        visit_mut::visit_arm_mut(self, arm);
        if with_let {
            return;
        }
        if let Some((_, guard)) = &mut arm.guard {
            for mutant in self.take(guard_place, "MatchArmGuard") {
                let active = active(&mutant);
                let original = guard.clone();
                **guard = if mutant.replacement.contains("true") {
                    parse_quote!((#active || (#original)))
                } else {
                    parse_quote!((!#active && (#original)))
                };
                self.built_in.insert(mutant.number);
            }
        }
        for mutant in self.take(place, "MatchArm") {
            let active = active(&mutant);
            let guard: Expr = match &arm.guard {
                Some((_, guard)) => parse_quote!((!#active && (#guard))),
                None => parse_quote!(!#active),
            };
            arm.guard = Some((Default::default(), Box::new(guard)));
            self.built_in.insert(mutant.number);
        }
    }
}
