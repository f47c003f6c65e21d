//! Rules for single values, in words that follow the field's name: "process.cwd: must be …".

/// Any string but the empty one.
pub fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(())
}

/// A path that starts at the root.
pub fn absolute(path: &str) -> Result<(), String> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(format!("must be an absolute path, is {path:?}"))
}

/// A host or domain name as sethostname(2) and setdomainname(2) take it.
pub fn uts_name(name: &str) -> Result<(), String> {
    /// __NEW_UTS_LEN, linux/utsname.h.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return Err(format!(
            "has {} bytes, the kernel takes {LONGEST}",
            name.len()
        ));
    }
    Ok(())
}

/// An entry of the environment (environ(7)); runc's messages.
///
/// # Errors
/// It has no name, or no `=`.
pub fn environment(entry: &str) -> Result<(), String> {
    match entry.find('=') {
        None => Err(format!(
            "invalid environment variable: missing '=' in {entry:?}"
        )),
        Some(0) => Err(format!(
            "invalid environment variable: no name in {entry:?}"
        )),
        Some(_) => Ok(()),
    }
}

/// A list of CPUs or memory nodes, such as `0-3,7` (config.md, execCPUAffinity).
pub fn cpu_list(list: &str) -> Result<(), String> {
    crate::config::parse_list(list).map(|_| ())
}

/// A network device's name, as the kernel's `dev_valid_name` has it, without `%`, which would make
/// it a pattern.
pub fn device_name(name: &str) -> Result<(), String> {
    /// IFNAMSIZ without the NUL, linux/if.h.
    const LONGEST: usize = 15;
    let refused = |c: char| matches!(c, '/' | ':' | '%') || c.is_ascii_whitespace();
    if name.is_empty() || name.len() > LONGEST || matches!(name, "." | "..") {
        return Err(format!(
            "invalid network device name {name:?}: must have 1 to {LONGEST} bytes"
        ));
    }
    if let Some(c) = name.chars().find(|c| refused(*c)) {
        return Err(format!(
            "invalid network device name {name:?}: must not contain {c:?}"
        ));
    }
    Ok(())
}

/// A huge page size such as `64KB`, `2MB`, `1GB` (config-linux.md, Huge page limits). It becomes
/// part of a file name below the cgroup.
pub fn page_size(size: &str) -> Result<(), String> {
    let number = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &size[number.len()..];
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    if digits && matches!(unit, "B" | "KB" | "MB" | "GB" | "TB") {
        return Ok(());
    }
    Err(format!(
        "must be a size such as \"64KB\", \"2MB\" or \"1GB\", is {size:?}"
    ))
}

/// The letters of a device rule's `access`, in any order. As in runc, others are ignored where one of
/// them is there: the planner warns of them.
pub fn device_access(access: &str) -> Result<(), String> {
    if access.is_empty() || access.contains(['r', 'w', 'm']) {
        return Ok(());
    }
    Err(format!("must consist of r, w and m, is {access:?}"))
}

/// The name of a cgroup v2 file (config-linux.md, Unified). It becomes a file name.
pub fn cgroup_file(name: &str) -> Result<(), String> {
    if name.contains('/') {
        return Err("must be a file name (no slashes)".to_owned());
    }
    match name.split_once('.') {
        Some((controller, file)) if !controller.is_empty() && !file.is_empty() => Ok(()),
        _ => Err("must be in the form CONTROLLER.PARAMETER".to_owned()),
    }
}

/// A class of service, which becomes a directory below resctrl; `/` is its root.
pub fn class_of_service(id: &str) -> Result<(), String> {
    if matches!(id, "." | "..") || id.contains(['/', '\n']) && id != "/" {
        return Err(format!(
            "invalid class of service {id:?}: must be a directory name"
        ));
    }
    Ok(())
}
