//! docs/schemas: what kan prints as JSON is what they describe, and each of them notices a member that it
//! does not know.

use std::fs;

use crate::harness::config::mount;
use crate::harness::container::text;
use crate::harness::prelude::*;

const SCHEMAS: [(&str, &str); 8] = [
    ("check", include_str!("../../../../docs/schemas/check.json")),
    (
        "doctor",
        include_str!("../../../../docs/schemas/doctor.json"),
    ),
    (
        "events",
        include_str!("../../../../docs/schemas/events.json"),
    ),
    (
        "features",
        include_str!("../../../../docs/schemas/features.json"),
    ),
    ("list", include_str!("../../../../docs/schemas/list.json")),
    ("plan", include_str!("../../../../docs/schemas/plan.json")),
    ("ps", include_str!("../../../../docs/schemas/ps.json")),
    ("state", include_str!("../../../../docs/schemas/state.json")),
];

pub fn cases() -> Vec<Case> {
    const WHY: &str = "the schemas are kan's";
    vec![
        Case::new("schemas::of_the_host_and_a_bundle", of_a_bundle).only("kan", WHY),
        Case::new("schemas::of_containers", of_containers).only("kan", WHY),
        Case::new("schemas::the_list_has_states", list_has_states).only("kan", WHY),
    ]
}

fn schema(name: &str) -> Result<Value, Fault> {
    let found = SCHEMAS.iter().find(|(known, _)| *known == name);
    Ok(serde_json::from_str(found.map_or("", |(_, text)| text))?)
}

/// Fails unless a document is as its schema says, and no object in it may have one more member.
pub fn conforms(name: &str, printed: &str) -> Outcome {
    let schema = schema(name)?;
    jsonschema::draft202012::meta::validate(&schema)
        .map_err(|error| Fault::Failed(format!("{name}.json: {error}")))?;
    let validator = jsonschema::draft202012::new(&schema)
        .map_err(|error| Fault::Failed(format!("{name}.json: {error}")))?;
    let document: Value = serde_json::from_str(printed)?;
    if let Err(error) = validator.validate(&document) {
        let at = error.instance_path();
        return Err(Fault::Failed(format!(
            "{name}.json: at {at}: {error}: {printed}"
        )));
    }
    for place in objects(&document) {
        let mut changed = document.clone();
        if let Some(object) = changed.pointer_mut(&place).and_then(Value::as_object_mut) {
            object.insert("unheard of".into(), json!([true]));
        }
        check!(
            !validator.is_valid(&changed),
            "{name}.json: an unknown member is valid at {place:?}"
        );
    }
    Ok(())
}

/// The objects in a document, by JSON pointer.
fn objects(document: &Value) -> Vec<String> {
    let below = |key: String, value: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        let places = objects(value).into_iter();
        places
            .map(move |place| format!("/{key}{place}"))
            .collect::<Vec<_>>()
    };
    match document {
        Value::Object(members) => {
            let inner = members
                .iter()
                .flat_map(|(key, value)| below(key.clone(), value));
            std::iter::once(String::new()).chain(inner).collect()
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .flat_map(|(index, value)| below(index.to_string(), value))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn of_a_bundle(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    bundle.save()?;
    let dir = text(&bundle.dir)?.to_owned();
    let check = |ctx: &Ctx| ctx.oci(&["check", "--json", "--bundle", &dir]).run();
    conforms(
        "plan",
        &ctx.oci(&["plan", "--json", "--bundle", &dir])
            .run()?
            .ok()?
            .stdout,
    )?;
    conforms("check", &check(ctx)?.ok()?.stdout)?;
    bundle.set("/mounts/-", mount("/tmp", "nosuchfs", &[]));
    bundle.set("/hostnme", json!("x"));
    bundle.save()?;
    let found = check(ctx)?.exits(1)?.stdout;
    check!(
        found.contains("limited") && found.contains("fails"),
        "{found}"
    );
    conforms("check", &found)?;
    conforms("doctor", &ctx.oci(&["doctor", "--json"]).run()?.stdout)?;
    conforms("features", &ctx.oci(&["features"]).run()?.ok()?.stdout)
}

fn of_containers(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/annotations", json!({"a.b": "c"}));
    let state = |ctx: &Ctx, status: &str| {
        let printed = ctx.verb(&["state"])?.ok()?.stdout;
        check!(printed.contains(&format!("\"{status}\"")), "{printed}");
        conforms("state", &printed)
    };
    let list = |ctx: &Ctx| {
        let printed = ctx.oci(&["list", "--format", "json"]).run()?.ok()?.stdout;
        conforms("list", &printed)
    };
    let pids = |ctx: &Ctx| conforms("ps", &ctx.verb(&["ps", "--format", "json"])?.ok()?.stdout);
    let created = ctx.create(&bundle)?;
    state(ctx, "created")?;
    ctx.start()?;
    created.wait_for("ready")?;
    state(ctx, "running")?;
    pids(ctx)?;
    conforms("events", &ctx.verb(&["events", "--stats"])?.ok()?.stdout)?;
    ctx.verb(&["pause"])?.ok()?;
    state(ctx, "paused")?;
    ctx.verb(&["resume"])?.ok()?;
    ctx.verb(&["kill"])?.ok()?;
    ctx.wait_stopped()?;
    state(ctx, "stopped")?;
    pids(ctx)?;
    list(ctx)?;
    fs::write(ctx.state_dir().join(&ctx.id).join("state.json"), "{")?;
    let printed = ctx.oci(&["list", "--format", "json"]).run()?.ok()?.stdout;
    check!(printed.contains("broken"), "{printed}");
    conforms("list", &printed)
}

/// The schema of the list is complete in itself, and has the same state.
fn list_has_states(_: &mut Ctx) -> Outcome {
    let (list, mut state) = (schema("list")?, schema("state")?);
    if let Some(members) = state.as_object_mut() {
        members.retain(|key, _| !matches!(&**key, "$schema" | "title" | "description"));
    }
    equal("$defs.state", &list["$defs"]["state"], &state)
}
