//! Files of the kernel, of the host and of an image.

/// /proc/self/mountinfo, which the host half reads as text and init a byte at a time.
pub fn mountinfo(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    kan_cgroup::fuzzing::mountinfo(&text);
    kan_lifecycle::fuzzing::mountinfo(&text);
    let lines = data.split(|byte| *byte == b'\n').count();
    assert!(kan_init::fuzzing::bare_mounts(data, b"/bundle/rootfs") <= lines);
}

/// /proc/self/cgroup, a cgroup's files, and /proc/PID/stat.
pub fn cgroup_files(data: &[u8]) {
    // A list of CPUs may name 65,536 of them in eight bytes: the kernel writes each once.
    if data.len() <= 4096 {
        kan_cgroup::fuzzing::files(&String::from_utf8_lossy(data));
    }
    kan_lifecycle::fuzzing::stat(data);
}

/// /etc/passwd. init, which may not allocate, finds the same home as one who may.
pub fn passwd(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for uid in [0, 1000, u32::MAX] {
        let _ = kan_lifecycle::fuzzing::user_name(&text, uid);
        let found = kan_init::fuzzing::home(data, uid);
        let wanted = home(data, uid).unwrap_or_default();
        assert_eq!(found, &wanted[..wanted.len().min(found.len())]);
        // A home that is longer than a path can be is cut, and an error of the step.
        assert!(found.len() == wanted.len() || found.len() >= 4090);
    }
}

fn home(passwd: &[u8], uid: u32) -> Option<&[u8]> {
    passwd.split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<_> = line.split(|byte| *byte == b':').collect();
        let home = fields.get(5)?;
        (number(fields[2]) == Some(uid)).then_some(*home)
    })
}

/// What is no number, or too large, is [`u32::MAX`], which is nobody's.
fn number(field: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(field).unwrap_or("x");
    (!text.is_empty()).then(|| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().unwrap_or(u32::MAX),
        false => u32::MAX,
    })
}
