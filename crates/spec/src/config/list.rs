//! Lists of CPUs and memory nodes, as `linux.memoryPolicy.nodes` and `process.execCPUAffinity`
//! have them.

/// Numbers beyond this are refused: the kernel's own limits (NR_CPUS, MAX_NUMNODES) are 8192 and
/// 1024 at most, and the planner makes a bit mask of them.
const HIGHEST: u32 = 65535;

/// Reads a list such as `0-3,7`: its ranges, limits included, as written.
///
/// # Errors
/// What is wrong with the list, as a sentence that follows the field's name.
pub fn parse_list(list: &str) -> Result<Vec<(u32, u32)>, String> {
    let refuse = |part: &str| format!("must be a list such as \"0-3,7\", has {part:?}");
    list.split(',')
        .map(|part| range(part.trim()).ok_or_else(|| refuse(part)))
        .collect()
}

fn range(part: &str) -> Option<(u32, u32)> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let range = (number(first)?, number(last)?);
    (range.0 <= range.1).then_some(range)
}

fn number(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|n| plain && *n <= HIGHEST)
}
