//! What a container uses, in the shape of runc's `events`: field names, units, and which fields are
//! left out when they are 0 (runc's `types/events.go`).

pub(crate) mod events;
pub(crate) mod oom;
pub(crate) mod report;

mod keyed;
mod v1;
mod v2;

use crate::locate::place::{Kind, Placement};
use crate::stats::report::Stats;

/// What the container uses now. What its cgroups cannot tell, for want of a controller or because
/// they are gone, is 0, as in runc.
#[must_use]
pub fn stats(placement: &Placement) -> Stats {
    let mut stats = Stats::default();
    for dir in placement.directories() {
        let path = dir.path();
        match dir.kind() {
            Kind::Unified => v2::all(&path, &mut stats),
            Kind::Hybrid => v2::beside_v1(&path, &mut stats),
            Kind::V1 => v1::of_hierarchy(dir, &path, &mut stats),
            Kind::Named => {}
        }
    }
    stats
}

/// For conformance/fuzz: a text as each of the small files.
#[cfg(feature = "fuzzing")]
pub(crate) fn parse_every_way(text: &str) {
    keyed::flat(text);
    keyed::list(text);
    keyed::device(text);
    keyed::parse_pressure(text);
    v2::block_io(text, &mut Stats::default());
}
