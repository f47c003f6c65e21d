//! The floor: what `run` of a default container costs when nothing but the kernel's share is done.
//!
//!     floor ROOTFS CGROUP PROGRAM [ARGUMENT...]
//!
//! ROOTFS holds `proc`, `dev`, `sys` and PROGRAM; CGROUP is a path on cgroup2 that does not exist yet.
//! Nothing is parsed, stored, checked for safety or explained: this is the yardstick that a runtime is
//! held against, not a runtime. `floor.syscalls` lists every call, and a test compares.
//!
//! Each call is the cheapest that the kernel offers for its purpose: one `mount(2)` instead of the
//! three or four calls of the descriptor-based mount API, no descriptor kept, no path resolved twice.
//! The child is a real copy of its parent (no CLONE_VM), because no runtime may let a container's
//! first process share its memory.
#![no_main]
#![allow(
    unsafe_code,
    reason = "replaces Rust's start-up; clone3, close_range and execve have no safe wrapper"
)]

use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::{Errno, Result};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Pid, Resource, Rlimit, WaitId, WaitIdOptions};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// The device nodes of the runtime-spec's "Default Devices" with their minor numbers: (path, major, minor).
const DEVICES: [(&CStr, u32, u32); 6] = [
    (c"dev/null", 1, 3),
    (c"dev/zero", 1, 5),
    (c"dev/full", 1, 7),
    (c"dev/random", 1, 8),
    (c"dev/urandom", 1, 9),
    (c"dev/tty", 5, 0),
];

/// The links of the runtime-spec's "Dev symbolic links", and ptmx: (target, path).
const LINKS: [(&CStr, &CStr); 5] = [
    (c"/proc/self/fd", c"dev/fd"),
    (c"/proc/self/fd/0", c"dev/stdin"),
    (c"/proc/self/fd/1", c"dev/stdout"),
    (c"/proc/self/fd/2", c"dev/stderr"),
    (c"pts/ptmx", c"dev/ptmx"),
];

/// The masked paths that are files where they exist: hidden under /dev/null.
const MASKED_FILES: [&CStr; 6] = [
    c"/proc/kcore",
    c"/proc/keys",
    c"/proc/latency_stats",
    c"/proc/timer_list",
    c"/proc/timer_stats",
    c"/proc/sched_debug",
];

/// The masked paths that are directories where they exist: hidden under an empty read-only tmpfs.
const MASKED_DIRECTORIES: [&CStr; 4] = [
    c"/proc/acpi",
    c"/proc/asound",
    c"/sys/firmware",
    c"/proc/scsi",
];

/// The read-only paths of the default config.
const READONLY: [&CStr; 5] = [
    c"/proc/bus",
    c"/proc/fs",
    c"/proc/irq",
    c"/proc/sys",
    c"/proc/sysrq-trigger",
];

/// CAP_CHECKPOINT_RESTORE, the highest capability up to Linux 6.18.
const LAST_CAPABILITY: u32 = 40;

const NAMESPACES: libc::c_int = libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWCGROUP;

/// clone(2): not in the libc crate, since it does not fit `c_int`.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The arguments as libc hands them over: C strings up to a null pointer.
type Strings = *const *const c_char;

/// Entered by libc with the process's arguments and environment.
///
/// # Safety
///
/// Only libc calls it, with `count` arguments in an array that ends with a null pointer.
// SAFETY: the one definition of `main` in this program, with the type that libc expects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(
    count: libc::c_int,
    arguments: Strings,
    environment: Strings,
) -> libc::c_int {
    if count < 4 {
        return fail(
            c"usage: floor ROOTFS CGROUP PROGRAM [ARGUMENT...]: ",
            Errno::INVAL,
        );
    }
    // SAFETY: `arguments` holds `count` C strings, at least four, that live as long as the process.
    let (rootfs, cgroup) = unsafe {
        (
            CStr::from_ptr(*arguments.add(1)),
            CStr::from_ptr(*arguments.add(2)),
        )
    };
    // SAFETY: as above; what follows PROGRAM up to the null pointer are its arguments.
    let program = unsafe { arguments.add(3) };
    match run(rootfs, cgroup, program, environment) {
        Ok(status) => status,
        Err(errno) => fail(c"floor: ", errno),
    }
}

/// Makes the cgroup, the child in it, waits for the child and removes the cgroup.
fn run(
    rootfs: &CStr,
    cgroup: &CStr,
    program: Strings,
    environment: Strings,
) -> Result<libc::c_int> {
    rustix::fs::mkdirat(CWD, cgroup, Mode::from_raw_mode(0o755))?;
    let directory = rustix::fs::openat(
        CWD,
        cgroup,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let Some(child) = clone_into(&directory)? else {
        let errno = contain(rootfs, program, environment);
        std::process::exit(fail(c"floor: in the container: ", errno));
    };
    let status = rustix::process::waitid(WaitId::Pid(child), WaitIdOptions::EXITED)?;
    rustix::fs::unlinkat(CWD, cgroup, AtFlags::REMOVEDIR)?;
    // The exit closes it.
    std::mem::forget(directory);
    Ok(status
        .and_then(|status| status.exit_status())
        .unwrap_or(255))
}

/// clone3(2) with all namespaces at once, directly into the cgroup. `None` in the child.
fn clone_into(cgroup: &OwnedFd) -> Result<Option<Pid>> {
    // SAFETY: clone_args is plain integers, for which zero means "not asked for".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(NAMESPACES.unsigned_abs()) | CLONE_INTO_CGROUP;
    arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    arguments.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    // SAFETY: without CLONE_VM and without a stack this is fork(2): the child runs on its own copy.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<libc::clone_args>(),
        )
    };
    match i32::try_from(pid) {
        Ok(pid) if pid >= 0 => Ok(Pid::from_raw(pid)),
        _ => Err(last_error()),
    }
}

