//! Fields that this version of kan does not carry out yet. Refused, never ignored.

use crate::builder::Builder;
use kan_spec::config::{Linux, NamespaceType};

/// What is said of a field that is not planned; `kan features` goes by it.
pub(crate) const NOT_YET: &str = "is not supported by this version of kan";

/// Notes a problem for each field that would be needed and is not planned.
pub(crate) fn refuse(b: &mut Builder<'_>) {
    let config = b.config;
    let mut fields = Vec::new();
    fields.extend(config.linux.iter().flat_map(linux));
    for field in fields {
        b.problem(field, NOT_YET);
    }
    if !b.has_namespace(NamespaceType::Mount) {
        let why = "a container without a mount namespace is not supported by this version of kan";
        b.problem("linux.namespaces", why);
    }
}

type Fields = Vec<&'static str>;

/// The names whose value is there.
fn present(all: &[(&'static str, bool)]) -> Fields {
    all.iter()
        .filter(|(_, is_there)| *is_there)
        .map(|(name, _)| *name)
        .collect()
}

fn linux(linux: &Linux) -> Fields {
    present(&[("linux.mountLabel", linux.mount_label.is_some())])
}
