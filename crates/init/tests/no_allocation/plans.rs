//! Lists of steps that between them hold every kind, and steps that fail.

use kan_init::Slots;
use kan_op::init::{
    FilterInstruction, Ids, InitHook, MountChange, MountPoint, MountTarget, NewMount, NodeKind,
    Parameter, Program, RootEntry, RootPath, TreeSource,
};
use kan_op::{Flaw, InitStep, NamespaceSlot, Slot, Sync};
use kan_sys::fd::OwnedFd;
use kan_sys::{file, io, mount, namespace, socket};
use std::ffi::CString;

/// Says `done`.
pub const ECHO: &str = "/bin/echo";
/// A program that the kernel refuses to execute.
pub const BROKEN: &str = "/broken";

/// The seccomp(2) program that allows everything.
const ALLOW: FilterInstruction = FilterInstruction {
    code: 0x06,
    jt: 0,
    jf: 0,
    k: 0x7fff_0000,
};

pub const OTHER_ENTRIES: [RootEntry; 2] = [RootEntry::Move, RootEntry::Chroot];

const MS_PRIVATE: u32 = 1 << 18;
const ROOT: &str = "/mnt";

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn at(path: &str) -> RootPath {
    RootPath(c(path))
}

/// A channel on which the host has told all it has to tell, and stays.
fn channel() -> OwnedFd {
    let (host, init) = socket::pair().unwrap();
    io::write(&host, &[Sync::CgroupJoined as u8]).unwrap();
    let network = file::open(c"/proc/self/ns/net", file::O_RDONLY, 0).unwrap();
    socket::send_descriptor(&host, c"network-made", network).unwrap();
    // Held by every process that follows.
    std::mem::forget(host);
    init
}

/// A FIFO into which `start` has already written: a pipe does the same.
fn fifo() -> OwnedFd {
    let (from, to) = io::pipe().unwrap();
    io::write(&to, b"s").unwrap();
    std::mem::forget(to);
    from
}

pub fn slots() -> Slots {
    let mut slots = Slots::default();
    slots.fill(Slot::Channel, channel());
    slots.fill(Slot::Fifo, fifo());
    let uts = file::open(c"/proc/self/ns/uts", file::O_RDONLY, 0).unwrap();
    slots.fill(Slot::Namespace(NamespaceSlot::Uts), uts);
    slots
}

/// As [`slots`], but nobody holds the channel's other end.
pub fn lonely_slots() -> Slots {
    let mut slots = slots();
    let (host, init) = socket::pair().unwrap();
    drop(host);
    slots.fill(Slot::Channel, init);
    slots
}

/// What init does before it has a root.
pub fn beginning() -> Vec<InitStep> {
    vec![
        InitStep::Wait(Sync::CgroupJoined),
        InitStep::ResetSignals { ignored: 1 << 12 },
        InitStep::CloseInherited { preserved: 1 },
        InitStep::WriteProc {
            file: c("self/oom_score_adj"),
            value: c("10"),
        },
        InitStep::HideMemory,
        InitStep::Join {
            slot: Slot::Namespace(NamespaceSlot::Uts),
            flags: namespace::CLONE_NEWUTS,
        },
        InitStep::EnterNetwork,
        InitStep::RaiseLoopback,
        InitStep::Unshare {
            flags: namespace::CLONE_NEWUTS | namespace::CLONE_NEWCGROUP,
        },
        InitStep::Unshare {
            flags: namespace::CLONE_NEWTIME,
        },
        InitStep::EnterTimeNamespace,
        InitStep::NewSession,
        InitStep::NewKeyring {
            name: c("_ses.test"),
        },
        InitStep::SetHostname(c("test")),
        InitStep::SetDomainname(c("example.org")),
        InitStep::WriteProc {
            file: c("sys/net/ipv4/ip_forward"),
            value: c("1"),
        },
        InitStep::SetUmask(0),
    ]
}

fn tmpfs(out: Slot) -> InitStep {
    let parameter = |key: &str, value: &str| Parameter {
        key: c(key),
        value: Some(c(value)),
        option: None,
    };
    InitStep::NewFilesystem(NewMount {
        parameters: vec![parameter("source", "test"), parameter("mode", "0755")],
        ..NewMount::plain(out, c("tmpfs"))
    })
}

fn new(fstype: &str) -> InitStep {
    InitStep::NewFilesystem(NewMount::plain(Slot::Tree, c(fstype)))
}

fn attach(path: &str, point: MountPoint) -> InitStep {
    InitStep::Attach {
        tree: Slot::Tree,
        at: at(path),
        point,
    }
}

fn clone_tree(source: TreeSource, out: Slot) -> InitStep {
    InitStep::CloneTree {
        out,
        source,
        recursive: true,
    }
}

fn on_host(tree: Slot) -> InitStep {
    InitStep::AttachOnHost { tree, at: c(ROOT) }
}

