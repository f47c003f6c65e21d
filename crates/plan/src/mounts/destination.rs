//! Where a mount goes.

use crate::builder::Builder;
use kan_spec::config::Mount;

/// Where a mount goes, as the container sees it. The specification lets a relative destination start at
/// `/`. As in runc (`StripRoot`), a destination that begins with the root's own path on the host means
/// what lies in the root.
pub(crate) fn inside(b: &Builder<'_>, mount: &Mount) -> String {
    let path = &mount.destination;
    let root = b.config.root.as_ref().map(|root| b.bundle_path(&root.path));
    let below = root.and_then(|root| {
        // Most destinations differ from the root in their first name.
        let first = |path| parts(path).next();
        if !path.contains("..") && !root.contains("..") && first(path) != first(&root) {
            return None;
        }
        let mut rest = cleaned(path).into_iter();
        let root = cleaned(&root);
        let is_inside = !root.is_empty() && root.iter().all(|part| rest.next() == Some(part));
        is_inside.then(|| rest.collect::<Vec<_>>().join("/"))
    });
    match below {
        Some(below) => format!("/{below}"),
        None if path.starts_with('/') => path.clone(),
        None => format!("/{path}"),
    }
}

/// The names of a path, `..` taken as it is written.
fn cleaned(path: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for part in parts(path) {
        match part {
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names
}

/// The names that a path is made of.
pub(crate) fn parts(path: &str) -> impl Iterator<Item = &str> + Clone {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}
