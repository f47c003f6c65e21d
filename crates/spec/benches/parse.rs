//! How long a config.json of an engine's size takes to read. Run with `cargo bench -p kan-spec`.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 2000;

fn main() {
    let text = engine_like_config();
    kan_spec::parse_config(&text).unwrap();
    report("kan-spec, typed and checked", &text, || {
        black_box(kan_spec::parse_config(black_box(&text)).unwrap());
    });
    report("the JSON tree alone", &text, || {
        black_box(kan_spec::json::Json::parse(black_box(&text)).unwrap());
    });
    report("oci-spec, typed", &text, || {
        let spec: oci_spec::runtime::Spec = serde_json::from_slice(black_box(&text)).unwrap();
        black_box(spec);
    });
}

fn report(what: &str, text: &[u8], mut work: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    let (median, late) = (times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
    println!(
        "{what}: {} bytes, median {median:?}, 99th percentile {late:?}",
        text.len()
    );
}

/// The shape of what podman writes for one container: a seccomp profile of 400 rules with about
/// one system call each in place of a few long rules, 40 annotations, 20 variables, 20 mounts.
fn engine_like_config() -> Vec<u8> {
    let list = |n: usize, item: &dyn Fn(usize) -> String| {
        (0..n).map(item).collect::<Vec<_>>().join(",\n    ")
    };
    let syscalls = list(400, &|n| {
        let argument = r#", "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]"#;
        let args = if n % 10 == 0 { argument } else { "" };
        format!(
            r#"{{"names": ["system_call_{n}", "other_call_{n}", "another_call_{n}"], "action": "SCMP_ACT_ALLOW"{args}}}"#
        )
    });
    let mounts = list(20, &|n| {
        format!(
            r#"{{"destination": "/mnt/volume{n}", "type": "bind", "source": "/var/lib/containers/storage/volumes/volume{n}/_data", "options": ["rbind", "rprivate", "nosuid", "nodev"]}}"#
        )
    });
    let environment = list(20, &|n| {
        format!(r#""VARIABLE_{n}=some value of a typical length""#)
    });
    let annotations = list(40, &|n| {
        format!(r#""io.example.annotation.number{n}": "a value {n}""#)
    });
    let config = kan_spec::default_config();
    let config = config.replacen(r#""TERM=xterm""#, &environment, 1);
    let config = config.replacen(r#""mounts": ["#, &format!(r#""mounts": [{mounts},"#), 1);
    let linux = format!(
        r#""annotations": {{{annotations}}}, "linux": {{"seccomp": {{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{syscalls}]}},"#
    );
    config.replacen(r#""linux": {"#, &linux, 1).into_bytes()
}
