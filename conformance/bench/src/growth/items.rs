//! `run` with more and more of one thing in the config.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Curve, Growth, Promise};
use crate::config::Payload;
use crate::process::timed_payload;
use crate::rounds::interleave;
use crate::runtime::Runtime;
use crate::samples::Figure;
use crate::scenarios::Bench;
use crate::view::{View, cgroup2};

/// Samples per point and runtime, at most.
const SAMPLES: usize = 15;
/// Bytes of a variable or an argument.
const LENGTH: usize = 96;

/// One thing that a config can have many of.
struct Kind {
    axis: &'static str,
    points: &'static [usize],
    /// Puts so many of them into the config of a container with this rootfs.
    add: fn(&mut Value, usize, &Path),
}

impl Kind {
    fn row(&self, count: usize) -> String {
        format!("run ({count} {})", self.axis)
    }
}

/// 18,000 times [`LENGTH`], with the terminating zero and a pointer each, is close to the quarter of
/// the stack's limit, 2 MiB, that all arguments and variables of a program may take (execve(2)).
const KINDS: [Kind; 5] = [
    Kind {
        axis: "mounts",
        points: &[10, 30, 100, 300, 1000],
        add: mounts,
    },
    Kind {
        axis: "variables",
        points: &[10, 1000, 6000, 18000],
        add: variables,
    },
    Kind {
        axis: "arguments",
        points: &[10, 1000, 6000, 18000],
        add: arguments,
    },
    Kind {
        axis: "seccomp rules",
        points: &[0, 10, 100, 300, 1000],
        add: rules,
    },
    Kind {
        axis: "hooks",
        points: &[0, 10, 30, 100],
        add: hooks,
    },
];

/// All of them.
pub fn measure(bench: &Bench<'_>, runtimes: &[&Runtime]) -> Growth {
    let mut growth = Growth::default();
    for kind in KINDS {
        growth.figures.extend(runs(bench, runtimes, &kind));
        growth.curves.push(Curve {
            title: "run".to_owned(),
            axis: kind.axis,
            points: kind.points.iter().map(|&n| (n, kind.row(n))).collect(),
            promise: Promise::Linear,
        });
    }
    growth
}

/// All points of all runtimes in turn, so that whatever else the machine does bends no curve.
fn runs(bench: &Bench<'_>, runtimes: &[&Runtime], kind: &Kind) -> Vec<Figure> {
    let container = |count: usize| format!("{}-{count}", kind.axis.replace(' ', "-"));
    let each = |&count: &usize| {
        let runtimes = runtimes.iter();
        runtimes.map(move |runtime| (count, runtime.with_container(&container(count))))
    };
    let runners: Vec<(usize, Runtime)> = kind.points.iter().flat_map(each).collect();
    let contenders = runners.iter().map(|(count, runtime)| {
        let bundle = bundle(bench, runtime, kind, *count);
        bench.contender(runtime, move || {
            let bundle = bundle.clone()?;
            let mut run = runtime.run(&bundle, &cgroup2(View::V2));
            timed_payload(&mut run, bench.stderr)
        })
    });
    let samples = SAMPLES.min(bench.samples);
    let figures = interleave("", samples, contenders.collect());
    let named = figures.into_iter().zip(&runners);
    named
        .map(|(figure, (count, _))| Figure {
            what: kind.row(*count),
            ..figure
        })
        .collect()
}

/// A bundle with so many of what `axis` names.
pub fn bundle_with(
    bench: &Bench<'_>,
    runtime: &Runtime,
    axis: &str,
    count: usize,
) -> Result<PathBuf, String> {
    let kind = KINDS.iter().find(|kind| kind.axis == axis);
    let kind = kind.ok_or_else(|| format!("{axis}: nothing that grows"))?;
    bundle(bench, runtime, kind, count)
}

