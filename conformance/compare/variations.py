"""Variations of a config.json and of command lines, by name."""


def at(config, path, value, remove=False):
    """Sets what a dotted path leads to."""
    *way, last = path.split(".")
    for name in way:
        config = config.setdefault(name, {}) if isinstance(config, dict) else config[int(name)]
    if remove:
        config.pop(last, None)
    else:
        config[last] = value


CONFIGS = []


def add(name, change):
    CONFIGS.append((name, change))


def each(path, values):
    """One variation for each value of a field; `MISSING` removes it."""
    for label, value in values.items():
        def change(config, value=value):
            at(config, path, value, remove=value is MISSING)
        add(f"{path}={label}", change)


def mount(label, entry):
    def change(config):
        config["mounts"].append(entry)
    add(f"mounts:{label}", change)


def option(*options):
    """A bind mount and a tmpfs with these options."""
    label = ",".join(options)
    mount(f"bind,{label}", {"destination": "/new", "type": "bind", "source": "@BUNDLE@/sourcedir",
                            "options": ["bind", *options]})
    mount(f"tmpfs,{label}", {"destination": "/new", "type": "tmpfs", "source": "tmpfs", "options": list(options)})


def caps(label, sets):
    def change(config):
        config["process"]["capabilities"].update(sets)
    add(f"process.capabilities:{label}", change)


def hook(label, kind, entry):
    def change(config):
        config["hooks"] = {kind: [entry]}
    add(f"hooks.{kind}:{label}", change)


def seccomp(label, profile):
    def change(config):
        config["linux"]["seccomp"] = profile
    add(f"linux.seccomp:{label}", change)


def namespace(label, edit):
    def change(config):
        edit(config["linux"]["namespaces"])
    add(f"linux.namespaces:{label}", change)


MISSING = object()
WRONG = {"null": None, "number": 7, "text": "x", "list": [], "object": {}}

add("nothing", lambda config: None)
each("ociVersion", {"1.0": "1.0", "1.0.0": "1.0.0", "1.0.2-dev": "1.0.2-dev", "1.1.0": "1.1.0", "2.0.0": "2.0.0",
                    "empty": "", "text": "x", "number": 7, "null": None, "missing": MISSING})
each("root", {"null": None, "missing": MISSING, "text": "x", "list": []})
each("root.path", {"missing": MISSING, "empty": "", "nowhere": "nowhere", "nowhere absolute": "/nowhere/at/all",
                   "./rootfs": "./rootfs", "rootfs/": "rootfs/", "absolute": "@BUNDLE@/rootfs",
                   "a file": "config.json", "number": 7})
each("root.readonly", {"false": False, "text": "x", "null": None})
each("hostname", {"empty": "", "h": "h", "64": "h" * 64, "65": "h" * 65, "number": 7, "missing": MISSING})
each("domainname", {"d": "d", "65": "d" * 65, "number": 7})
each("process", {"missing": MISSING, "null": None, "text": "x"})
each("process.args", {"missing": MISSING, "empty": [], "empty word": [""], "nowhere": ["/nowhere"],
                      "not in PATH": ["nowhere"], "a directory": ["/etc"], "not executable": ["/etc/file"],
                      "relative": ["bin/true"], "dot": ["./bin/true"], "dangling": ["/dangling"],
                      "number": [7], "text": "x", "false": ["/bin/sh", "-c", "exit 3"]})
each("process.cwd", {"missing": MISSING, "empty": "", "relative": "etc", "/etc": "/etc", "/nowhere": "/nowhere",
                     "a file": "/etc/file", "through a link": "/link", "number": 7})
each("process.env", {"missing": MISSING, "empty": [], "no =": ["A"], "no name": ["=x"], "empty entry": [""],
                     "twice": ["A=1", "A=2", "PATH=/bin"], "spaces": ["A= b c ", "PATH=/bin"],
                     "HOME": ["HOME=/h", "PATH=/bin"], "no PATH": ["A=1"], "text": "x", "number": [7]})
