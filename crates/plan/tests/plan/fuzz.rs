//! Whatever the document says, reading and planning it end with a plan or with problems that name
//! fields; and every plan keeps the rules of order: a slot is filled before its use and empty
//! before the program, each wait has its tell, and privileges are given up in the order in which
//! the kernel lets them go.

use crate::document::{at, candidates, leaves, put};
use crate::{legacy, mutation, request, slots, sync};
use kan_op::init::MountTarget;
use kan_op::{HostStep, InitStep, Slot, SlotUse};
use kan_plan::{
    AppArmor, Attachment, Cgroups, Facts, Plan, Request, lines, plan_create, plan_exec, table,
};
use kan_spec::config::Config;
use kan_spec::json::Json;
use proptest::prelude::*;

/// Hosts of every kind.
fn hosts() -> Vec<Facts> {
    let example = || Facts::example("c");
    let [unified, with_controllers] = mutation::hosts();
    vec![
        unified,
        with_controllers,
        legacy(),
        Facts {
            cgroups: Cgroups::Absent,
            apparmor: AppArmor::Absent,
            selinux: false,
            resctrl: None,
            permitted: 1,
            bounding: 1,
            ..example()
        },
        Facts {
            is_rootless: true,
            apparmor: AppArmor::Confined,
            ignored_signals: u64::MAX,
            ..example()
        },
    ]
}

/// Requests of every kind, with a taker for the terminal or without.
fn requests() -> Vec<Request> {
    let taker = |console_socket: Option<&str>, attachment, wait_for_start| Request {
        console_socket: console_socket.map(str::to_owned),
        attachment,
        wait_for_start,
        ..request()
    };
    vec![
        taker(Some("/socket"), Attachment::Detached, true),
        taker(None, Attachment::Detached, true),
        taker(None, Attachment::Foreground, false),
        Request {
            no_pivot: true,
            new_keyring: false,
            preserve_fds: u32::MAX,
            pid_file: None,
            ..taker(None, Attachment::Foreground, false)
        },
    ]
}

/// How many plans there were.
fn plan_everything(text: &[u8]) -> usize {
    let Ok(read) = kan_spec::parse_config(text) else {
        return 0;
    };
    let config: Config = read.value;
    let mut count = 0;
    for (facts, request) in hosts()
        .iter()
        .flat_map(|facts| requests().into_iter().map(move |request| (facts, request)))
    {
        let exec = Request {
            wait_for_start: false,
            ..request.clone()
        };
        for planned in [
            plan_create(&config, facts, &request),
            plan_exec(&config, facts, &exec),
        ] {
            match planned {
                Ok(plan) => {
                    check(&plan);
                    count += 1;
                }
                Err(problems) => {
                    assert!(!problems.is_empty());
                    assert!(
                        problems
                            .iter()
                            .all(|problem| !problem.why.is_empty() && !problem.why.contains('\n'))
                    );
                }
            }
        }
    }
    count
}

fn check(plan: &Plan) {
    assert_eq!(slots::follow(plan, plan.init.steps()), Ok(Vec::new()));
    sync::check(plan);
    assert!(
        !table(&lines(plan)).contains("\n\n"),
        "a step without words"
    );
    let steps = plan.init.steps();
    let last = steps.last().map(|step| {
        matches!(
            step,
            InitStep::Execute(_) | InitStep::AwaitStart | InitStep::Wait(_)
        )
    });
    assert_ne!(last, Some(false), "{last:?}: init has nothing to become");
    order(plan);
}

/// No step of the first kind comes after one of the second.
fn never_after(plan: &Plan, first: fn(&InitStep) -> bool, second: fn(&InitStep) -> bool) {
    let steps = plan.init.steps();
    let late = steps.iter().rposition(first);
    let early = steps.iter().position(second);
    if let Some((late, early)) = late.zip(early) {
        assert!(late < early, "{}", table(&lines(plan)));
    }
}

