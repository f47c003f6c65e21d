//! `linux.resources.cpu`: the cpu and cpuset controllers.

use super::planner::{Home, Planner, said};
use kan_op::Setting;
use kan_spec::config::Cpu;

/// `cpus`, `mems`: the files have the same names in both versions.
pub(super) fn sets(p: &mut Planner<'_>, cpu: &Cpu) {
    let lists = [
        ("cpu.cpus", "cpuset.cpus", &cpu.cpus),
        ("cpu.mems", "cpuset.mems", &cpu.mems),
    ];
    let given = lists
        .into_iter()
        .filter_map(|(field, file, list)| Some((field, file, list.as_deref()?)));
    let settings = given
        .filter(|(_, _, list)| !list.is_empty())
        .map(|(field, file, list)| p.set(field, file, list))
        .collect();
    p.add("cpu", "cpuset", settings);
}

/// Everything else.
pub(super) fn time(p: &mut Planner<'_>, cpu: &Cpu) {
    let settings = match p.home("cpu") {
        Home::V1 => v1(p, cpu),
        Home::V2 => v2(p, cpu),
    };
    p.add("cpu", "cpu", settings);
}

/// sched-bwc.rst, sched-rt-group.rst. What must be below something else comes after it; where
/// older values are in the way, it is tried again.
fn v1(p: &mut Planner<'_>, cpu: &Cpu) -> Vec<Setting> {
    let shares = said(cpu.shares).map(|shares| {
        check_shares(p, shares);
        p.set("cpu.shares", "cpu.shares", shares)
    });
    let mut settings = weight_and_idle(p, cpu, shares);
    let period = said(cpu.period).map(|period| p.set("cpu.period", "cpu.cfs_period_us", period));
    let quota = said(cpu.quota).map(|quota| p.set("cpu.quota", "cpu.cfs_quota_us", quota.max(-1)));
    let burst = cpu
        .burst
        .map(|burst| p.set("cpu.burst", "cpu.cfs_burst_us", burst));
    let rt_period = said(cpu.realtime_period)
        .map(|period| p.set("cpu.realtimePeriod", "cpu.rt_period_us", period));
    let rt_runtime = said(cpu.realtime_runtime)
        .map(|runtime| p.set("cpu.realtimeRuntime", "cpu.rt_runtime_us", runtime));
    let all = [period, quota, burst, rt_period, rt_runtime];
    settings.extend(all.into_iter().flatten());
    settings
}

/// The kernel would take the nearest value that it has, and say nothing.
fn check_shares(p: &mut Planner<'_>, shares: u64) {
    let (least, most) = (2, 262_144);
    if shares < least {
        p.problem(
            "cpu.shares",
            format!("the minimum allowed cpu-shares is {least}"),
        );
    } else if shares > most {
        p.problem(
            "cpu.shares",
            format!("the maximum allowed cpu-shares is {most}"),
        );
    }
}

/// cgroup-v2.rst, CPU Interface Files.
fn v2(p: &mut Planner<'_>, cpu: &Cpu) -> Vec<Setting> {
    let realtime = [
        ("cpu.realtimePeriod", said(cpu.realtime_period).is_some()),
        ("cpu.realtimeRuntime", said(cpu.realtime_runtime).is_some()),
    ];
    for (field, _) in realtime.into_iter().filter(|(_, is_there)| *is_there) {
        p.problem(
            field,
            "the cpu controller of cgroup v2 has no realtime limits",
        );
    }
    let weight = said(cpu.shares).map(|shares| p.set("cpu.shares", "cpu.weight", weight(shares)));
    let mut settings = weight_and_idle(p, cpu, weight);
    settings.extend(bandwidth(p, cpu));
    let burst = cpu
        .burst
        .map(|burst| p.set("cpu.burst", "cpu.max.burst", burst));
    settings.extend(burst);
    settings
}

/// `cpu.max` holds both, so the other is said as it is.
fn bandwidth(p: &Planner<'_>, cpu: &Cpu) -> Option<Setting> {
    let (quota, period) = (said(cpu.quota), said(cpu.period));
    let field = match (quota, period) {
        (None, None) => return None,
        (None, Some(_)) => "cpu.period",
        _ => "cpu.quota",
    };
    let quota = match quota {
        Some(quota @ 1..) => quota.to_string(),
        Some(_) => "max".into(),
        None => p.present.quota.clone(),
    };
    let period = period.unwrap_or(p.present.period);
    Some(p.set(field, "cpu.max", format!("{quota} {period}")))
}

/// An idle cgroup takes no weight, and one that ceases to be idle gets the default weight
/// (`sched_group_set_idle`, kernel/sched/fair.c).
fn weight_and_idle(p: &Planner<'_>, cpu: &Cpu, weight: Option<Setting>) -> Vec<Setting> {
    let idle = cpu.idle.map(|idle| p.set("cpu.idle", "cpu.idle", idle));
    let both = match cpu.idle {
        Some(1) => [weight, idle],
        _ => [idle, weight],
    };
    both.into_iter().flatten().collect()
}

/// Shares of v1 (2 to 262144, default 1024) as a weight of v2 (1 to 10000, default 100): the power
/// of ten whose exponent is the quadratic function of log2 that meets both ends and the
/// default, as in runc 1.4 and crun 1.23. The older linear rule made 39 of the default.
fn weight(shares: u64) -> u32 {
    let (least, most) = (1, 10_000);
    let Ok(shares) = u32::try_from(shares.min(262_144)) else {
        return most;
    };
    if shares <= 2 {
        return least;
    }
    let log = f64::from(shares).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    let wanted = 10_f64.powf(exponent);
    // Rounded up. Without a cast: the first of all weights that is not below it.
    let (mut low, mut high) = (least, most);
    while low < high {
        let middle = (low + high) / 2;
        if f64::from(middle) < wanted {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::weight;

    /// The values of runc's and crun's tests.
    #[test]
    fn shares_become_weights() {
        for (shares, expected) in [
            (1, 1),
            (2, 1),
            (3, 2),
            (100, 17),
            (128, 21),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (262_143, 10_000),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        let all: Vec<_> = (2..=262_144).step_by(97).map(weight).collect();
        assert!(all.is_sorted());
    }
}
