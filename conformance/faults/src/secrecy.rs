//! What of kan can be seen in the processes that a container could look into: its descriptors, its
//! memory, and the copy of its file that it executes.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use rustix::fs::{Mode, OFlags, open};
use serde_json::json;

use crate::outcome::{Outcome, Verdict, check};
use crate::registers;
use crate::stage::{Config, Stage};
use crate::sweep::await_status;
use crate::tracer::{self, Deed, Ended, Role, Strike};

/// The user of the container in `init_is_not_dumpable`.
const USER: u32 = 64_321;

fn make(stage: &Stage, user: u32) -> Outcome<i32> {
    let mut config = stage.config(Config::Default, &["wait"])?;
    config["process"]["user"] = json!({"uid": user, "gid": user});
    stage.make_bundle(&stage.bundle(), &config)?;
    rustix::fs::chmod(&stage.place.dir, Mode::from_raw_mode(0o755))?;
    let create = stage.making(&["create"], &stage.bundle(), &stage.id);
    stage.execute(&create)?.quiet()?;
    stage.pid(&stage.id)
}

/// What a process has open, by number.
///
/// # Errors
/// If it is gone.
pub fn descriptors(pid: i32) -> Outcome<Vec<(i32, String)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().parse()?;
        // Gone meanwhile, in a process that runs.
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        all.push((number, target.display().to_string()));
    }
    all.sort();
    Ok(all)
}

/// The device and inode of a file.
fn identity(path: String) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

type Descriptor = (i32, String, Option<(u64, u64)>);

/// As [`descriptors`], with the file that each is.
fn files(pid: i32) -> Outcome<Vec<Descriptor>> {
    let with_file = |(number, target)| {
        let file = identity(format!("/proc/{pid}/fd/{number}"));
        (number, target, file)
    };
    Ok(descriptors(pid)?.into_iter().map(with_file).collect())
}

/// A blocked init holds its FIFO and its channel beside the standard streams, the program nothing.
pub fn descriptors_of_container(stage: &Stage) -> Verdict {
    let pid = make(stage, 0)?;
    let blocked = descriptors(pid)?;
    let extra: Vec<_> = blocked.iter().filter(|(number, _)| *number > 2).collect();
    let fifos = extra
        .iter()
        .filter(|(_, target)| target.contains("fifo"))
        .count();
    let sockets = extra
        .iter()
        .filter(|(_, target)| target.starts_with("socket:"))
        .count();
    check!(
        (extra.len(), fifos, sockets) == (2, 1, 1),
        "a blocked init holds {blocked:?}"
    );
    stage.kan(&["start"])?.quiet()?;
    stage.await_program(pid)?;
    let running = descriptors(pid)?;
    let numbers: Vec<_> = running.iter().map(|(number, _)| *number).collect();
    check!(numbers == [0, 1, 2], "the program holds {running:?}");
    stage.kan(&["delete", "--force"])?.quiet()?;
    Ok(format!("init {extra:?}, program {numbers:?}"))
}

/// From the clone on neither half has a descriptor of the sealed mount or of the file: looked at
/// in calls of both.
pub fn no_descriptor_of_the_seal(stage: &Stage) -> Verdict {
    let config = stage.config(Config::Small, &["wait"])?;
    stage.make_bundle(&stage.bundle(), &config)?;
    let own = identity(stage.kan.display().to_string());
    let cloned_at = position(stage, Role::Host, "clone3")?;
    let mut looks = 0;
    for (role, from) in [(Role::Host, cloned_at), (Role::Init, 0)] {
        for index in (from..).step_by(2) {
            let mut seen = Ok(Vec::new());
            let mut look = |pid: Pid| seen = files(pid.as_raw());
            let deed = Deed::Look(&mut look);
            let Some(call) = create_with(stage, role, index, deed)? else {
                break;
            };
            looks += 1;
            let call = registers::name(call);
            for (number, target, file) in seen? {
                check!(
                    file != own && !target.contains("memfd:kan"),
                    "{role:?} call {index}, {call}: descriptor {number} is {target}"
                );
            }
        }
    }
    check!(looks > 50, "only {looks} looks");
    Ok(format!("{looks} looks"))
}