each("process.terminal", {"null": None, "text": "x"})
each("process.user", {"missing": MISSING, "null": None, "text": "root"})
each("process.user.uid", {"1000": 1000, "1": 1, "-1": -1, "4294967294": 4294967294, "4294967295": 4294967295,
                          "4294967296": 4294967296, "text": "0", "1.5": 1.5})
each("process.user.gid", {"1000": 1000, "-1": -1, "4294967295": 4294967295, "text": "0"})
each("process.user.additionalGids", {"empty": [], "two": [1, 2], "twice": [5, 5], "-1": [-1],
                                     "4294967295": [4294967295], "text": "x"})
each("process.user.umask", {"0": 0, "63": 63, "511": 511, "512": 512, "4096": 4096, "-1": -1, "text": "x"})
each("process.noNewPrivileges", {"false": False, "text": "x", "missing": MISSING})
each("process.oomScoreAdj", {"0": 0, "500": 500, "1000": 1000, "1001": 1001, "-1001": -1001, "text": "x"})
each("process.apparmorProfile", {"x": "x", "number": 7})
each("process.selinuxLabel", {"x": "x", "number": 7})
each("process.capabilities", {"null": None, "missing": MISSING, "empty": {}, "text": "x"})
caps("unknown", {"bounding": ["CAP_NOWHERE"]})
caps("lower case", {"bounding": ["cap_kill"]})
caps("without CAP_", {"bounding": ["KILL"]})
caps("effective beyond permitted", {"permitted": [], "effective": ["CAP_KILL"]})
caps("permitted beyond bounding", {"bounding": [], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]})
caps("ambient", {"inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]})
caps("ambient beyond inheritable", {"inheritable": [], "ambient": ["CAP_KILL"]})
caps("none", {name: [] for name in ["bounding", "permitted", "effective", "inheritable", "ambient"]})
caps("number", {"bounding": [7]})
each("process.rlimits", {
    "missing": MISSING, "empty": [],
    "unknown": [{"type": "RLIMIT_NOWHERE", "soft": 1, "hard": 1}],
    "soft above hard": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 50}],
    "twice": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 50}] * 2,
    "above": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 1 << 40}],
    "negative": [{"type": "RLIMIT_NOFILE", "soft": -1, "hard": -1}],
    "core": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
    "no type": [{"soft": 0, "hard": 0}]})

for options in [["ro"], ["rw"], ["nosuid"], ["nodev"], ["noexec"], ["suid"], ["dev"], ["exec"], ["relatime"],
                ["noatime"], ["strictatime"], ["nodiratime"], ["private"], ["rprivate"], ["shared"], ["slave"],
                ["rslave"], ["unbindable"], ["rbind"], ["sync"], ["ro", "rw"], ["rw", "ro"], ["defaults"],
                ["banana"], ["size=1m"], ["mode=700"], ["mode=banana"], ["rro"], ["nosymfollow"], [""],
                ["noexec", "nosuid", "nodev", "ro"], ["tmpcopyup"]]:
    option(*options)
mount("no destination", {"type": "tmpfs", "source": "tmpfs"})
mount("empty destination", {"destination": "", "type": "tmpfs", "source": "tmpfs"})
mount("relative destination", {"destination": "new", "type": "tmpfs", "source": "tmpfs"})
mount("destination in a link", {"destination": "/link/x", "type": "tmpfs", "source": "tmpfs"})
mount("destination is a dangling link", {"destination": "/dangling", "type": "tmpfs", "source": "tmpfs"})
mount("destination with ..", {"destination": "/etc/../../new", "type": "tmpfs", "source": "tmpfs"})
mount("new destination", {"destination": "/made/deep", "type": "tmpfs", "source": "tmpfs"})
mount("destination is a file", {"destination": "/etc/file", "type": "tmpfs", "source": "tmpfs"})
mount("destination is the root", {"destination": "/", "type": "tmpfs", "source": "tmpfs"})
mount("in /proc", {"destination": "/proc/nowhere", "type": "tmpfs", "source": "tmpfs"})
mount("over /proc/kcore", {"destination": "/proc/kcore", "type": "bind", "source": "/dev/null", "options": ["bind"]})
mount("over /proc/uptime", {"destination": "/proc/uptime", "type": "bind", "source": "@BUNDLE@/source",
                            "options": ["bind"]})
