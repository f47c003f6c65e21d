//! The suite's own default config: what runtimes write with `spec`, without a terminal, with a
//! writable root. Written here from config.md, so that no runtime's idea of it is tested
//! against itself.

use serde_json::{Map, Value, json};

/// A config that every runtime should run; `marker` goes into the environment, by which the
/// suite finds the container's processes.
pub fn default(marker: &str) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["/probe", "report"],
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", format!("KAN_SUITE={marker}")],
            "cwd": "/",
            "capabilities": capabilities(),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "suite",
        "mounts": mounts(),
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"}
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
                "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"
            ]
        }
    })
}

/// The three capabilities of the default config, neither inheritable nor ambient.
fn capabilities() -> Value {
    let three = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({"bounding": three, "effective": three, "permitted": three})
}

/// The default filesystems of config-linux.md, and mqueue.
fn mounts() -> Value {
    json!([
        mount("/proc", "proc", &[]),
        mount(
            "/dev",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"]
        ),
        mount(
            "/dev/pts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5"
            ]
        ),
        mount(
            "/dev/shm",
            "tmpfs",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]
        ),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ])
}

/// One entry of `mounts`.
pub fn mount(destination: &str, fstype: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": fstype, "source": fstype, "options": options})
}

/// Sets a value by JSON pointer; missing objects on the way are made, `-` appends to an array.
pub fn set(root: &mut Value, pointer: &str, value: Value) {
    let mut place = root;
    for key in pointer.split('/').skip(1) {
        place = child(place, key);
    }
    *place = value;
}

/// One step of a JSON pointer; what stands in the way becomes an object.
fn child<'v>(place: &'v mut Value, key: &str) -> &'v mut Value {
    if let Value::Array(list) = place {
        let index = key.parse().unwrap_or(list.len());
        while list.len() <= index {
            list.push(Value::Null);
        }
        return &mut list[index];
    }
    if !place.is_object() {
        *place = if key == "-" {
            json!([])
        } else {
            Value::Object(Map::new())
        };
        return child(place, key);
    }
    &mut place[key]
}

/// Removes what a JSON pointer names, if it is there.
pub fn remove(root: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        return;
    };
    match root.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.remove(key)),
        Some(Value::Array(list)) => {
            if let Some(index) = key.parse().ok().filter(|i| *i < list.len()) {
                list.remove(index);
            }
        }
        _ => {}
    }
}
