//! The maximal document with something in it changed, and what is said of it then.
#![allow(dead_code)]

use kan_spec::json::Json;
use kan_spec::parse_config;

/// A document with every field.
pub const MAXIMAL: &str = include_str!("../data/maximal.json");

/// The lines of the error, without the name of the file; none for a sound document.
pub fn lines(text: &str) -> Vec<String> {
    match parse_config(text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(error) => {
            let named = |line: &str| line.strip_prefix("config.json: ").unwrap().to_owned();
            error.to_string().lines().map(named).collect()
        }
    }
}

/// The maximal document with the value at a path (keys and numbers, dots between) replaced, or the
/// key removed.
pub fn with(changes: &[(&str, Option<&str>)]) -> String {
    let mut document = Json::parse(MAXIMAL.as_bytes()).unwrap();
    for (path, value) in changes {
        let value = value.map(|text| Json::parse(text.as_bytes()).unwrap());
        let (way, last) = path.rsplit_once('.').unwrap_or(("", path));
        let mut place = &mut document;
        for step in way.split('.').filter(|step| !step.is_empty()) {
            place = match step.parse::<usize>() {
                Ok(number) => &mut place.list_mut().unwrap()[number],
                Err(_) => place.get_mut(step).unwrap(),
            };
        }
        match (place, value) {
            (Json::Object(entries), value) => {
                entries.retain(|(key, _)| key != last);
                entries.extend(value.map(|value| (last.into(), value)));
            }
            (Json::List(items), Some(value)) => items[last.parse::<usize>().unwrap()] = value,
            (Json::List(items), None) => drop(items.remove(last.parse().unwrap())),
            _ => panic!("no such place: {path}"),
        }
    }
    document.pretty(" ")
}

/// One value at a time: the place, what is put there, the one complaint.
pub fn complains(cases: &[(&str, &str, &str)]) {
    for (path, value, expected) in cases {
        let found = lines(&with(&[(path, Some(value))]));
        assert_eq!(found, [*expected], "{path} = {value}");
    }
}

/// Values that look odd and are fine.
pub fn accepts(cases: &[(&str, &str)]) {
    for (path, value) in cases {
        assert_eq!(
            lines(&with(&[(path, Some(value))])),
            [""; 0],
            "{path} = {value}"
        );
    }
}
