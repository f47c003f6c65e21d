//! Nothing of config.json is passed over: each leaf of the document with every field is changed to
//! another valid value, and the plan must change with it, in a step of that field. What does not
//! change a plan stands in [`OUTSIDE`], with the reason, and so in docs/spec-matrix.md; and there is
//! a row for every leaf there.

use crate::invariants::document::{Way, at, candidates, field, kind, leaves, maximal, put, way};
use crate::invariants::hosts::full as hosts;
use crate::request;
use kan_plan::{Facts, Plan, Request, cgroups_path, later_hooks, plan_create, plan_exec};
use kan_spec::Problem;
use kan_spec::config::Config;
use kan_spec::json::Json;
use std::collections::{BTreeMap, BTreeSet};

/// Fields that change no plan, and why; the matrix says so too.
const OUTSIDE: [(&str, &str); 7] = [
    ("ociVersion", "it goes into the state document"),
    ("annotations.*", "those that kan does not know are kept"),
    (
        "linux.personality.flags",
        "none are defined, any is an error",
    ),
    ("linux.intelRdt.enableCMT", "every group counts it"),
    ("linux.intelRdt.enableMBM", "every group counts it"),
    (
        "linux.resources.memory.kernel",
        "no kernel has it any more, which is a warning",
    ),
    ("linux.resources.memory.kernelTCP", "likewise"),
];

/// Fields whose step stands under the name of another.
const UNDER: [(&str, &str); 5] = [
    ("linux.mountLabel", "linux.maskedPaths"),
    ("linux.gidMappings", "linux.uidMappings"),
    (
        "linux.seccomp.listenerMetadata",
        "linux.seccomp.listenerPath",
    ),
    ("process.consoleSize", "process.terminal"),
    ("process.env", "process.args"),
];

/// What fields of the maximal document keep others from having an effect or another value: further
/// documents, each made from it by such changes.
pub(crate) const VARIANTS: [&[(&str, &str)]; 3] = [
    &[],
    // Devices are made rather than bound, and each rule about them counts.
    &[
        (
            "linux.namespaces",
            r#"[{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "time"}, {"type": "network"}, {"type": "cgroup"}]"#,
        ),
        ("linux.uidMappings", "[]"),
        ("linux.gidMappings", "[]"),
        ("linux.sysctl", "{}"),
        (
            "linux.resources.devices",
            r#"[{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]"#,
        ),
    ],
    &[
        (
            "process.scheduler",
            r#"{"policy": "SCHED_FIFO", "priority": 5}"#,
        ),
        ("process.capabilities.effective", "[]"),
        ("process.capabilities.inheritable", "[]"),
        ("process.capabilities.ambient", "[]"),
    ],
];

type Outcome = BTreeSet<(String, String)>;

/// What kan would do with a config on a host: the steps of `create` and of `exec`, with their
/// fields, and what comes later.
fn outcome(config: &Config, facts: &Facts) -> Result<Outcome, Vec<Problem>> {
    let has_terminal = config
        .process
        .as_ref()
        .is_some_and(|process| process.terminal);
    let request = Request {
        console_socket: has_terminal.then(|| "/socket".into()),
        ..request()
    };
    let mut all = Outcome::new();
    all.insert((
        "linux.cgroupsPath".into(),
        format!("{:?}", cgroups_path(config)),
    ));
    add(&mut all, "create", &plan_create(config, facts, &request)?);
    add(&mut all, "exec", &plan_exec(config, facts, &request)?);
    let (poststart, poststop) = later_hooks(config);
    for hook in poststart.into_iter().chain(poststop) {
        all.insert((
            format!("hooks.{}[{}]", hook.kind, hook.index),
            format!("{hook:?}"),
        ));
    }
    Ok(all)
}

fn add(all: &mut Outcome, of: &str, plan: &Plan) {
    for (index, step) in plan.host.steps().iter().enumerate() {
        all.insert((plan.host.field(index).to_owned(), format!("{of} {step:?}")));
    }
    for (index, step) in plan.init.steps().iter().enumerate() {
        all.insert((plan.init.field(index).to_owned(), format!("{of} {step:?}")));
    }
    for warning in plan.warnings.iter().chain(&plan.notes) {
        all.insert(("a warning".into(), warning.clone()));
    }
}

fn read(document: &Json<'_>) -> Option<Config> {
    let text = document.pretty(" ");
    kan_spec::parse_config(text.as_bytes())
        .ok()
        .map(|read| read.value)
}

/// Whether a step of this field is one for this leaf.
fn is_own(of_step: &str, leaf: &str) -> bool {
    let under = UNDER.iter().find(|(field, _)| leaf.starts_with(field));
    let begins = |long: &str, short: &str| !short.is_empty() && long.starts_with(short);
    let is = |leaf: &str| begins(leaf, of_step) || begins(of_step, leaf);
    is(leaf) || under.is_some_and(|(_, other)| is(other))
}

/// How a change shows.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    InItsStep,
    Elsewhere(Vec<String>),
    Nowhere,
    NoOtherValue,
}