fn link(path: &str, target: &str, replace: bool) -> InitStep {
    InitStep::MakeLink {
        at: at(path),
        target: c(target),
        replace,
    }
}

fn change(target: MountTarget, set: u32, propagation: u32) -> InitStep {
    let change = MountChange {
        set,
        propagation,
        recursive: propagation != 0,
        ..MountChange::default()
    };
    InitStep::ChangeMount { target, change }
}

/// A root file system in memory that holds the host's programs, and a script that is none.
pub fn root() -> Vec<InitStep> {
    let mut steps = vec![
        change(MountTarget::HostRoot, 0, MS_PRIVATE),
        tmpfs(Slot::Empty),
        on_host(Slot::Empty),
        tmpfs(Slot::Root),
        on_host(Slot::Root),
        clone_tree(TreeSource::Host(c("/usr")), Slot::Tree),
        change(MountTarget::Slot(Slot::Tree), 1, 0),
        attach("/usr", MountPoint::Any),
        // An interpreter that is missing, which only execve(2) sees.
        clone_tree(TreeSource::Host(c("/srv/broken")), Slot::Tree),
        attach(BROKEN, MountPoint::Any),
    ];
    for name in ["bin", "lib", "lib64"] {
        steps.push(link(&format!("/{name}"), &format!("usr/{name}"), false));
    }
    steps
}

/// A host to throw away, with a script without its interpreter.
pub fn prepare() {
    crate::host::enter();
    mount::mount(c"tmpfs", c"/srv", c"tmpfs", 0, c"").unwrap();
    std::fs::write("/srv/broken", "#!/nowhere\n").unwrap();
    let script = file::open(c"/srv/broken", file::O_RDONLY, 0).unwrap();
    file::chmod(script, 0o755).unwrap();
}

/// A directory that is copied, and mount(2).
fn copied() -> Vec<InitStep> {
    let new = NewMount {
        mode_of: Some(at("/work")),
        ..NewMount::plain(Slot::Tree, c("tmpfs"))
    };
    vec![
        InitStep::NewFilesystem(new),
        InitStep::CopyUp {
            tree: Slot::Tree,
            from: at("/work"),
        },
        attach("/work", MountPoint::Link),
        clone_tree(TreeSource::HostLink(c("/proc/self")), Slot::Tree),
        attach("/copied", MountPoint::CopiedLink),
        InitStep::MountByPath {
            fstype: c("tmpfs"),
            source: c("test"),
            flags: 0,
            data: c("mode=0700"),
            at: at("/by-path"),
        },
    ]
}

/// Mounts, devices, links, masks.
pub fn inside() -> Vec<InitStep> {
    let node = |path: &str, kind: NodeKind| InitStep::MakeNode {
        at: at(path),
        kind,
        mode: 0o600,
        uid: 3,
        gid: 4,
    };
    let null = NodeKind::Character { major: 1, minor: 3 };
    let mut steps = vec![
        InitStep::OpenNull,
        link("/dangling", "/made/by/link", false),
        tmpfs(Slot::Tree),
        attach("/dangling/../link/deep", MountPoint::Any),
        new("proc"),
        attach("/proc", MountPoint::Ordinary),
        clone_tree(TreeSource::Container(at("/made/by")), Slot::Tree),
        attach("/copy", MountPoint::Any),
        clone_tree(TreeSource::Slot(Slot::Empty), Slot::Tree),
        InitStep::Close(Slot::Tree),
        change(MountTarget::Container(at("/copy")), 1, 0),
        InitStep::MakeDirectory {
            at: at("/work/here"),
        },
        node("/dev/null", null),
        node("/dev/null", null),
        node("/dev/disk", NodeKind::Block { major: 8, minor: 0 }),
        node("/dev/fifo", NodeKind::Fifo),
        link("/dev/ptmx", "pts/ptmx", true),
        link("/dev/ptmx", "pts/ptmx", true),
    ];
    steps.extend(copied());
    steps.extend([
        InitStep::MaskPath {
            path: at("/proc/keys"),
        },
        InitStep::MaskPath { path: at("/work") },
        InitStep::MaskPath {
            path: at("/missing"),
        },
        InitStep::LockPath {
            path: at("/proc/sys"),
        },
        InitStep::LockPath {
            path: at("/missing"),
        },
        hook(),
        InitStep::Close(Slot::Null),
        InitStep::Close(Slot::Empty),
    ]);
    steps
}

/// A hook that reads no state.
fn hook() -> InitStep {
    InitStep::RunHook(InitHook {
        kind: "createContainer",
        index: 0,
        path: c("/bin/true"),
        args: vec![c("true")],
        with_home: false,
        in_root: false,
        env: vec![c("A=b")],
        state_before: b"{".into(),
        state_after: b"}".into(),
        timeout: Some(10),
        stdout: kan_op::init::Stream::Null,
        stderr: kan_op::init::Stream::Inherited,
    })
}