/// Where in a `create` a call comes for the first time.
fn position(stage: &Stage, role: Role, call: &str) -> Outcome<usize> {
    let (out, err) = stage.outputs()?;
    let create = stage.making(&["create"], &stage.bundle(), &stage.id);
    let trace = tracer::run(&create, &out, &err, None)?;
    stage.kan(&["delete", "--force"])?.quiet()?;
    let names = trace.calls[role as usize]
        .iter()
        .map(|call| registers::name(*call));
    match names.into_iter().position(|name| name == call) {
        Some(index) => Ok(index),
        None => crate::outcome::fail!("no {call} in create"),
    }
}

/// `create` with a deed, and `delete`: the call that was struck, if it came.
fn create_with(stage: &Stage, role: Role, index: usize, deed: Deed<'_>) -> Outcome<Option<u64>> {
    let strike = Strike {
        role,
        index,
        unless: |_| false,
        deed,
    };
    let (out, err) = stage.outputs()?;
    let create = stage.making(&["create"], &stage.bundle(), &stage.id);
    let trace = tracer::run(&create, &out, &err, Some(strike))?;
    check!(
        trace.ended == Ended::Exited(0),
        "create: {:?}: {}",
        trace.ended,
        stage.heard()?.1
    );
    stage.kan(&["delete", "--force"])?.quiet()?;
    Ok(trace.struck)
}

/// What /proc shows of a process that is not dumpable belongs to root, whoever it runs as, and its
/// user can't trace it. The program that follows is dumpable again: the control.
pub fn init_is_not_dumpable(stage: &Stage) -> Verdict {
    let pid = make(stage, USER)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let user = format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}");
    check!(
        status.contains(&user),
        "init does not run as {USER}: {status}"
    );
    let blocked = (owner(pid)?, traced_by_user(pid)?);
    stage.kan(&["start"])?.quiet()?;
    stage.await_program(pid)?;
    let running = (owner(pid)?, traced_by_user(pid)?);
    check!(
        running == (USER, true),
        "the control does not hold, the program: {running:?}"
    );
    check!(blocked == (0, false), "a blocked init: {blocked:?}");
    stage.kan(&["delete", "--force"])?.quiet()?;
    Ok("a blocked init belongs to root and can't be traced".into())
}

fn owner(pid: i32) -> Outcome<u32> {
    Ok(fs::metadata(format!("/proc/{pid}/fd"))?.uid())
}

/// Whether the container's user may trace a process, without any capability.
fn traced_by_user(pid: i32) -> Outcome<bool> {
    // By this name the user needs no way through the directories of the build folder.
    let mut command = Command::new("/proc/self/exe");
    command.args([TRACE, &pid.to_string()]).uid(USER).gid(USER);
    Ok(command.status()?.success())
}

/// The first argument of a process that tries to trace another.
pub const TRACE: &str = "--trace";

/// Traces a process for a moment; whether that is permitted.
pub fn trace(pid: &str) -> bool {
    let Ok(pid) = pid.parse() else { return false };
    ptrace::seize(Pid::from_raw(pid), Options::empty()).is_ok()
}

