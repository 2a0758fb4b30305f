//! Which module of a crate imports which, read from its source, and the circles among them.
//!
//! A module is a file. It imports another when its code outside tests names something of it, in a `use` or in a path. A
//! re-export (`pub use`) is a signpost: what is imported through it comes from where the item is defined.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;
use syn::{Attribute, Item, UseTree, Visibility};

type ModulePath = Vec<String>;

/// The circles among a crate's modules, each as the names of its modules, sorted. Empty is good.
///
/// `files` are paths below `src` with their text.
///
/// # Errors
/// A file that is no Rust.
pub fn circles(files: &[(String, String)]) -> syn::Result<Vec<Vec<String>>> {
    let modules: BTreeMap<ModulePath, Module> = files
        .iter()
        .map(|(file, text)| Ok((module_path(file), Module::read(text)?)))
        .collect::<syn::Result<_>>()?;
    let mut edges = BTreeMap::<&ModulePath, BTreeSet<&ModulePath>>::new();
    for (path, module) in &modules {
        for named in &module.named {
            let target = resolve(&modules, path, named, 0);
            edges
                .entry(path)
                .or_default()
                .extend(target.filter(|target| *target != path));
        }
    }
    Ok(connected(&modules, &edges))
}

/// The path of the module that a file below `src` is.
fn module_path(file: &str) -> ModulePath {
    let file = file.trim_end_matches(".rs");
    let file = file.strip_suffix("/mod").unwrap_or(file);
    match file {
        "lib" | "main" | "mod" => Vec::new(),
        _ => file.split('/').map(str::to_owned).collect(),
    }
}

#[derive(Default)]
struct Module {
    /// Paths that its code names.
    named: BTreeSet<Vec<String>>,
    /// What it re-exports: the name (`*` for all), and from where.
    re_exports: Vec<(String, Vec<String>)>,
}

impl Module {
    fn read(text: &str) -> syn::Result<Self> {
        let mut module = Self::default();
        module.visit_file(&syn::parse_file(text)?);
        Ok(module)
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Ident>()
                    .is_ok_and(|name| name == "test"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        _ => &[],
    }
}

/// Each branch of a `use` tree: the path, and the name that it gets here.
fn branches(tree: &UseTree, before: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => branches(&path.tree, &with(&path.ident), found),
        UseTree::Group(group) => group.items.iter().for_each(|item| branches(item, before, found)),
        UseTree::Name(name) if name.ident == "self" => {
            found.push((before.last().cloned().unwrap_or_default(), before.to_vec()));
        }
        UseTree::Name(name) => found.push((name.ident.to_string(), with(&name.ident))),
        UseTree::Rename(rename) => found.push((rename.rename.to_string(), with(&rename.ident))),
        UseTree::Glob(_) => found.push(("*".to_owned(), before.to_vec())),
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return;
        }
        if let Item::Use(item) = item {
            let mut found = Vec::new();
            branches(&item.tree, &[], &mut found);
            if matches!(item.vis, Visibility::Inherited) {
                self.named.extend(found.into_iter().map(|(_, path)| path));
            } else {
                self.re_exports.extend(found);
            }
            return;
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let names = path.segments.iter().map(|segment| segment.ident.to_string());
            self.named.insert(names.collect());
        }
        syn::visit::visit_path(self, path);
    }
}

/// The module that a path leads to, seen from `from`; `None` when it leads out of the crate.
fn resolve<'a>(
    modules: &'a BTreeMap<ModulePath, Module>,
    from: &ModulePath,
    named: &[String],
    depth: usize,
) -> Option<&'a ModulePath> {
    let (mut at, rest): (ModulePath, &[String]) = match named.first()?.as_str() {
        "crate" => (Vec::new(), &named[1..]),
        "self" => (from.clone(), &named[1..]),
        "super" => {
            let up = named.iter().take_while(|name| *name == "super").count();
            (from[..from.len().checked_sub(up)?].to_vec(), &named[up..])
        }
        first => {
            // A child of this module, or a crate.
            let child = [from.as_slice(), &[first.to_owned()]].concat();
            modules.contains_key(&child).then_some((from.clone(), named))?
        }
    };
    let mut rest = rest.iter();
    for name in rest.by_ref() {
        let deeper = [at.as_slice(), std::slice::from_ref(name)].concat();
        if modules.contains_key(&deeper) {
            at = deeper;
            continue;
        }
        let (here, module) = modules.get_key_value(&at)?;
        let through = module
            .re_exports
            .iter()
            .find(|(exported, _)| exported == name)
            .filter(|_| depth < 8);
        return match through {
            Some((_, path)) => resolve(modules, here, path, depth + 1).or(Some(here)),
            None => Some(here),
        };
    }
    modules.get_key_value(&at).map(|(here, _)| here)
}

/// The groups of modules each of which reaches each other.
fn connected(
    modules: &BTreeMap<ModulePath, Module>,
    edges: &BTreeMap<&ModulePath, BTreeSet<&ModulePath>>,
) -> Vec<Vec<String>> {
    let reached = |from: &ModulePath| {
        let (mut todo, mut seen) = (vec![from.clone()], BTreeSet::new());
        while let Some(one) = todo.pop() {
            for next in edges.get(&one).into_iter().flatten() {
                if seen.insert((*next).clone()) {
                    todo.push((*next).clone());
                }
            }
        }
        seen
    };
    let reach: BTreeMap<_, _> = modules.keys().map(|path| (path, reached(path))).collect();
    let mut found = BTreeSet::new();
    for (path, its) in &reach {
        let circle: Vec<String> = its
            .iter()
            .filter(|other| reach[other].contains(*path))
            .map(name_of)
            .collect();
        if !circle.is_empty() {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn name_of(path: &ModulePath) -> String {
    if path.is_empty() {
        "the crate's root".to_owned()
    } else {
        path.join("::")
    }
}
