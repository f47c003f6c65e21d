//! `linux.resources.unified`: files of cgroup v2 by name.

use super::planner::{Home, Planner};
use crate::Cgroups;

/// After all other limits, which it may override. A value of several lines is written line by
/// line, as the kernel wants it.
pub(super) fn unified(p: &mut Planner<'_>, files: &[(String, String)]) {
    for (file, value) in files {
        let field = kan_spec::member("unified", file);
        let controller = file.split('.').next().unwrap_or_default().to_owned();
        if let Some(why) = refusal(p, file, value, &controller) {
            p.problem(&field, why);
            continue;
        }
        let lines = match value.is_empty() {
            true => vec![""],
            false => value.lines().collect(),
        };
        let settings = lines
            .into_iter()
            .map(|line| p.set(&field, file.clone(), line))
            .collect();
        p.add("unified", controller, settings);
    }
}

fn refusal(p: &Planner<'_>, file: &str, value: &str, controller: &str) -> Option<String> {
    let has_v2 = match p.cgroups {
        Cgroups::Unified(_) => true,
        Cgroups::Legacy(facts) => facts.iter().any(|fact| fact.is_v2),
        Cgroups::Absent | Cgroups::Own { .. } => false,
    };
    if !has_v2 {
        return Some("invalid configuration: cannot use unified on cgroup v1".into());
    }
    if p.home(controller) == Home::V1 {
        return Some(format!(
            "invalid configuration: the {controller} controller of this host is in cgroup v1"
        ));
    }
    let has_nul = file.contains('\0') || value.contains('\0');
    has_nul.then(|| "contains a NUL character".into())
}
