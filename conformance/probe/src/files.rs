//! What the file system shows: descriptors, devices, masked and read-only paths.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use serde_json::{Map, Value};

use crate::kernel;

/// The names of the file types, as the report spells them.
fn type_name(kind: FileType) -> &'static str {
    match kind {
        k if k.is_symlink() => "symlink",
        k if k.is_dir() => "dir",
        k if k.is_char_device() => "char",
        k if k.is_block_device() => "block",
        k if k.is_fifo() => "fifo",
        k if k.is_socket() => "socket",
        k if k.is_file() => "file",
        _ => "other",
    }
}

/// Type, owner, mode and device numbers.
fn describe(meta: &Metadata) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("type".into(), type_name(meta.file_type()).into());
    all.insert("mode".into(), (meta.mode() & 0o7777).into());
    all.insert("uid".into(), meta.uid().into());
    all.insert("gid".into(), meta.gid().into());
    if meta.file_type().is_char_device() || meta.file_type().is_block_device() {
        all.insert("major".into(), libc::major(meta.rdev()).into());
        all.insert("minor".into(), libc::minor(meta.rdev()).into());
    }
    all
}

/// Open descriptors with what they point at, without the one that lists them.
pub fn descriptors() -> Value {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return Value::Null;
    };
    let mut all: Vec<(i32, Value)> = Vec::new();
    for entry in entries.flatten() {
        let Some(fd) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        // The directory that is being read is gone when the list is read a second time.
        if let Some(found) = descriptor(fd).filter(|v| !is_listing(v)) {
            all.push((fd, found));
        }
    }
    all.sort_by_key(|(fd, _)| *fd);
    all.into_iter().map(|(_, value)| value).collect()
}

/// Whether this is the probe's own handle on /proc/self/fd.
fn is_listing(value: &Value) -> bool {
    // A hook's /proc is the host's, and its process id there is another.
    let own = fs::read_link("/proc/self").unwrap_or_default();
    let own = Path::new("/proc").join(own).join("fd");
    value["target"]
        .as_str()
        .is_some_and(|t| Path::new(t) == own)
}

/// One descriptor.
fn descriptor(fd: i32) -> Option<Value> {
    let link = format!("/proc/self/fd/{fd}");
    let target = fs::read_link(&link).ok()?;
    let mut all = fs::metadata(&link)
        .map(|m| describe(&m))
        .unwrap_or_default();
    all.insert("fd".into(), fd.into());
    all.insert("target".into(), target.to_string_lossy().into());
    all.insert("tty".into(), kernel::is_terminal(fd).into());
    if let Ok(on) = kernel::onlcr(fd) {
        all.insert("onlcr".into(), on.into());
    }
    Some(Value::Object(all))
}

/// Everything below /dev, by its path without `/dev/`.
pub fn devices() -> Value {
    let mut all = Map::new();
    list_devices(Path::new("/dev"), "", &mut all);
    Value::Object(all)
}

/// Walks one directory and those below it.
fn list_devices(dir: &Path, prefix: &str, all: &mut Map<String, Value>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let Ok(meta) = entry.metadata() else { continue };
        let mut one = describe(&meta);
        if let Ok(target) = fs::read_link(entry.path()) {
            one.insert("target".into(), target.to_string_lossy().into());
        }
        all.insert(name.clone(), Value::Object(one));
        if meta.is_dir() {
            list_devices(&entry.path(), &format!("{name}/"), all);
        }
    }
}

/// The symbolic name of an error, where the tests ask for it.
fn errno_name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EROFS) => "EROFS".into(),
        Some(libc::EACCES) => "EACCES".into(),
        Some(libc::EPERM) => "EPERM".into(),
        Some(libc::ENOENT) => "ENOENT".into(),
        Some(libc::ENXIO) => "ENXIO".into(),
        _ => error.to_string(),
    }
}

/// How much of a path can be read: `missing`, `empty`, `content`, or the error's name.
fn readable(path: &str) -> String {
    let Ok(meta) = fs::metadata(path) else {
        return "missing".into();
    };
    let empty = if meta.is_dir() {
        fs::read_dir(path).map(|mut entries| entries.next().is_none())
    } else {
        read_some(path).map(|count| count == 0)
    };
    match empty {
        Ok(true) => "empty".into(),
        Ok(false) => "content".into(),
        Err(error) => errno_name(&error),
    }
}

/// Reads at most one byte: a file like /proc/kcore has no end worth waiting for.
fn read_some(path: &str) -> io::Result<usize> {
    use std::io::Read as _;
    let mut byte = [0];
    fs::File::open(path)?.read(&mut byte)
}

/// Whether a path takes writes: `yes`, `missing`, or the error's name.
fn writable(path: &str) -> String {
    match fs::metadata(path) {
        Err(_) => "missing".into(),
        Ok(_) => match kernel::writable(path) {
            Ok(()) => "yes".into(),
            Err(error) => errno_name(&error),
        },
    }
}

/// Type, readability and writability of each path.
pub fn paths(paths: &[&str]) -> Value {
    let mut all = Map::new();
    for path in paths {
        let mut one = fs::metadata(path).map(|m| describe(&m)).unwrap_or_default();
        one.insert("read".into(), readable(path).into());
        one.insert("write".into(), writable(path).into());
        one.insert(
            "read_only_mount".into(),
            kernel::read_only(path).ok().into(),
        );
        all.insert((*path).to_owned(), Value::Object(one));
    }
    Value::Object(all)
}