/// The bundle of this runtime's container.
fn bundle(
    bench: &Bench<'_>,
    runtime: &Runtime,
    kind: &Kind,
    count: usize,
) -> Result<PathBuf, String> {
    bench
        .workspace
        .variant(runtime, Payload::End, View::V2, |config| {
            let rootfs = config["root"]["path"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            (kind.add)(config, count, Path::new(&rootfs));
        })
}

/// Bind mounts of one directory, as volumes are, at mount points that the rootfs has.
fn mounts(config: &mut Value, count: usize, rootfs: &Path) {
    let Some(mounts) = config["mounts"].as_array_mut() else {
        return;
    };
    for index in 0..count {
        // Where it can't be made, the runtime says so.
        let _ = std::fs::create_dir_all(rootfs.join(format!("m/{index}")));
        mounts.push(json!({
            "destination": format!("/m/{index}"), "type": "bind", "source": rootfs.join("sys"),
            "options": ["bind", "ro", "nosuid"],
        }));
    }
}

fn variables(config: &mut Value, count: usize, _: &Path) {
    let words =
        (0..count).map(|index| json!(format!("V{index:06}={:x<width$}", "", width = LENGTH - 8)));
    config["process"]["env"] = words.collect();
}

fn arguments(config: &mut Value, count: usize, _: &Path) {
    let words = (1..count).map(|index| json!(format!("{index:x<LENGTH$}")));
    config["process"]["args"] = [json!("/payload")].into_iter().chain(words).collect();
}

/// Calls that every container makes or that fail in it, so that a rule hurts nobody: each rule
/// looks at one argument, of one of these calls, for one value.
const RULED: [&str; 8] = [
    "ioctl",
    "fcntl",
    "prctl",
    "personality",
    "socket",
    "kcmp",
    "quotactl",
    "syslog",
];

fn rules(config: &mut Value, count: usize, _: &Path) {
    if count == 0 {
        return;
    }
    let rules = (0..count).map(|index| {
        json!({
            "names": [RULED[index % RULED.len()]], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
            "args": [{ "index": 2, "value": 0x7000_0000 + index, "op": "SCMP_CMP_EQ" }],
        })
    });
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules.collect::<Vec<_>>(),
    });
}

/// Each a process that ends at once, on the host.
fn hooks(config: &mut Value, count: usize, rootfs: &Path) {
    let hook = json!({ "path": rootfs.join("payload"), "args": ["payload", "as", "hook"] });
    config["hooks"] = json!({ "createRuntime": vec![hook; count] });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::config;

    fn with(add: fn(&mut Value, usize, &Path), count: usize) -> Value {
        let mut config = config("x", Payload::End, View::V2, Path::new("/b"));
        // Mount points are made in it.
        let rootfs = std::env::temp_dir().join(format!("kan-bench-items-{}", std::process::id()));
        add(&mut config, count, &rootfs);
        let _ = std::fs::remove_dir_all(&rootfs);
        config
    }

    #[test]
    fn there_are_as_many_as_wanted() {
        let count = |value: &Value| value.as_array().map_or(0, Vec::len);
        assert_eq!(count(&with(mounts, 10)["mounts"]), 17);
        assert_eq!(count(&with(variables, 10)["process"]["env"]), 10);
        assert_eq!(count(&with(arguments, 10)["process"]["args"]), 10);
        assert_eq!(count(&with(rules, 10)["linux"]["seccomp"]["syscalls"]), 10);
        assert_eq!(count(&with(hooks, 10)["hooks"]["createRuntime"]), 10);
        assert_eq!(with(rules, 0)["linux"]["seccomp"], Value::Null);
    }

    #[test]
    fn the_most_words_fit_into_a_quarter_of_the_stack() {
        for (add, field) in [
            (variables as fn(&mut Value, usize, &Path), "env"),
            (arguments, "args"),
        ] {
            let config = with(add, 18000);
            let words = config["process"][field].as_array().unwrap();
            let bytes: usize = words
                .iter()
                .map(|word| word.as_str().unwrap().len() + 9)
                .sum();
            assert!((1_800_000..2 << 20).contains(&bytes), "{bytes}");
        }
    }
}
