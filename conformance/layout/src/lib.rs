//! Which files of a crate import which: from `use` declarations and from paths.
//!
//! Only what is compiled into the program counts: modules under `#[cfg(test)]` do not. A re-export
//! (`pub use`) is no import of the file that it stands in; whoever uses it imports the file in which
//! the item is defined.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, File, Ident, Item, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// The path of a module in its crate; empty for the crate's root.
type Module = Vec<String>;

/// The files of a crate, each with the files that it imports, by their paths below `src`.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// Reads the imports of the crate whose sources are in `src`.
///
/// # Panics
/// If a file can't be read or is not valid Rust.
#[must_use]
pub fn imports(src: &Path) -> Imports {
    let modules = Modules::read(src);
    let mut all = Imports::new();
    for (module, (path, file)) in &modules.files {
        let mut finder = Finder {
            modules: &modules,
            module: module.clone(),
            found: BTreeSet::new(),
        };
        finder.visit_file(file);
        finder.found.remove(path);
        all.insert(path.clone(), finder.found);
    }
    all
}

/// Groups of files that import each other, directly or by way of others.
#[must_use]
pub fn cycles(imports: &Imports) -> Vec<Vec<String>> {
    let reach = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<_> = imports[from].iter().collect();
        while let Some(file) = next.pop() {
            if seen.insert(file) {
                next.extend(&imports[file]);
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = imports.keys().map(|file| (file, reach(file))).collect();
    let mut groups = BTreeSet::new();
    for (file, to) in &reached {
        let group: Vec<_> = to
            .iter()
            .filter(|other| reached[**other].contains(*file))
            .map(|other| (*other).clone())
            .collect();
        if group.len() > 1 {
            groups.insert(group);
        }
    }
    groups.into_iter().collect()
}

/// The modules of a crate that have files of their own, and what each re-exports.
struct Modules {
    files: BTreeMap<Module, (String, File)>,
    /// A module and a name in it, with the path that the name stands for.
    exported: BTreeMap<(Module, String), Module>,
}

impl Modules {
    fn read(src: &Path) -> Self {
        let mut modules = Self {
            files: BTreeMap::new(),
            exported: BTreeMap::new(),
        };
        for root in ["lib.rs", "main.rs"] {
            if src.join(root).exists() {
                modules.add(src, Path::new(root), Vec::new());
                break;
            }
        }
        modules.collect_exports();
        modules
    }

    fn add(&mut self, src: &Path, path: &Path, module: Module) {
        let text = fs::read_to_string(src.join(path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let children: Vec<_> = file
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Mod(child) if child.content.is_none() && !is_test(&child.attrs) => {
                    Some(child.ident.to_string())
                }
                _ => None,
            })
            .collect();
        self.files
            .insert(module.clone(), (path.display().to_string(), file));
        let below = match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("lib" | "main" | "mod") => path.with_file_name(""),
            _ => path.with_extension(""),
        };
        for child in children {
            let one = below.join(format!("{child}.rs"));
            let directory = below.join(&child).join("mod.rs");
            let mut inner = module.clone();
            inner.push(child);
            let found: Option<PathBuf> = [one, directory]
                .into_iter()
                .find(|path| src.join(path).exists());
            if let Some(path) = found {
                self.add(src, &path, inner);
            }
        }
    }

    fn collect_exports(&mut self) {
        let mut exported = BTreeMap::new();
        for (module, (_, file)) in &self.files {
            for item in &file.items {
                if let Item::Use(item) = item
                    && !matches!(item.vis, Visibility::Inherited)
                {
                    for (path, name) in names(&item.tree) {
                        if let Some(path) = self.absolute(module, &path) {
                            exported.insert((module.clone(), name), path);
                        }
                    }
                }
            }
        }
        self.exported = exported;
    }

    /// The path from the crate's root; `None` for a path into another crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let mut base = module.clone();
        match first.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop();
                let mut rest = rest;
                while let Some((next, after)) = rest.split_first()
                    && next == "super"
                {
                    base.pop();
                    rest = after;
                }
                base.extend(rest.iter().cloned());
                return Some(base);
            }
            _ => {
                base.push(first.clone());
                if !self.files.contains_key(&base) {
                    return None;
                }
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The file in which the item of this path, or the last module on the way to it, stands.
    fn file_of(&self, path: &Module) -> Option<&str> {
        let mut path = path.clone();
        // More than any chain of re-exports is long.
        for _ in 0..8 {
            let length = (0..=path.len())
                .rev()
                .find(|length| self.files.contains_key(&path[..*length]))?;
            let module = path[..length].to_vec();
            let stands_for = path
                .get(length)
                .and_then(|name| self.exported.get(&(module.clone(), name.clone())));
            match stands_for {
                Some(target) => {
                    let mut next = target.clone();
                    next.extend_from_slice(&path[length + 1..]);
                    path = next;
                }
                None => return Some(&self.files[&module].0),
            }
        }
        None
    }
}

/// Each path of a `use` declaration, with the name that it gets.
fn names(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    match tree {
        UseTree::Path(path) => names(&path.tree)
            .into_iter()
            .map(|(mut rest, name)| {
                rest.insert(0, path.ident.to_string());
                (rest, name)
            })
            .collect(),
        UseTree::Name(name) if name.ident == "self" => vec![(Vec::new(), String::new())],
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(name) => vec![(vec![name.ident.to_string()], name.rename.to_string())],
        UseTree::Glob(_) => vec![(Vec::new(), String::new())],
        UseTree::Group(group) => group.items.iter().flat_map(names).collect(),
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<Ident>()
                .is_ok_and(|name| name == "test")
    })
}

struct Finder<'m> {
    modules: &'m Modules,
    module: Module,
    found: BTreeSet<String>,
}

impl Finder<'_> {
    fn note(&mut self, path: &[String]) {
        let absolute = self.modules.absolute(&self.module, path);
        if let Some(file) = absolute.and_then(|path| self.modules.file_of(&path)) {
            self.found.insert(file.to_owned());
        }
    }

    /// Paths in a macro's arguments, which are tokens only.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if path.is_empty() || colons == 2 => {
                    path.push(name.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.note_tokens(group.stream()),
                _ => {}
            }
            if path.len() > 1 {
                self.note(&path);
            }
            path.clear();
            colons = 0;
        }
        if path.len() > 1 {
            self.note(&path);
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) && item.content.is_some() {
            // A path of `super` in it begins in this file.
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if matches!(item.vis, Visibility::Inherited) {
            for (path, _) in names(&item.tree) {
                self.note(&path);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if names.len() > 1 {
            self.note(&names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.note_tokens(item.tokens.clone());
    }
}