fn change(document: &Json<'static>, facts: &Facts, before: &Outcome, way: &Way) -> Shown {
    let Some(value) = at(document, way) else {
        return Shown::NoOtherValue;
    };
    let mut shown = Shown::NoOtherValue;
    let others = candidates(value).into_iter().filter(|other| other != value);
    for other in others {
        let mut changed = document.clone();
        put(&mut changed, way, Some(other));
        let Some(Ok(after)) = read(&changed).map(|config| outcome(&config, facts)) else {
            continue;
        };
        let different: Vec<_> = after.symmetric_difference(before).collect();
        let leaf = field(way);
        if different.iter().any(|(of_step, _)| is_own(of_step, &leaf)) {
            return Shown::InItsStep;
        }
        if !different.is_empty() {
            let fields: BTreeSet<_> = different.iter().map(|(field, _)| field.clone()).collect();
            shown = Shown::Elsewhere(fields.into_iter().collect());
        } else if shown == Shown::NoOtherValue {
            shown = Shown::Nowhere;
        }
    }
    shown
}

/// A variant without what such a host does not have; and what was taken out, in the words of the
/// problem.
pub(crate) fn planned(
    facts: &Facts,
    variant: &[(&str, &'static str)],
) -> (Json<'static>, Vec<String>) {
    let (mut document, mut refused) = (maximal(), Vec::new());
    for (at, text) in variant {
        put(
            &mut document,
            &way(at),
            Some(Json::parse(text.as_bytes()).unwrap()),
        );
    }
    for _ in 0..50 {
        let config = read(&document).unwrap();
        let Err(problems) = outcome(&config, facts) else {
            break;
        };
        // One at a time, for one may be the cause of another.
        let first = problems.first().unwrap();
        put(&mut document, &way(&first.at), None);
        refused.push(first.to_string());
    }
    (document, refused)
}

#[test]
fn every_leaf_has_its_step() {
    let mut shown: BTreeMap<String, Vec<Shown>> = BTreeMap::new();
    for (facts, variant) in hosts()
        .iter()
        .flat_map(|facts| VARIANTS.map(|variant| (facts, variant)))
    {
        let (document, _) = planned(facts, variant);
        let before = outcome(&read(&document).unwrap(), facts).unwrap();
        for way in leaves(&document) {
            let all = shown.entry(kind(&way)).or_default();
            if !all.contains(&Shown::InItsStep) {
                all.push(change(&document, facts, &before, &way));
            }
        }
    }
    let mut wrong = BTreeSet::new();
    for name in leaves(&maximal()).iter().map(|way| kind(way)) {
        let is_outside = OUTSIDE.iter().any(|(field, _)| *field == name);
        let all = shown.get(&name).map_or(&[][..], Vec::as_slice);
        if all.contains(&Shown::InItsStep) == is_outside && !is_refused(&name) {
            wrong.insert(format!("{name}: {all:?}"));
        }
    }
    let wrong: Vec<_> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_refused(name: &str) -> bool {
    let (_, refused) = planned(&hosts()[0], &[]);
    let mut yet = refused
        .iter()
        .filter(|problem| problem.contains("not supported by this version"));
    yet.any(|problem| name.starts_with(problem.split(": ").next().unwrap_or_default()))
}

/// What is taken out for a host is what no host of that kind has.
#[test]
fn little_is_refused() {
    let lacks = |word: &'static str| move |problem: &String| problem.contains(word);
    for (facts, word) in hosts().iter().zip(["cgroup v", "on cgroup v1"]) {
        let (_, mut refused) = planned(facts, &[]);
        refused.retain(|problem| !problem.contains("not supported by this version"));
        // The maximal document has a group that its mappings do not have.
        refused.retain(|problem| !problem.ends_with("is in none of linux.gidMappings"));
        assert!(
            refused.iter().all(lacks(word)) && refused.len() < 12,
            "{refused:#?}"
        );
    }
}

/// The names in the first column of the matrix, written out: a name that begins with a dot has the
/// parent of the last one that does not.
fn rows() -> BTreeSet<String> {
    let matrix = include_str!("../../../../docs/spec-matrix.md");
    let mut all = BTreeSet::new();
    let mut prefix = "";
    for line in matrix.lines() {
        if line.starts_with("## ") {
            prefix = if line == "## linux.resources" {
                "linux.resources."
            } else {
                ""
            };
        }
        let Some(cell) = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split(" | ").next())
        else {
            continue;
        };
        let mut before = String::new();
        for name in cell.split('`').step_by(2) {
            let full = match name.strip_prefix('.') {
                Some(last) => match before.rsplit_once('.') {
                    Some((parent, _)) => format!("{parent}.{last}"),
                    None => last.to_owned(),
                },
                None => format!("{prefix}{name}"),
            };
            if !name.starts_with('.') {
                before.clone_from(&full);
            }
            all.insert(full);
        }
    }
    all
}

#[test]
fn every_leaf_has_a_row_in_the_matrix() {
    let rows = rows();
    let plain = |name: &str| {
        name.trim_end_matches("[]")
            .trim_end_matches(".*")
            .to_owned()
    };
    let is_row = |row: &str, name: &str| {
        let (row, name): (Vec<_>, Vec<_>) = (row.split('.').collect(), name.split('.').collect());
        let any = |row: &str, name: &str| row == name || row.replace("[]", "") == "*";
        row.len() == name.len() && row.iter().zip(&name).all(|(row, name)| any(row, name))
    };
    let missing: BTreeSet<_> = leaves(&maximal())
        .iter()
        .map(|way| plain(&kind(way)))
        .filter(|name| !rows.iter().any(|row| is_row(&plain(row), name)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