mount("unknown type", {"destination": "/new", "type": "banana", "source": "x"})
mount("no type", {"destination": "/new", "source": "tmpfs"})
mount("no source", {"destination": "/new", "type": "tmpfs"})
mount("bind of nothing", {"destination": "/new", "type": "bind", "source": "/nowhere/at/all", "options": ["bind"]})
mount("bind without a source", {"destination": "/new", "type": "bind", "options": ["bind"]})
mount("bind of a relative source", {"destination": "/new", "type": "bind", "source": "sourcedir",
                                    "options": ["bind"]})
mount("bind of a file on a directory", {"destination": "/new", "type": "bind", "source": "@BUNDLE@/source",
                                        "options": ["bind"]})
mount("bind of a directory on a file", {"destination": "/etc/file", "type": "bind", "source": "@BUNDLE@/sourcedir",
                                        "options": ["bind"]})
mount("bind of a file", {"destination": "/etc/file", "type": "bind", "source": "@BUNDLE@/source",
                         "options": ["bind"]})
mount("bind of a file to a new place", {"destination": "/made/file", "type": "bind", "source": "@BUNDLE@/source",
                                        "options": ["bind"]})
mount("type bind without the option", {"destination": "/new", "type": "bind", "source": "@BUNDLE@/sourcedir"})
mount("option bind without the type", {"destination": "/new", "source": "@BUNDLE@/sourcedir", "options": ["bind"]})
mount("second proc", {"destination": "/new", "type": "proc", "source": "proc"})
mount("proc with hidepid", {"destination": "/new", "type": "proc", "source": "proc", "options": ["hidepid=2"]})
mount("sysfs", {"destination": "/new", "type": "sysfs", "source": "sysfs"})
mount("mqueue", {"destination": "/new", "type": "mqueue", "source": "mqueue"})
mount("devpts", {"destination": "/new", "type": "devpts", "source": "devpts", "options": ["newinstance"]})
mount("cgroup", {"destination": "/new", "type": "cgroup", "source": "cgroup", "options": ["ro"]})
mount("ramfs", {"destination": "/new", "type": "ramfs", "source": "ramfs"})
mount("comma in an option", {"destination": "/new", "type": "tmpfs", "source": "tmpfs",
                             "options": ["size=1m,mode=700"]})
mount("number", 7)
mount("options are text", {"destination": "/new", "type": "tmpfs", "source": "tmpfs", "options": "ro"})
each("mounts", {"missing": MISSING, "null": None, "text": "x"})

for kind in ["pid", "network", "ipc", "uts", "mount"]:
    namespace(f"without {kind}", lambda all, kind=kind: all.remove({"type": kind}))
namespace("twice", lambda all: all.append({"type": "pid"}))
namespace("unknown", lambda all: all.append({"type": "banana"}))
namespace("no type", lambda all: all.append({}))
namespace("nowhere", lambda all: (all.remove({"type": "ipc"}), all.append({"type": "ipc", "path": "/nowhere"})))
namespace("another type", lambda all: (all.remove({"type": "ipc"}),
                                       all.append({"type": "ipc", "path": "/proc/self/ns/net"})))
namespace("the host's", lambda all: (all.remove({"type": "ipc"}),
                                     all.append({"type": "ipc", "path": "/proc/self/ns/ipc"})))