/// The child: builds the container and becomes the program. Returns only the error that stopped it.
fn contain(rootfs: &CStr, program: Strings, environment: Strings) -> Errno {
    match enter_root(rootfs)
        .and_then(|()| hide_and_protect())
        .and_then(|()| drop_privileges())
    {
        Ok(()) => execute(program, environment),
        Err(errno) => errno,
    }
}

/// Mounts everything under the rootfs, then makes it the root.
fn enter_root(rootfs: &CStr) -> Result<()> {
    rustix::process::setsid()?;
    rustix::system::sethostname(b"floor")?;
    rustix::mount::mount_change(
        c"/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    rustix::mount::mount_bind_recursive(rootfs, rootfs)?;
    rustix::process::chdir(rootfs)?;
    mount_defaults()?;
    make_devices()?;
    rustix::process::pivot_root(c".", c".")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}

/// The seven mounts of the default config, with its options, relative to the rootfs.
fn mount_defaults() -> Result<()> {
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    let terminals = MountFlags::NOSUID | MountFlags::NOEXEC;
    let devices = MountFlags::NOSUID | MountFlags::STRICTATIME;
    mount(c"proc", c"proc", MountFlags::empty(), c"")?;
    mount(c"tmpfs", c"dev", devices, c"mode=755,size=65536k")?;
    for directory in [c"dev/pts", c"dev/shm", c"dev/mqueue"] {
        rustix::fs::mkdirat(CWD, directory, Mode::from_raw_mode(0o755))?;
    }
    mount(
        c"devpts",
        c"dev/pts",
        terminals,
        c"newinstance,ptmxmode=0666,mode=0620,gid=5",
    )?;
    mount(c"tmpfs", c"dev/shm", quiet, c"mode=1777,size=65536k")?;
    mount(c"mqueue", c"dev/mqueue", quiet, c"")?;
    mount(c"sysfs", c"sys", quiet | MountFlags::RDONLY, c"")?;
    mount(
        c"cgroup2",
        c"sys/fs/cgroup",
        quiet | MountFlags::RELATIME | MountFlags::RDONLY,
        c"",
    )
}

fn mount(fstype: &CStr, target: &CStr, flags: MountFlags, data: &CStr) -> Result<()> {
    rustix::mount::mount(fstype, target, fstype, flags, data)
}

fn make_devices() -> Result<()> {
    rustix::process::umask(Mode::empty());
    for (path, major, minor) in DEVICES {
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(
            CWD,
            path,
            FileType::CharacterDevice,
            mode,
            rustix::fs::makedev(major, minor),
        )?;
    }
    for (target, path) in LINKS {
        rustix::fs::symlinkat(target, CWD, path)?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// Masked paths, read-only paths, and the read-only root. The same calls on every machine, whatever
/// of these paths its kernel has, so that their number can be asserted.
fn hide_and_protect() -> Result<()> {
    for path in MASKED_FILES {
        if_present(rustix::mount::mount_bind(c"/dev/null", path))?;
    }
    for path in MASKED_DIRECTORIES {
        if_present(mount(
            c"tmpfs",
            path,
            MountFlags::RDONLY,
            c"nr_blocks=1,nr_inodes=1",
        ))?;
    }
    let readonly = MountFlags::BIND | MountFlags::RDONLY;
    for path in READONLY {
        if_present(rustix::mount::mount_bind_recursive(path, path))?;
        if_present(rustix::mount::mount_remount(path, readonly, c""))?;
    }
    rustix::mount::mount_remount(c"/", readonly, c"")
}

/// A path that this kernel does not have needs no protection.
fn if_present(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// The default config's process: limits, groups, capabilities, no_new_privs.
fn drop_privileges() -> Result<()> {
    let files = Rlimit {
        current: Some(1024),
        maximum: Some(1024),
    };
    rustix::process::setrlimit(Resource::Nofile, files)?;
    let kept = CapabilitySet::AUDIT_WRITE | CapabilitySet::KILL | CapabilitySet::NET_BIND_SERVICE;
    for number in 0..=LAST_CAPABILITY {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if !kept.contains(capability) {
            rustix::thread::remove_capability_from_bounding_set(capability)?;
        }
    }
    rustix::thread::set_thread_groups(&[])?;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::thread::set_no_new_privs(true)
}

/// close_range(2) and execve(2). Returns only on failure.
fn execute(program: Strings, environment: Strings) -> Errno {
    // SAFETY: marks descriptors close-on-exec, touches no memory. No descriptor above 2 is used any more.
    if unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    } < 0
    {
        return last_error();
    }
    // SAFETY: all three are what libc handed to `main`, `program` offset within its array.
    unsafe { libc::execve(*program, program, environment) };
    last_error()
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Says what went wrong and returns the exit status for it.
fn fail(what: &CStr, errno: Errno) -> libc::c_int {
    use std::io::Write;
    let mut stderr = std::io::stderr();
    // Nothing is left to do when even this write fails.
    let _ = stderr.write_all(what.to_bytes());
    let _ = writeln!(stderr, "{errno}");
    255
}