/// The root, and the credentials of another user.
pub fn enter_and_become_a_user() -> Vec<InitStep> {
    let kill = 1 << 5;
    vec![
        InitStep::EnterRoot(RootEntry::Pivot { slave_first: true }),
        InitStep::OpenRoot,
        InitStep::Close(Slot::Root),
        InitStep::SetLimit {
            resource: 7,
            soft: 100,
            hard: 100,
        },
        InitStep::SetIoPriority(3 << 13),
        InitStep::SetAffinity(vec![u64::MAX; 128]),
        InitStep::SetPersonality(0),
        InitStep::EnterDirectory(c("/usr")),
        InitStep::DropBounding { drop: 1 << 3 },
        InitStep::SetIds(Ids {
            uid: 1000,
            gid: 1000,
            groups: Some(vec![5, 6, 7]),
            groups_may_stay: false,
        }),
        InitStep::SetCapabilities {
            effective: kill,
            permitted: kill,
            inheritable: kill,
        },
        InitStep::RaiseAmbient { capabilities: kill },
        InitStep::ConfirmDirectory(c("/usr")),
        InitStep::NoNewPrivileges,
        InitStep::LoadFilter {
            program: vec![ALLOW],
            flags: 0,
            listener: None,
        },
    ]
}

/// The last steps of every plan.
pub fn end(program: &str) -> Vec<InitStep> {
    vec![
        InitStep::FindHome { uid: 1000 },
        InitStep::FindProgram,
        InitStep::AwaitStart,
        InitStep::Execute(Program {
            candidates: vec![c("/missing"), c("/usr"), c(program)],
            args: vec![c("echo"), c("done")],
            env: vec![c("A=b")],
            with_home: true,
        }),
    ]
}

/// A plan with a terminal; the first is what its parent holds.
pub fn terminal() -> (OwnedFd, Vec<InitStep>, Slots) {
    let mut slots = slots();
    let (ours, theirs) = socket::stream_pair().unwrap();
    slots.fill(Slot::ConsoleSocket, theirs);
    let mut steps = root();
    steps.extend([
        InitStep::NewSession,
        new("devpts"),
        attach("/dev/pts", MountPoint::Any),
        InitStep::OpenTerminal {
            size: Some((80, 25)),
            uid: 1000,
            newlines: false,
        },
        InitStep::BindConsole,
        InitStep::SendTerminal,
        InitStep::EnterRoot(RootEntry::Pivot { slave_first: false }),
        InitStep::Tell(Sync::Ready),
        InitStep::UseTerminal,
        InitStep::ControlTerminal,
    ]);
    steps.extend(end(ECHO));
    (ours, steps, slots)
}

/// Steps that fail after [`root`], each with its flaw.
pub fn failing() -> Vec<(&'static str, InitStep, Flaw)> {
    let long = format!("/{}", "x/".repeat(2100));
    let bad = Parameter {
        key: c("mode"),
        value: Some(c("banana")),
        option: None,
    };
    let parameter = InitStep::NewFilesystem(NewMount {
        parameters: vec![bad],
        ..NewMount::plain(Slot::Tree, c("tmpfs"))
    });
    let on_link = InitStep::MakeNode {
        at: at("/bin"),
        kind: NodeKind::Fifo,
        mode: 0o600,
        uid: 0,
        gid: 0,
    };
    let join = InitStep::Join {
        slot: Slot::Fifo,
        flags: namespace::CLONE_NEWUTS,
    };
    let limit = InitStep::SetLimit {
        resource: 7,
        soft: 2,
        hard: 1,
    };
    let open = InitStep::OpenTerminal {
        size: None,
        uid: 0,
        newlines: true,
    };
    let directory = |path: &str| InitStep::MakeDirectory { at: at(path) };
    let missing = TreeSource::Host(c("/missing"));
    vec![
        (
            "the host is gone",
            InitStep::Wait(Sync::Saved),
            Flaw::OutOfStep,
        ),
        ("an empty slot", InitStep::UseTerminal, Flaw::OutOfStep),
        ("a parameter", parameter, Flaw::Call),
        ("a source", clone_tree(missing, Slot::Tree), Flaw::Call),
        ("a path too long", directory(&long), Flaw::Call),
        ("a file on the way", directory("/broken/x"), Flaw::Call),
        ("another file", on_link, Flaw::WrongKind),
        ("a mask below a file", mask("/broken/x"), Flaw::Call),
        ("no devpts", open, Flaw::Call),
        ("no namespace", join, Flaw::Call),
        ("a limit", limit, Flaw::Call),
        (
            "a directory",
            InitStep::EnterDirectory(c("/missing")),
            Flaw::Call,
        ),
        (
            "a capability",
            InitStep::DropBounding { drop: 1 << 63 },
            Flaw::Call,
        ),
    ]
}

fn mask(path: &str) -> InitStep {
    InitStep::MaskPath { path: at(path) }
}