namespace("user without mappings", lambda all: all.append({"type": "user"}))
namespace("cgroup", lambda all: all.append({"type": "cgroup"}) if {"type": "cgroup"} not in all else None)
each("linux", {"missing": MISSING, "null": None, "text": "x"})
each("linux.namespaces", {"missing": MISSING, "empty": [], "null": None, "text": "x"})
each("linux.uidMappings", {"without a namespace": [{"containerID": 0, "hostID": 0, "size": 1}], "text": "x"})
each("linux.devices", {
    "null": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}],
    "mode and owner": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 384, "uid": 1, "gid": 2}],
    "u": [{"path": "/dev/x", "type": "u", "major": 1, "minor": 3}],
    "fifo": [{"path": "/dev/x", "type": "p"}],
    "unknown type": [{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}],
    "no path": [{"type": "c", "major": 1, "minor": 3}],
    "no type": [{"path": "/dev/x", "major": 1, "minor": 3}],
    "relative": [{"path": "dev/x", "type": "c", "major": 1, "minor": 3}],
    "outside of /dev": [{"path": "/etc/x", "type": "c", "major": 1, "minor": 3}],
    "there already": [{"path": "/dev/null", "type": "c", "major": 1, "minor": 3}],
    "twice": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}] * 2,
    "slash at the end": [{"path": "/dev/x/", "type": "c", "major": 1, "minor": 3}],
    "no numbers": [{"path": "/dev/x", "type": "c"}],
    "text": "x"})
each("linux.cgroupsPath", {"empty": "", "relative": "side-by-side/relative", "deep": "/side-by-side/a/b/c",
                           "..": "/side-by-side/../side-by-side/d", "number": 7, "missing": MISSING})
each("linux.sysctl", {
    "kernel.shmmax": {"kernel.shmmax": "4096"}, "net": {"net.ipv4.ip_forward": "1"},
    "slashes": {"net/ipv4/ip_forward": "1"}, "not namespaced": {"kernel.pid_max": "4096"},
    "unknown": {"net.ipv4.nowhere": "1"}, "no such tree": {"banana": "1"}, "kernel.hostname": {"kernel.hostname": "x"},
    "kernel.domainname": {"kernel.domainname": "x"}, "bad value": {"net.ipv4.ip_forward": "banana"},
    "number": {"net.ipv4.ip_forward": 1}, "text": "x"})
for field in ["linux.maskedPaths", "linux.readonlyPaths"]:
    each(field, {"missing": MISSING, "empty": [], "nowhere": ["/nowhere"], "relative": ["etc"], "a file": ["/etc/file"],
                 "a directory": ["/etc"], "twice": ["/etc", "/etc"], "through a link": ["/link/file"],
                 "empty entry": [""], "text": "x"})
each("linux.rootfsPropagation", {"private": "private", "rprivate": "rprivate", "slave": "slave", "rslave": "rslave",
                                 "shared": "shared", "rshared": "rshared", "unbindable": "unbindable",
                                 "banana": "banana", "number": 7, "empty": ""})
each("linux.personality", {"LINUX": {"domain": "LINUX"}, "LINUX32": {"domain": "LINUX32"},
                           "banana": {"domain": "BANANA"}, "text": "x"})
each("linux.mountLabel", {"x": "x", "number": 7})
each("linux.timeOffsets", {"without a namespace": {"monotonic": {"secs": 1}}})
each("linux.resources", {"missing": MISSING, "null": None, "empty": {}, "text": "x"})
each("linux.resources.memory.limit", {"64m": 64 << 20, "-1": -1, "0": 0, "-2": -2, "4096": 4096, "text": "x"})
each("linux.resources.memory.reservation", {"16m": 16 << 20, "-1": -1, "text": "x"})
each("linux.resources.memory", {
    "swap below limit": {"limit": 64 << 20, "swap": 32 << 20}, "swap": {"limit": 64 << 20, "swap": 128 << 20},
    "kernel": {"kernel": 64 << 20}, "swappiness 50": {"swappiness": 50}, "swappiness 101": {"swappiness": 101},
    "no killer": {"disableOOMKiller": True}, "null": None, "text": "x"})
