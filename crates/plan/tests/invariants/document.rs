//! The document with every field, to be changed in places.

use kan_spec::config::{
    ClosedSet, DeviceType, IoPriorityClass, MemoryPolicyFlag, MemoryPolicyMode, NamespaceType,
    PersonalityDomain, RlimitType, RootfsPropagation, SchedulerFlag, SchedulerPolicy,
    SeccompAction, SeccompArch, SeccompFlag, SeccompOperator,
};
use kan_spec::json::Json;

/// Every field of the specification.
pub const MAXIMAL: &str = include_str!("../../../spec/tests/data/maximal.json");

/// One step of the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Name(String),
    Index(usize),
}

/// The way to a value.
pub type Way = Vec<Key>;

pub fn maximal() -> Json<'static> {
    Json::parse(MAXIMAL.as_bytes()).unwrap()
}

/// The way that a problem names, such as `mounts[1].options[2]`.
pub fn way(at: &str) -> Way {
    // Names with dots are quoted, and come last.
    if let Some((before, name)) = at.split_once("[\"") {
        let mut all = way(before);
        all.push(Key::Name(name.trim_end_matches("\"]").to_owned()));
        return all;
    }
    let mut all = Way::new();
    for part in at.split('.') {
        let mut pieces = part.split('[');
        all.extend(
            pieces
                .next()
                .filter(|name| !name.is_empty())
                .map(|name| Key::Name(name.to_owned())),
        );
        for piece in pieces {
            let piece = piece.trim_end_matches(']');
            all.push(match piece.parse() {
                Ok(index) => Key::Index(index),
                Err(_) => Key::Name(piece.trim_matches('"').to_owned()),
            });
        }
    }
    all
}

/// The ways to all values that contain no others, in the order of the document.
pub fn leaves(json: &Json<'_>) -> Vec<Way> {
    let mut all = Vec::new();
    gather(json, &mut Vec::new(), &mut all);
    all
}

fn gather(json: &Json<'_>, way: &mut Way, all: &mut Vec<Way>) {
    match json {
        Json::Object(entries) => {
            for (name, value) in entries {
                way.push(Key::Name(name.to_string()));
                gather(value, way, all);
                way.pop();
            }
        }
        Json::List(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                way.push(Key::Index(index));
                gather(item, way, all);
                way.pop();
            }
        }
        _ => all.push(way.clone()),
    }
}

/// The value at the end of a way.
pub fn at<'j, 'a>(json: &'j Json<'a>, way: &[Key]) -> Option<&'j Json<'a>> {
    let Some((first, rest)) = way.split_first() else {
        return Some(json);
    };
    let next = match (json, first) {
        (Json::Object(entries), Key::Name(name)) => {
            &entries.iter().find(|(other, _)| other == name)?.1
        }
        (Json::List(items), Key::Index(index)) => items.get(*index)?,
        _ => return None,
    };
    at(next, rest)
}

/// Puts another value there; `None` takes the entry out.
pub fn put<'a>(json: &mut Json<'a>, way: &[Key], value: Option<Json<'a>>) {
    let Some((first, rest)) = way.split_first() else {
        return;
    };
    match (json, first) {
        (Json::Object(entries), Key::Name(name)) => {
            let Some(place) = entries.iter().position(|(other, _)| other == name) else {
                return;
            };
            match (rest.is_empty(), value) {
                (true, Some(value)) => entries[place].1 = value,
                (true, None) => drop(entries.remove(place)),
                (false, value) => put(&mut entries[place].1, rest, value),
            }
        }
        (Json::List(items), Key::Index(index)) if *index < items.len() => {
            match (rest.is_empty(), value) {
                (true, Some(value)) => items[*index] = value,
                (true, None) => drop(items.remove(*index)),
                (false, value) => put(&mut items[*index], rest, value),
            }
        }
        _ => {}
    }
}

/// Objects whose keys are the user's own.
const MAPS: [&str; 6] = [
    "annotations",
    "linux.netDevices",
    "linux.resources.rdma",
    "linux.resources.unified",
    "linux.sysctl",
    "linux.timeOffsets",
];

/// A way in the words of the matrix: `mounts[].options`, `linux.timeOffsets.*.secs`.
pub fn kind(way: &[Key]) -> String {
    let mut text = String::new();
    for key in way {
        match key {
            Key::Index(_) => text.push_str("[]"),
            Key::Name(_) if MAPS.contains(&text.as_str()) => text.push_str(".*"),
            Key::Name(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
        }
    }
    text
}

/// A way as fields of steps and problems have it, up to the first key of the user's own.
pub fn field(way: &[Key]) -> String {
    let mut text = String::new();
    for key in way {
        match key {
            Key::Index(index) => text.push_str(&format!("[{index}]")),
            Key::Name(_) if MAPS.contains(&text.as_str()) => return text,
            Key::Name(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
        }
    }
    text
}

fn names<S: ClosedSet>() -> Vec<&'static str> {
    S::VALUES.iter().map(|(name, _)| *name).collect()
}

/// All names of closed sets.
fn all_names() -> Vec<&'static str> {
    [
        names::<DeviceType>(),
        names::<IoPriorityClass>(),
        names::<MemoryPolicyFlag>(),
        names::<MemoryPolicyMode>(),
        names::<NamespaceType>(),
        names::<PersonalityDomain>(),
        names::<RlimitType>(),
        names::<RootfsPropagation>(),
        names::<SchedulerFlag>(),
        names::<SchedulerPolicy>(),
        names::<SeccompAction>(),
        names::<SeccompArch>(),
        names::<SeccompFlag>(),
        names::<SeccompOperator>(),
        vec![
            "CAP_NET_RAW",
            "getppid",
            "L3:0=3",
            "MB:0=30",
            "r",
            "rw",
            "tmpfs",
            "1.2.0",
            "1GB",
            "0-1",
            "2",
        ],
    ]
    .concat()
}

/// Values that could stand in for this one, the likeliest first.
pub fn candidates(json: &Json<'_>) -> Vec<Json<'static>> {
    match json {
        Json::Bool(value) => vec![Json::Bool(!value)],
        Json::Number(_) => [
            "1", "2", "0", "3", "7", "10", "100", "4096", "1000003", "-1",
        ]
        .map(|text| Json::parse(text.as_bytes()).unwrap())
        .into(),
        Json::Text(text) => texts(text),
        _ => Vec::new(),
    }
}

fn texts(text: &str) -> Vec<Json<'static>> {
    let mut all = vec![
        format!("{text}x"),
        format!("{text}1"),
        "/another".into(),
        "1".into(),
        "0".into(),
    ];
    // Of the same kind first.
    let begins = |name: &&str| text.len() > 4 && name.get(..4) == text.get(..4);
    let (like, unlike): (Vec<_>, Vec<_>) = all_names().into_iter().partition(begins);
    all.extend(like.into_iter().chain(unlike).map(str::to_owned));
    all.retain(|other| other != text);
    all.into_iter()
        .map(|text| Json::Text(text.into()))
        .collect()
}
