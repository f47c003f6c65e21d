//! `update`: other limits for a container.

use crate::ExitCode;
use crate::args::shapes::{given_path, id, id_arg, path, text};
use crate::verb::{Call, Count, Failure, Outcome, Verb, failure, read_document};
use clap::{ArgMatches, Command};
use kan_lifecycle::Update;
use serde_json::{Map, Value, json};
use std::path::Path;

pub(super) const VERB: Verb = Verb {
    name: "update",
    about: "change the resource limits of a container",
    examples: &[
        "kan update --memory 512m --pids-limit 200 web",
        r#"echo '{"cpu": {"shares": 512}}' | kan update --resources - web"#,
    ],
    count: Count::Exactly(1),
    args,
    run,
};

/// How a flag's value is read.
#[derive(Clone, Copy)]
enum Kind {
    Number,
    /// Bytes, with a suffix such as `k` or `MiB`; -1 is no limit.
    Size,
    List,
}

/// One flag: its name, its place in the resources document, its value, its help.
struct Flag {
    name: &'static str,
    place: [&'static str; 2],
    kind: Kind,
    help: &'static str,
}

const fn limit(
    name: &'static str,
    place: [&'static str; 2],
    kind: Kind,
    help: &'static str,
) -> Flag {
    Flag {
        name,
        place,
        kind,
        help,
    }
}

const FLAGS: [Flag; 16] = [
    limit(
        "blkio-weight",
        ["blockIO", "weight"],
        Kind::Number,
        "share of block I/O, 10 to 1000",
    ),
    limit(
        "cpu-period",
        ["cpu", "period"],
        Kind::Number,
        "period of the CPU quota, in microseconds",
    ),
    limit(
        "cpu-quota",
        ["cpu", "quota"],
        Kind::Number,
        "CPU time in one period, in microseconds; -1 for no limit",
    ),
    limit(
        "cpu-burst",
        ["cpu", "burst"],
        Kind::Number,
        "unused quota that may be saved up, in microseconds",
    ),
    limit(
        "cpu-share",
        ["cpu", "shares"],
        Kind::Number,
        "share of CPU time, 2 to 262144",
    ),
    limit(
        "cpu-rt-period",
        ["cpu", "realtimePeriod"],
        Kind::Number,
        "period of the realtime limit, in microseconds (cgroup v1)",
    ),
    limit(
        "cpu-rt-runtime",
        ["cpu", "realtimeRuntime"],
        Kind::Number,
        "realtime CPU time in one period, in microseconds (cgroup v1)",
    ),
    limit(
        "cpu-idle",
        ["cpu", "idle"],
        Kind::Number,
        "1: run only when nothing else does; 0: as usual",
    ),
    limit(
        "cpuset-cpus",
        ["cpu", "cpus"],
        Kind::List,
        "CPUs to use, such as 0-3,7",
    ),
    limit(
        "cpuset-mems",
        ["cpu", "mems"],
        Kind::List,
        "memory nodes to use",
    ),
    limit(
        "memory",
        ["memory", "limit"],
        Kind::Size,
        "memory, such as 512m; -1 for no limit",
    ),
    limit(
        "memory-reservation",
        ["memory", "reservation"],
        Kind::Size,
        "soft limit of memory",
    ),
    limit(
        "memory-swap",
        ["memory", "swap"],
        Kind::Size,
        "memory and swap together; -1 for no limit",
    ),
    limit(
        "kernel-memory",
        ["memory", "kernel"],
        Kind::Size,
        "ignored: kernels no longer have this limit",
    ),
    limit(
        "kernel-memory-tcp",
        ["memory", "kernelTCP"],
        Kind::Size,
        "ignored: kernels no longer have this limit",
    ),
    limit(
        "pids-limit",
        ["pids", "limit"],
        Kind::Number,
        "number of tasks; -1 for no limit",
    ),
];

const L3_CACHE: &str = "l3-cache-schema";
const MEM_BW: &str = "mem-bw-schema";

fn args(command: Command) -> Command {
    let resources = path(
        "resources",
        "FILE",
        "a resources document as in config.json; - for standard input; the flags below are then ignored",
    );
    let flags = FLAGS.iter().map(|flag| {
        let value = match flag.kind {
            Kind::Number => "N",
            Kind::Size => "SIZE",
            Kind::List => "LIST",
        };
        text(flag.name, value, flag.help).allow_hyphen_values(true)
    });
    let command = command.arg(resources.short('r')).args(flags);
    command.args([
        text(L3_CACHE, "SCHEMA", "Intel RDT: which part of the L3 cache"),
        text(MEM_BW, "SCHEMA", "Intel RDT: which memory bandwidth"),
        id_arg(),
    ])
}

fn run(call: &Call<'_>) -> Outcome {
    let document = match given_path(call.matches, "resources") {
        Some(path) => read(&path)?,
        None => from_flags(call.matches)?.to_string().into_bytes(),
    };
    let update = Update {
        document,
        l3_cache_schema: call.matches.get_one(L3_CACHE).cloned(),
        mem_bw_schema: call.matches.get_one(MEM_BW).cloned(),
    };
    let warnings = kan_lifecycle::update(&call.store, id(call.matches), &update)?;
    for warning in warnings {
        call.log.warning(&warning);
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_document(path).map_err(|error| {
        let why = kan_lifecycle::io_error_text(&error);
        failure(format!("--resources: {}: {why}", path.display()))
    })
}

/// The document that says what the flags say.
fn from_flags(matches: &ArgMatches) -> Result<Value, Failure> {
    let mut document = Map::new();
    for flag in &FLAGS {
        let Some(text) = matches.get_one::<String>(flag.name) else {
            continue;
        };
        let value = match flag.kind {
            Kind::List => Some(json!(text)),
            Kind::Number => number(text),
            Kind::Size => size(text).map(Value::from),
        };
        let wrong = || failure(format!("invalid value for {}: {text:?}", flag.name));
        let [section, name] = flag.place;
        let section = document.entry(section).or_insert_with(|| json!({}));
        section[name] = value.ok_or_else(wrong)?;
    }
    Ok(Value::Object(document))
}

/// Shares may be as large as an unsigned number, which the document's reader judges.
fn number(text: &str) -> Option<Value> {
    let signed = text.parse::<i64>().ok().map(Value::from);
    signed.or_else(|| text.parse::<u64>().ok().map(Value::from))
}

/// Bytes as Docker and runc take them: `1.5g`, `512 MiB`, `64kB`, each unit 1024 of the one before;
/// or -1.
fn size(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let lower = text.to_ascii_lowercase();
    let unit = lower.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let digits = &lower[..lower.len() - unit.len()];
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let power = match unit.trim_end_matches(['i', 'b']) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let suffix = &unit[usize::from(power > 0)..];
    if !matches!((power, suffix), (_, "" | "b") | (1.., "i" | "ib")) {
        return None;
    }
    scaled(digits, power)
}

/// A decimal number times a power of 1024, rounded down, exactly.
fn scaled(digits: &str, power: u32) -> Option<i64> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let sound = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !sound(whole) || !sound(part) || part.len() > 18 {
        return None;
    }
    let factor = 1024_i128.pow(power);
    let whole = whole.parse::<i128>().ok()?.checked_mul(factor)?;
    let tenths = 10_i128.pow(u32::try_from(part.len()).ok()?);
    let part = part.parse::<i128>().ok()? * factor / tenths;
    i64::try_from(whole + part).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("-1", -1),
            ("1024", 1024),
            ("32b", 32),
            ("32k", 32 << 10),
            ("32kB", 32 << 10),
            ("32KiB", 32 << 10),
            ("32 Mb", 32 << 20),
            ("1.5g", 3 << 29),
            ("2T", 2 << 40),
            ("1p", 1 << 50),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in [
            "", "-5", "k", "1x", "1kk", "1.k", ".5k", "1ib", "1bi", "1  k", "9999p", "1.2.3k",
            "1i", "1kbb", "1bb",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn flags_become_a_document() {
        let matches = args(Command::new("update")).try_get_matches_from([
            "update",
            "--memory",
            "1m",
            "--memory-swap=-1",
            "--cpu-quota",
            "-1",
            "--cpuset-cpus",
            "0",
            "c",
        ]);
        let document = from_flags(&matches.unwrap()).unwrap();
        let expected = json!({
            "memory": {"limit": 1_048_576, "swap": -1},
            "cpu": {"quota": -1, "cpus": "0"},
        });
        assert_eq!(document, expected);
    }
}