each("linux.resources.cpu", {
    "shares 0": {"shares": 0}, "shares 2": {"shares": 2}, "shares 512": {"shares": 512}, "shares 1": {"shares": 1},
    "shares 262145": {"shares": 262145}, "shares -1": {"shares": -1}, "quota": {"quota": 50000, "period": 100000},
    "quota -1": {"quota": -1}, "quota 100": {"quota": 100}, "period 100": {"period": 100},
    "period 1000001": {"period": 1000001}, "cpus 0": {"cpus": "0"}, "cpus 0-99": {"cpus": "0-99"},
    "cpus banana": {"cpus": "banana"}, "cpus empty": {"cpus": ""}, "mems 0": {"mems": "0"}, "mems 9": {"mems": "9"},
    "realtime": {"realtimeRuntime": 1000, "realtimePeriod": 1000000}, "null": None})
each("linux.resources.pids.limit", {"10": 10, "0": 0, "-1": -1, "text": "x"})
each("linux.resources.blockIO.weight", {"10": 10, "500": 500, "1001": 1001, "5": 5})
each("linux.resources.hugepageLimits", {"2MB": [{"pageSize": "2MB", "limit": 0}],
                                        "unknown": [{"pageSize": "3MB", "limit": 0}],
                                        "banana": [{"pageSize": "banana", "limit": 0}]})
each("linux.resources.network", {"classID": {"classID": 7}, "priorities": {"priorities": [{"name": "lo", "priority": 1}]},
                                 "unknown interface": {"priorities": [{"name": "nowhere", "priority": 1}]}})
