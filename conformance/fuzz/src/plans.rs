//! Plans: whatever the config says, they keep the rules of order and slots.

use crate::invariants::changes::{Change, changed};
use crate::invariants::document::{MAXIMAL, put, way};
use crate::invariants::hosts::{full, hosts, plan_everything, plan_on, request, requests};
use kan_plan::{Facts, Request, plan_create, plan_exec};
use kan_spec::config::{Config, Mount};
use kan_spec::json::Json;
use std::sync::LazyLock;

/// Documents that a host plans: every field as far as that host has it, and what `kan spec` writes.
static BASES: LazyLock<Vec<Json<'static>>> = LazyLock::new(|| {
    let mut all: Vec<_> = full().iter().map(planned).collect();
    for text in [kan_spec::default_config(), kan_spec::rootless_config(0, 0)] {
        all.push(Json::parse(text.leak().as_bytes()).unwrap_or(Json::Null));
    }
    all
});

/// The document with every field, without what such a host refuses.
fn planned(facts: &Facts) -> Json<'static> {
    let mut document = Json::parse(MAXIMAL.as_bytes()).unwrap_or(Json::Null);
    for _ in 0..50 {
        let text = document.pretty(" ");
        let Ok(read) = kan_spec::parse_config(text.as_bytes()) else {
            break;
        };
        let request = request();
        let created = plan_create(&read.value, facts, &request).err();
        let problems = created.or_else(|| plan_exec(&read.value, facts, &request).err());
        // One at a time, for one may be the cause of another.
        let Some(first) = problems.as_ref().and_then(|all| all.first()) else {
            break;
        };
        put(&mut document, &way(&first.at), None);
    }
    document
}

/// The hosts and requests that an input can choose.
static SCENES: LazyLock<Vec<(Facts, Request)>> = LazyLock::new(|| {
    let on = |facts: Facts| requests().into_iter().map(move |one| (facts.clone(), one));
    hosts().into_iter().flat_map(on).collect()
});

/// The first byte chooses the document, or that the config follows as text, for every host; the second
/// chooses host and request, and then three bytes are one change.
pub fn plan(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else {
        return;
    };
    let Some(base) = BASES.get(usize::from(*which)) else {
        plan_everything(rest);
        return;
    };
    let (scene, rest) = rest.split_first().unwrap_or((&0, rest));
    let changes: Vec<_> = rest.chunks_exact(3).take(12).map(change).collect();
    let text = changed(base.clone(), &changes);
    if let Ok(read) = kan_spec::parse_config(&text) {
        let (facts, request) = &SCENES[usize::from(*scene) % SCENES.len()];
        plan_on(&read.value, facts, request);
    }
}

fn change(bytes: &[u8]) -> (usize, Change) {
    let place = usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    let number = usize::from(bytes[2]);
    let change = match bytes[2] {
        0..160 => Change::Likely(number),
        160..200 => Change::Odd(number % 8),
        200.. => Change::Gone(number % 8),
    };
    (place, change)
}

/// The type, source, destination and options of one mount, a line each.
pub fn mount_options(data: &[u8]) {
    static DEFAULT: LazyLock<Option<Config>> = LazyLock::new(|| {
        let read = kan_spec::parse_config(kan_spec::default_config().as_bytes());
        read.ok().map(|read| read.value)
    });
    let Some(mut config) = DEFAULT.clone() else {
        return;
    };
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n').map(str::to_owned);
    let (fstype, source, destination) = (lines.next(), lines.next(), lines.next());
    config.mounts.push(Mount {
        destination: format!("/{}", destination.unwrap_or_default()),
        r#type: fstype.filter(|text| !text.is_empty()),
        source: source.filter(|text| !text.is_empty()),
        options: lines.collect(),
        ..Mount::default()
    });
    // What a mount comes to depends on the host in cgroups alone.
    for (facts, request) in [&SCENES[0], &SCENES[SCENES.len() / 2]] {
        plan_on(&config, facts, request);
    }
}
