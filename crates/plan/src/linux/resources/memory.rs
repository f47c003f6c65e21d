//! `linux.resources.memory`.

use super::planner::{Home, Planner, said};
use kan_op::{IfMissing, Setting, Usage};
use kan_spec::config::Memory;

pub(super) fn memory(p: &mut Planner<'_>, memory: &Memory) {
    for (field, value) in [("kernel", memory.kernel), ("kernelTCP", memory.kernel_tcp)] {
        if said(value).is_some() {
            // The kernel deprecates them (memcg v1) or has none (v2).
            let warning = format!("{}memory.{field}: kernel memory limits are ignored", p.at);
            p.planned.warnings.push(warning);
        }
    }
    let asked = Asked::of(p, memory);
    let settings = match p.home("memory") {
        Home::V1 => v1(p, memory, asked),
        Home::V2 => v2(p, memory, asked),
    };
    p.add("memory", "memory", settings);
}

/// The two limits that depend on each other, in bytes; -1 is none.
#[derive(Clone, Copy)]
struct Asked {
    limit: Option<i64>,
    /// Memory and swap together.
    both: Option<i64>,
    checked: bool,
}

impl Asked {
    fn of(p: &mut Planner<'_>, memory: &Memory) -> Self {
        let asked = Self {
            limit: said(memory.limit),
            both: said(memory.swap),
            checked: memory.check_before_update == Some(true),
        };
        if let (Some(limit @ 1..), Some(both @ 1..)) = (asked.limit, asked.both)
            && both < limit
        {
            p.problem("memory.swap", "memory+swap limit should be >= memory limit");
        }
        asked
    }

    /// Without limit, memory would otherwise still meet that of memory and swap together.
    fn frees_both(self) -> bool {
        self.limit == Some(-1) && self.both.is_none()
    }

    fn above(self, name: &'static str, limit: i64, file: &'static str) -> Option<Usage> {
        let limit = u64::try_from(limit).ok()?;
        self.checked.then_some(Usage { name, limit, file })
    }
}

const MEMORY: &str = "memory limit";
const BOTH: &str = "memory+swap limit";

/// cgroup-v1/memory.rst. `memory.memsw` is there only with swap accounting.
fn v1(p: &mut Planner<'_>, memory: &Memory, asked: Asked) -> Vec<Setting> {
    const USAGE: &str = "memory.usage_in_bytes";
    let mut settings = Vec::new();
    if let Some(limit) = asked.limit {
        settings.push(Setting {
            above: asked.above(MEMORY, limit, USAGE),
            ..p.set("memory.limit", "memory.limit_in_bytes", limit)
        });
    }
    let both = match asked.frees_both() {
        true => Some(("memory.limit", -1)),
        false => asked.both.map(|both| ("memory.swap", both)),
    };
    if let Some((field, both)) = both {
        settings.push(Setting {
            above: asked.above(BOTH, both, USAGE),
            if_missing: if_unlimited(both == -1),
            ..p.set(field, "memory.memsw.limit_in_bytes", both)
        });
    }
    let others = [
        said(memory.reservation)
            .map(|soft| p.set("memory.reservation", "memory.soft_limit_in_bytes", soft)),
        (memory.disable_oom_killer == Some(true))
            .then(|| p.set("memory.disableOOMKiller", "memory.oom_control", 1)),
        memory
            .swappiness
            .map(|value| p.set("memory.swappiness", "memory.swappiness", value)),
        memory.use_hierarchy.map(|value| {
            p.set(
                "memory.useHierarchy",
                "memory.use_hierarchy",
                u8::from(value),
            )
        }),
    ];
    settings.extend(others.into_iter().flatten());
    settings
}

/// cgroup-v2.rst, Memory Interface Files.
fn v2(p: &mut Planner<'_>, memory: &Memory, asked: Asked) -> Vec<Setting> {
    refuse_v1_only(p, memory);
    const USAGE: &str = "memory.current";
    let text = |bytes: i64| match bytes {
        -1 => "max".to_owned(),
        bytes => bytes.to_string(),
    };
    let mut settings = Vec::new();
    if let Some((field, swap)) = swap(p, asked) {
        settings.push(Setting {
            above: asked.both.and_then(|both| asked.above(BOTH, both, USAGE)),
            if_missing: if_unlimited(swap <= 0),
            ..p.set(field, "memory.swap.max", text(swap))
        });
    }
    if let Some(limit) = asked.limit {
        settings.push(Setting {
            above: asked.above(MEMORY, limit, USAGE),
            ..p.set("memory.limit", "memory.max", text(limit))
        });
    }
    let low = said(memory.reservation);
    settings.extend(low.map(|low| p.set("memory.reservation", "memory.low", text(low))));
    settings
}

/// Swap alone, which is what v2 limits, with the field that asks for it. On a host without swap
/// accounting nothing needs to be done for "none" and for "any".
fn swap(p: &mut Planner<'_>, asked: Asked) -> Option<(&'static str, i64)> {
    if asked.frees_both() {
        return Some(("memory.limit", -1));
    }
    let both = asked.both?;
    let swap = match asked.limit.or(p.present.memory) {
        _ if both == -1 => -1,
        Some(-1) => both,
        Some(limit) if limit <= both => both - limit,
        Some(_) => {
            p.problem("memory.swap", "memory+swap limit should be >= memory limit");
            return None;
        }
        None => {
            p.problem(
                "memory.swap",
                "unable to set swap limit without memory limit",
            );
            return None;
        }
    };
    Some(("memory.swap", swap))
}

fn if_unlimited(is_so: bool) -> IfMissing {
    if is_so {
        IfMissing::Skip
    } else {
        IfMissing::Fail
    }
}

/// v2 has no such thing, or has it always: `useHierarchy` is true there.
fn refuse_v1_only(p: &mut Planner<'_>, memory: &Memory) {
    let asked = [
        ("memory.swappiness", memory.swappiness.is_some()),
        (
            "memory.disableOOMKiller",
            memory.disable_oom_killer == Some(true),
        ),
        ("memory.useHierarchy", memory.use_hierarchy == Some(false)),
    ];
    for (field, _) in asked.into_iter().filter(|(_, is_asked)| *is_asked) {
        p.problem(field, "the memory controller of cgroup v2 cannot do this");
    }
}