/// Where a mount can't be cloned the seal is a memfd that nobody can write to.
pub fn fallback_is_sealed_as_well(stage: &Stage) -> Verdict {
    let config = stage.config(Config::Small, &["wait"])?;
    stage.make_bundle(&stage.bundle(), &config)?;
    let strike = Strike {
        role: Role::Host,
        index: usize::MAX,
        unless: |_| false,
        deed: Deed::FailEach("open_tree", Errno::EPERM),
    };
    let (out, err) = stage.outputs()?;
    let create = stage.making(&["create"], &stage.bundle(), &stage.id);
    let trace = tracer::run(&create, &out, &err, Some(strike))?;
    check!(
        trace.ended == Ended::Exited(0),
        "create without open_tree: {:?}: {}",
        trace.ended,
        stage.heard()?.1
    );
    let exe = format!("/proc/{}/exe", stage.pid(&stage.id)?);
    let link = fs::read_link(&exe)?.display().to_string();
    check!(link.starts_with("/memfd:kan"), "init executes {link}");
    let held = open(&exe, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    stage.kan(&["delete", "--force"])?.quiet()?;
    crate::leftovers::reap();
    let path = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    let before = fs::read(&path)?;
    let opened = OpenOptions::new().write(true).open(&path);
    let written = opened.and_then(|mut file| file.write_all(b"X"));
    let cut = OpenOptions::new().write(true).truncate(true).open(&path);
    check!(
        written.is_err() && cut.is_err() && fs::read(&path)? == before,
        "the memfd can be written to: {written:?} {cut:?}"
    );
    Ok(format!("{link}: {written:?}, {:?}", cut.map(drop)))
}

/// The first instructions seal in several calls. Whichever of them fails, kan is sealed in another way.
pub fn sealed_whatever_fails(stage: &Stage) -> Verdict {
    let config = stage.config(Config::Small, &["wait"])?;
    stage.make_bundle(&stage.bundle(), &config)?;
    let create = stage.making(&["create"], &stage.bundle(), &stage.id);
    let mut struck = Vec::new();
    while struck.last() != Some(&"prctl") && struck.len() < 20 {
        let strike = Strike {
            role: Role::Host,
            index: struck.len(),
            unless: |_| false,
            deed: Deed::Fail(Errno::EPERM),
        };
        let (out, err) = stage.outputs()?;
        let trace = tracer::run(&create, &out, &err, Some(strike))?;
        let name = trace.struck.map_or("nothing", registers::name);
        check!(
            trace.ended == Ended::Exited(0),
            "create without {name}: {:?}: {}",
            trace.ended,
            stage.heard()?.1
        );
        struck.push(name);
        let proc = PathBuf::from(format!("/proc/{}", stage.pid(&stage.id)?));
        check_sealed(&proc.join("exe"))?;
        for mapped in fs::read_dir(proc.join("map_files"))? {
            let mapped = mapped?.path();
            // The board is memory that kan and init share.
            if fs::read_link(&mapped)? != Path::new("/dev/zero (deleted)") {
                check_sealed(&mapped)?;
            }
        }
        stage.kan(&["delete", "--force"])?.quiet()?;
        crate::leftovers::reap();
    }
    let failed = struck.join(", ");
    check!(
        failed.starts_with("open_tree, mount_setattr, openat, mmap") && failed.ends_with("prctl"),
        "these are not the first instructions' calls: {failed}"
    );
    Ok(format!("without each of {failed}"))
}

/// Where this link of a process leads, which must be a file that nobody can write to.
///
/// # Errors
/// With its name, if it is another.
pub fn check_sealed(link_at: &Path) -> Outcome {
    let link = fs::read_link(link_at)?.display().to_string();
    let flags = mount_flags(link_at)?;
    check!(
        link.starts_with("/memfd:kan") || flags.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        "{link} is a file on a writable mount: {flags:?}"
    );
    Ok(())
}

/// Of the mount that a link of a process leads to, which may be attached nowhere.
fn mount_flags(link_at: &Path) -> Outcome<rustix::fs::StatVfsMountFlags> {
    let held = open(link_at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    Ok(rustix::fs::fstatvfs(&held)?.f_flag)
}

/// A file that nobody may write to, through the link that everyone could follow.
pub fn exe_is_on_a_read_only_mount(stage: &Stage) -> Verdict {
    let pid = make(stage, 0)?;
    let flags = mount_flags(Path::new(&format!("/proc/{pid}/exe")))?;
    check!(
        flags.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        "init executes a file on a writable mount: {flags:?}"
    );
    stage.kan(&["start"])?.quiet()?;
    await_status(stage, "running")?;
    stage.kan(&["delete", "--force"])?.quiet()?;
    Ok(format!("{flags:?}"))
}
