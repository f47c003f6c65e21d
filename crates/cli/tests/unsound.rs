//! Documents with something wrong, of which `check` looks at the rest.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use kan_plan::{Facts, Request, plan_create, plan_create_unsound};
use kan_spec::Bundle;
use serde_json::{Value, json};

/// `check` plans what could be read of a document: whatever is wrong with it, nothing panics, and
/// where nothing is wrong with the document the plan's problems are those of `create`.
#[test]
fn any_unsound_document_can_be_planned_for_looking_at() {
    let text = include_str!("../../spec/tests/data/maximal.json");
    let maximal: Value = serde_json::from_str(text).unwrap();
    let mut places = Vec::new();
    collect(&maximal, String::new(), &mut places);
    assert!(places.len() > 200, "{}", places.len());
    let directory = std::env::temp_dir().join(format!("kan-unsound-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("config.json");
    let request = Request::bare("c", "/bundle");
    let wrong = json!([7, null, {}, [], [{}]]);
    for place in &places {
        for value in wrong.as_array().unwrap() {
            let mut document = maximal.clone();
            *document.pointer_mut(place).unwrap() = value.clone();
            std::fs::write(&file, document.to_string()).unwrap();
            let (bundle, wrong) = Bundle::open_unsound(&directory, None).unwrap();
            let facts = Facts::example("c");
            let looked = plan_create_unsound(&bundle.config, &facts, &request);
            let sound = Bundle::open(&directory, None);
            assert_eq!(sound.is_ok(), wrong.is_empty(), "{place} {value}");
            if let Ok(sound) = sound {
                let made = plan_create(&sound.config, &facts, &request);
                assert_eq!(made.err().unwrap_or_default(), looked.1, "{place} {value}");
            }
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

fn collect(value: &Value, place: String, all: &mut Vec<String>) {
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value))
            .collect(),
        Value::Array(list) => (list.iter().enumerate())
            .map(|(index, value)| (index.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (key, value) in parts {
        collect(value, format!("{place}/{key}"), all);
    }
    if !place.is_empty() {
        all.push(place);
    }
}
