//! Whatever the document says, reading and planning it end with a plan or with problems that name
//! fields; and every plan keeps the rules of order: a slot is filled before its use and empty
//! before the program, each wait has its tell, and privileges are given up in the order in which
//! the kernel lets them go.

use crate::invariants::changes::{Change, changed};
use crate::invariants::hosts::{full, plan_everything};
use crate::mutation;
use proptest::prelude::*;

fn changes() -> impl Strategy<Value = Vec<(usize, Change)>> {
    let change = prop_oneof![
        6 => (0..60_usize).prop_map(Change::Likely),
        1 => (0..8_usize).prop_map(Change::Odd),
        3 => (0..8_usize).prop_map(Change::Gone),
    ];
    prop::collection::vec((0..1000_usize, change), 0..8)
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
    let documents: Vec<_> = full()
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
