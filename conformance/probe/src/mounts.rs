//! /proc/self/mountinfo, parsed (proc_pid_mountinfo(5)).

use std::fs;

use serde_json::{Value, json};

/// The mount table, or null without /proc.
pub fn table() -> Value {
    match fs::read_to_string("/proc/self/mountinfo") {
        Ok(text) => text.lines().filter_map(entry).collect(),
        Err(_) => Value::Null,
    }
}

/// One line: `id parent major:minor root point options [optional…] - type source super`.
fn entry(line: &str) -> Option<Value> {
    let (front, back) = line.split_once(" - ")?;
    let front: Vec<&str> = front.split(' ').collect();
    let back: Vec<&str> = back.split(' ').collect();
    let [id, parent, device, root, point, options, optional @ ..] = front.as_slice() else {
        return None;
    };
    let [fstype, source, rest @ ..] = back.as_slice() else {
        return None;
    };
    Some(json!({
        "id": id.parse::<u64>().ok(),
        "parent": parent.parse::<u64>().ok(),
        "device": device,
        "root": unescape(root),
        "mount_point": unescape(point),
        "options": options.split(',').collect::<Vec<_>>(),
        "propagation": optional,
        "fstype": fstype,
        "source": unescape(source),
        "super_options": rest.first().map(|s| s.split(',').collect::<Vec<_>>()),
    }))
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    escapes
        .iter()
        .fold(text.to_owned(), |t, (code, plain)| t.replace(code, plain))
}