each("linux.resources.devices", {
    "missing": MISSING, "empty": [], "allow all": [{"allow": True, "access": "rwm"}],
    "one": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"}],
    "unknown letter": [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwx"}],
    "no access": [{"allow": True, "type": "c", "major": 1, "minor": 3}],
    "unknown type": [{"allow": True, "type": "z", "access": "r"}],
    "mwr": [{"allow": False, "access": "mwr"}], "text": "x"})
each("linux.resources.unified", {"unknown": {"nowhere.max": "1"}, "text": "x"})

OK, NO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
seccomp("allow all", {"defaultAction": OK})
seccomp("no default", {"syscalls": []})
seccomp("unknown default", {"defaultAction": "BANANA"})
seccomp("mkdir", {"defaultAction": OK, "syscalls": [{"names": ["mkdir", "mkdirat"], "action": NO}]})
seccomp("unknown call", {"defaultAction": OK, "syscalls": [{"names": ["nowhere"], "action": NO}]})
seccomp("no names", {"defaultAction": OK, "syscalls": [{"action": NO}]})
seccomp("empty names", {"defaultAction": OK, "syscalls": [{"names": [], "action": NO}]})
seccomp("unknown action", {"defaultAction": OK, "syscalls": [{"names": ["mkdir"], "action": "BANANA"}]})
seccomp("errno", {"defaultAction": OK, "syscalls": [{"names": ["mkdir"], "action": NO, "errnoRet": 38}]})
seccomp("index 6", {"defaultAction": OK, "syscalls": [{"names": ["mkdir"], "action": NO, "args": [
    {"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]})
seccomp("unknown op", {"defaultAction": OK, "syscalls": [{"names": ["mkdir"], "action": NO, "args": [
    {"index": 0, "value": 1, "op": "BANANA"}]}]})
seccomp("unknown architecture", {"defaultAction": OK, "architectures": ["BANANA"]})
seccomp("architectures", {"defaultAction": OK, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
                          "syscalls": [{"names": ["mkdir"], "action": NO}]})
seccomp("unknown flag", {"defaultAction": OK, "flags": ["BANANA"]})
seccomp("flag log", {"defaultAction": OK, "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                     "syscalls": [{"names": ["mkdir"], "action": NO}]})
seccomp("listener without notify", {"defaultAction": OK, "listenerPath": "/nowhere"})
seccomp("notify without listener", {"defaultAction": OK, "syscalls": [
    {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]})
seccomp("execve denied", {"defaultAction": OK, "syscalls": [{"names": ["execve"], "action": NO}]})
seccomp("text", "x")

for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]:
    hook("nowhere", kind, {"path": "/nowhere"})
    hook("relative", kind, {"path": "bin/true"})
    hook("true", kind, {"path": "/bin/true" if kind == "startContainer" else "/usr/bin/true"})
    hook("false", kind, {"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]})
    hook("timeout 0", kind, {"path": "/bin/true" if kind == "startContainer" else "/usr/bin/true", "timeout": 0})
    hook("timeout -1", kind, {"path": "/bin/true" if kind == "startContainer" else "/usr/bin/true", "timeout": -1})
    hook("no path", kind, {})
each("hooks", {"null": None, "empty": {}, "unknown kind": {"banana": []}, "text": "x"})
each("annotations", {"one": {"a": "b"}, "empty key": {"": "b"}, "number": {"a": 7}, "text": "x"})
each("banana", {"unknown key": 1})

COMMANDS = [(" ".join(words), words) for words in (line.split("|") for line in """
state|c
state|s
state|nowhere
state
state|c|d
state|--banana|c
start|d
start|c
start|s
start|nowhere
start
kill|c
kill|c|TERM
kill|c|SIGTERM
kill|c|15
kill|c|0
kill|c|banana
kill|c|65
kill|d|KILL
kill|s|TERM
kill|nowhere|TERM
kill|--all|c|KILL
kill|--all|s|KILL
delete|c
delete|s
delete|d
delete|nowhere
delete|--force|nowhere
delete|--force|c
delete
pause|c
pause|d
pause|s
pause|nowhere
resume|c
resume|nowhere
exec|c|true
exec|c|/nowhere
exec|c|nowhere
exec|c|sh|-c|exit 3
exec|c|/etc
exec|c
exec|s|true
exec|d|true
exec|nowhere|true
exec|--cwd|/etc|c|true
exec|--cwd|/nowhere|c|true
exec|--cwd|etc|c|true
exec|--user|1000|c|true
exec|--user|1000:1000|c|true
exec|--user|banana|c|true
exec|--user|user|c|true
exec|--user|-1|c|true
exec|--env|A=1|c|true
exec|--env|A|c|true
exec|--cap|CAP_KILL|c|true
exec|--cap|CAP_BANANA|c|true
exec|--banana|c|true
exec|--process|/nowhere|c
exec|--pid-file|/nowhere/pid|c|true
exec|--additional-gids|5|c|true
exec|--additional-gids|banana|c|true
exec|--no-new-privs|c|true
exec|--preserve-fds|1|c|true
exec|--tty|--detach|c|true
exec|--ignore-paused|c|true
ps|c
ps|s
ps|nowhere
ps|--format|json|c
ps|--format|banana|c
ps|c|-o|pid
list
list|--quiet
list|--format|json
list|--format|banana
list|extra
events|--stats|c
events|--stats|s
events|--stats|nowhere
update|c
update|--pids-limit|20|c
update|--pids-limit|banana|c
update|--memory|64m|c
update|--memory|banana|c
update|--cpu-share|512|c
update|--cpu-quota|100|c
update|--cpuset-cpus|0|c
update|--cpuset-cpus|99|c
update|--blkio-weight|5|c
update|--resources|/nowhere|c
update|--pids-limit|20|s
update|--pids-limit|20|nowhere
create|--bundle|@BUNDLE@|c
create|--bundle|/nowhere|new
create|--bundle|@BUNDLE@|a/b
create|--bundle|@BUNDLE@|a b
create|--bundle|@BUNDLE@|..
create|--bundle|@BUNDLE@
create|--bundle|@BUNDLE@|new|extra
create|--pid-file|/nowhere/pid|--bundle|@BUNDLE@|new
create|--console-socket|/nowhere|--bundle|@BUNDLE@|new
create|--preserve-fds|banana|--bundle|@BUNDLE@|new
run|--bundle|@BUNDLE@|c
run|--banana|new
spec|--bundle|/nowhere
spec|--bundle|@BUNDLE@
spec|--banana
features
features|extra
checkpoint|c
restore|c
banana
--banana|list
--log|/nowhere/log|list
--log-format|banana|list
--log-format|json|list
--help
--version
""".strip().splitlines())]
