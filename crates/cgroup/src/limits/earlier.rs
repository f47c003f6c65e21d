//! What to write to get the value back that a file has now: most files read as they are written,
//! some do not.

/// The text to write, from what the file says and what is about to be written to it. `None` where
/// nothing is known to bring the earlier value back.
pub(super) fn value(file: &str, text: &str, written: &str) -> Option<String> {
    let text = text.trim_end();
    if file == "memory.oom_control" {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill_disable "));
        return line.map(str::to_owned);
    }
    if file == "io.weight" || file == "io.bfq.weight" {
        return Some(weight(text, written));
    }
    match written.split_once(' ') {
        // A line a device or interface.
        Some((key, _)) if is_keyed(file) => Some(line(text, key).unwrap_or_else(|| {
            let none = nothing(file);
            format!("{key} {none}")
        })),
        _ => Some(text.to_owned()),
    }
}

fn is_keyed(file: &str) -> bool {
    file.ends_with("_device") || matches!(file, "io.max" | "rdma.max" | "net_prio.ifpriomap")
}

/// What a device without a line has.
fn nothing(file: &str) -> &'static str {
    match file {
        "io.max" => "rbps=max wbps=max riops=max wiops=max",
        "rdma.max" => "hca_handle=max hca_object=max",
        "blkio.bfq.weight_device" => "default",
        _ => "0",
    }
}

fn line(text: &str, key: &str) -> Option<String> {
    let found = text
        .lines()
        .find(|line| line.split(' ').next() == Some(key));
    found.map(str::to_owned)
}

/// `default 100`, or a number alone, then a line a device.
fn weight(text: &str, written: &str) -> String {
    match written.split_once(' ') {
        Some((device, _)) if device != "default" => {
            line(text, device).unwrap_or_else(|| format!("{device} default"))
        }
        _ => {
            let first = text.lines().next().unwrap_or_default();
            first.trim_start_matches("default ").to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn what_brings_a_value_back() {
        for (file, text, written, expected) in [
            ("memory.max", "max\n", "4096", "max"),
            ("cpu.max", "max 100000\n", "5000 10000", "max 100000"),
            ("cpuset.cpus", "\n", "0-1", ""),
            (
                "memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
                "1",
                "0",
            ),
            (
                "io.max",
                "8:16 rbps=1 wbps=max riops=max wiops=max\n8:0 rbps=7 wbps=max riops=2 wiops=max\n",
                "8:0 rbps=1",
                "8:0 rbps=7 wbps=max riops=2 wiops=max",
            ),
            (
                "io.max",
                "",
                "8:0 rbps=1",
                "8:0 rbps=max wbps=max riops=max wiops=max",
            ),
            (
                "blkio.throttle.read_bps_device",
                "8:0 5\n",
                "8:0 1",
                "8:0 5",
            ),
            (
                "blkio.throttle.read_bps_device",
                "8:0 5\n",
                "8:1 1",
                "8:1 0",
            ),
            ("io.weight", "default 100\n8:0 7\n", "50", "100"),
            ("io.bfq.weight", "100\n", "50", "100"),
            ("io.weight", "default 100\n8:0 7\n", "8:0 50", "8:0 7"),
            ("io.weight", "default 100\n", "8:0 50", "8:0 default"),
            ("net_prio.ifpriomap", "lo 0\neth0 4\n", "eth0 5", "eth0 4"),
        ] {
            assert_eq!(
                value(file, text, written).as_deref(),
                Some(expected),
                "{file}"
            );
        }
    }
}