fn order(plan: &Plan) {
    use InitStep as I;
    let is_filter = |step: &I| matches!(step, I::LoadFilter { .. });
    let enters = |step: &I| matches!(step, I::EnterRoot(_));
    // What the filter may forbid, or the bounding set and the user's ids.
    never_after(
        plan,
        |step| matches!(step, I::DropBounding { .. }),
        |step| matches!(step, I::SetCapabilities { .. }),
    );
    never_after(
        plan,
        |step| matches!(step, I::SetCapabilities { .. }),
        |step| matches!(step, I::RaiseAmbient { .. }),
    );
    never_after(
        plan,
        |step| matches!(step, I::SetLimit { .. } | I::SetIoPriority(_)),
        |step| matches!(step, I::SetCapabilities { .. }),
    );
    never_after(
        plan,
        |step| matches!(step, I::CloseInherited { .. }),
        |step| matches!(step, I::CloneTree { .. } | I::NewFilesystem { .. }),
    );
    never_after(
        plan,
        |step| matches!(step, I::HideMemory),
        |step| matches!(step, I::EnterRoot(_) | I::RunHook(_)),
    );
    // The host's paths are gone after it.
    never_after(
        plan,
        |step| {
            matches!(
                step,
                I::WriteProc { .. } | I::Attach { .. } | I::MakeNode { .. }
            )
        },
        enters,
    );
    never_after(
        plan,
        |step| {
            matches!(
                step,
                I::ChangeMount {
                    target: MountTarget::HostRoot,
                    ..
                }
            )
        },
        |step| matches!(step, I::Attach { .. }),
    );
    // Without no_new_privs the filter needs a privilege; with it, it comes last.
    let steps = plan.init.steps();
    let place = |is: &dyn Fn(&I) -> bool| steps.iter().position(is);
    if let Some(filter) = place(&is_filter) {
        match place(&|step| matches!(step, I::NoNewPrivileges)) {
            Some(no_new) => assert!(no_new < filter),
            None => assert!(Some(filter) < place(&|step| matches!(step, I::DropBounding { .. }))),
        }
        let filters = steps.iter().filter(|step| is_filter(step)).count();
        assert_eq!(filters, 1);
    }
    let clones = plan
        .host
        .steps()
        .iter()
        .filter(|step| matches!(step, HostStep::Clone { .. }))
        .count();
    assert_eq!(clones, 1);
    // Nothing is left for a program that it could use to get out.
    let opens_late = steps.iter().rev().take(3).any(|step| {
        step.slots()
            .into_iter()
            .flatten()
            .any(|slot| matches!(slot, SlotUse::Fills(Slot::Root | Slot::Tree)))
    });
    assert!(!opens_late);
}

/// What happens to a value: another of its kind, any value, or it goes.
#[derive(Clone, Debug)]
enum Change {
    Likely(usize),
    Odd(usize),
    Gone(usize),
}

fn changes() -> impl Strategy<Value = Vec<(usize, Change)>> {
    let change = prop_oneof![
        6 => (0..60_usize).prop_map(Change::Likely),
        1 => (0..8_usize).prop_map(Change::Odd),
        3 => (0..8_usize).prop_map(Change::Gone),
    ];
    prop::collection::vec((0..1000_usize, change), 0..8)
}

fn odd(number: usize) -> Json<'static> {
    let texts = [
        "null",
        "-1",
        "18446744073709551615",
        "\"\"",
        "\"a\\u0000b\"",
        "[]",
        "{}",
        "\"/../..\"",
    ];
    Json::parse(texts[number].as_bytes()).unwrap()
}

/// A document that some host plans, with changes.
fn changed(mut document: Json<'static>, changes: &[(usize, Change)]) -> Vec<u8> {
    for (place, change) in changes {
        let ways = leaves(&document);
        let Some(way) = ways.get(place % ways.len().max(1)) else {
            continue;
        };
        let value = match change {
            // An entry, or a section with all that is in it.
            Change::Gone(depth) => {
                put(
                    &mut document,
                    &way[..(1 + depth % way.len()).max(2.min(way.len()))],
                    None,
                );
                continue;
            }
            Change::Odd(number) => Some(odd(*number)),
            Change::Likely(number) => {
                let all = at(&document, way).map(candidates).unwrap_or_default();
                match all.len() {
                    0 => None,
                    length => Some(all[number % length].clone()),
                }
            }
        };
        put(&mut document, way, value);
    }
    document.pretty(" ").into_bytes()
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        "[a-z/]{0,8}".prop_map(|text| format!("{text:?}")),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![
            Just("process"),
            Just("root"),
            Just("linux"),
            Just("mounts"),
            Just("path"),
            Just("args"),
            Just("namespaces"),
            Just("type"),
            Just("ociVersion"),
            Just("hooks"),
            Just("seccomp"),
            Just("resources"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key, inner), 0..6).prop_map(|entries| {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{value}"))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

/// Cases of each kind: KAN_FUZZ asks for more.
fn cases() -> u32 {
    let asked = std::env::var("KAN_FUZZ")
        .ok()
        .and_then(|text| text.parse().ok());
    asked.unwrap_or(250)
}

fn runner() -> proptest::test_runner::TestRunner {
    let config = ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let seed = [7; 32];
    let rng = proptest::test_runner::TestRng::from_seed(
        proptest::test_runner::RngAlgorithm::ChaCha,
        &seed,
    );
    proptest::test_runner::TestRunner::new_with_rng(config, rng)
}

#[test]
fn a_changed_document_is_planned_or_told_what_is_wrong() {
    let documents: Vec<_> = mutation::hosts()
        .iter()
        .flat_map(|facts| mutation::VARIANTS.map(|variant| mutation::planned(facts, variant).0))
        .collect();
    let planned = std::cell::Cell::new(0);
    let ran = runner().run(&(0..documents.len(), changes()), |(which, changes)| {
        let text = changed(documents[which].clone(), &changes);
        planned.set(planned.get() + plan_everything(&text));
        Ok(())
    });
    ran.unwrap();
    // A run in which nothing was planned would say nothing of plans.
    let least = usize::try_from(cases()).unwrap();
    assert!(planned.get() > least, "{} plans only", planned.get());
}

#[test]
fn any_json_is_planned_or_told_what_is_wrong() {
    runner()
        .run(&json(), |text| {
            plan_everything(text.as_bytes());
            Ok(())
        })
        .unwrap();
}
