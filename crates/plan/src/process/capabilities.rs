//! `process.capabilities`: config.md, Linux Process; capabilities(7).

use crate::builder::Builder;
use crate::linux::seccomp;
use crate::linux::user_namespace;
use crate::words::names;
use caps::Capability;
use kan_op::InitStep;
use kan_spec::config::Capabilities;
use linux_raw_sys::general::CAP_SYS_ADMIN;
use std::collections::BTreeSet;

/// The five sets, bit n for capability n.
#[derive(Clone, Copy, Default)]
struct Sets {
    bounding: u64,
    effective: u64,
    inheritable: u64,
    permitted: u64,
    ambient: u64,
}

/// Up to CAP_CHECKPOINT_RESTORE (Linux 5.9), the last one there is.
const EVERY: u64 = (1 << 41) - 1;

const FIELD: &str = "process.capabilities";

/// Init: what is not in the bounding set is dropped from it, while that is still allowed.
pub(crate) fn drop_bounding(b: &mut Builder<'_>) {
    let sets = resolve(b);
    // Whoever enters a user namespace has everything there, in the bounding set too.
    let before = if user_namespace::is_used(b) {
        EVERY
    } else {
        b.facts.bounding
    };
    let drop = before & !sets.bounding;
    b.init(format!("{FIELD}.bounding"), InitStep::DropBounding { drop });
}

/// Init: the other sets, as the user. A process without `capabilities` has none.
pub(crate) fn set(b: &mut Builder<'_>) {
    let (sets, warnings) = resolve_with_warnings(b);
    b.plan.warnings.extend(warnings);
    check(b, sets);
    let Sets {
        effective,
        inheritable,
        permitted,
        ambient,
        ..
    } = sets;
    // Kept for the filter alone, until `set_last`.
    let kept = if seccomp::is_loaded_with_privilege(b) {
        1 << CAP_SYS_ADMIN
    } else {
        0
    };
    b.init(
        FIELD,
        InitStep::SetCapabilities {
            effective: effective | kept,
            permitted: permitted | kept,
            inheritable,
        },
    );
    if ambient != 0 {
        let step = InitStep::RaiseAmbient {
            capabilities: ambient,
        };
        b.init(format!("{FIELD}.ambient"), step);
    }
}

/// Init: the same sets without what was kept for the filter.
pub(crate) fn set_last(b: &mut Builder<'_>) {
    if !seccomp::is_loaded_with_privilege(b) {
        return;
    }
    let Sets {
        effective,
        permitted,
        inheritable,
        ..
    } = resolve(b);
    b.init(
        FIELD,
        InitStep::SetCapabilities {
            effective,
            permitted,
            inheritable,
        },
    );
}

fn resolve(b: &Builder<'_>) -> Sets {
    resolve_with_warnings(b).0
}

/// Names to bits. The spec wants a warning for what can't be had: an unknown name, one that kan
/// itself lacks, or an ambient one that is not inheritable.
fn resolve_with_warnings<'c>(b: &Builder<'c>) -> (Sets, Vec<String>) {
    let named = b
        .process()
        .and_then(|process| process.capabilities.as_ref());
    let Some(named) = named else {
        return (Sets::default(), Vec::new());
    };
    let available = if user_namespace::is_used(b) {
        EVERY
    } else {
        b.facts.permitted
    };
    let mut unknown = BTreeSet::new();
    let mut bits = |names: &'c [String]| {
        names.iter().fold(0, |set, name| match number(name) {
            Some(bit) if bit & available != 0 => set | bit,
            _ => {
                unknown.insert(name.as_str());
                set
            }
        })
    };
    let mut sets = all_sets(named, &mut bits);
    let mut warnings = Vec::new();
    if !unknown.is_empty() {
        let list = names::some_of(&unknown);
        warnings.push(format!(
            "ignoring unknown or unavailable capabilities: [{list}]"
        ));
    }
    let impossible = sets.ambient & !(sets.inheritable & sets.permitted);
    if impossible != 0 {
        sets.ambient &= !impossible;
        warnings
            .push("can't raise ambient capabilities that are not inheritable and permitted".into());
    }
    (sets, warnings)
}

fn all_sets<'c>(named: &'c Capabilities, bits: &mut impl FnMut(&'c [String]) -> u64) -> Sets {
    Sets {
        bounding: bits(&named.bounding),
        effective: bits(&named.effective),
        inheritable: bits(&named.inheritable),
        permitted: bits(&named.permitted),
        ambient: bits(&named.ambient),
    }
}

/// The names that are known, in the order of their numbers: for `kan features`.
pub(crate) fn names() -> Vec<String> {
    let mut all: Vec<_> = caps::all().into_iter().collect();
    all.sort_unstable_by_key(|capability| capability.index());
    all.iter().map(ToString::to_string).collect()
}

fn number(name: &str) -> Option<u64> {
    name.parse::<Capability>()
        .ok()
        .map(|capability| capability.bitmask())
}

/// What capset(2) would refuse, said before anything is made.
fn check(b: &mut Builder<'_>, sets: Sets) {
    if sets.effective & !sets.permitted != 0 {
        b.problem(
            format!("{FIELD}.effective"),
            "operation not permitted: not all of it is in the permitted set",
        );
    }
    if sets.inheritable & !sets.bounding != 0 {
        b.problem(
            format!("{FIELD}.inheritable"),
            "operation not permitted: not all of it is in the bounding set",
        );
    }
}
