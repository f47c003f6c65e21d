#!/usr/bin/env python3
"""Runs kan and runc side by side on variations of one config.json and of command lines.

    compare.py --kan FILE [--runc FILE] [--write] [FILTER]

Each variation changes one thing. Both runtimes fail on it, or both run it and the container sees the
same; every other variation has to be explained in docs/differences-from-runc.md, whose table names it.
One line is printed for each, as a test program does. For the mistakes in docs/errors.md kan's message
has to be the one that stands there; `--write` writes the messages of both runtimes there.
"""

import argparse
import copy
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "../../docs/differences-from-runc.md")
ERRORS = os.path.join(HERE, "../../docs/errors.md")

sys.path.insert(0, HERE)
from variations import CONFIGS, COMMANDS  # noqa: E402

# What the container sees of itself.
LOOK = r"""
id; umask; pwd; hostname; cat /proc/sys/kernel/domainname
env | grep -v -e '^SHLVL=' -e '^_=' | sort
grep -E '^(Cap|NoNew|Seccomp:|Groups|Uid|Gid)' /proc/self/status
cat /proc/self/limits | tail -n +2
cat /proc/self/oom_score_adj
while read -r _ _ _ _ point flags rest; do
    rest=" $rest"
    case $point in
        # How something is masked is a runtime's own affair, that it is masked is not.
        /proc/?* | /sys/firmware) echo "over $point" ;;
        # Where there are both versions of cgroups, kan shows the second one as well.
        /sys/fs/cgroup*) ;;
        *) rest=${rest##* - }; echo "mount $point $flags ${rest%% *}" ;;
    esac
done < /proc/self/mountinfo
stat -c '%n %F %a %u:%g %t:%T' /dev/* /tmp /etc /new 2>/dev/null
ls /proc/self/ns
cgroups=$(sed 's/^[0-9]*//' /proc/self/cgroup | sort)
# On hosts with both versions runc leaves version 2 alone.
case $cgroups in ::*:*:*) echo "$cgroups" | grep -v '^::' ;; *) echo "$cgroups" ;; esac
cat /proc/self/uid_map /proc/self/gid_map
for file in shmmax msgmax; do cat /proc/sys/kernel/$file; done
cat /proc/sys/net/ipv4/ip_forward 2>/dev/null
cat /proc/kcore 2>&1 | head -c 1 | wc -c
touch /written 2>/dev/null && echo writable
exit 0
"""


class Runtime:
    """One runtime, with a state directory of its own."""

    def __init__(self, path, work):
        self.path, self.name = path, os.path.basename(path)
        self.root = os.path.join(work, "state-" + self.name)

    def __call__(self, *words, **more):
        command = [self.path, "--root", self.root, *words]
        try:
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=20, errors="replace", **more)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", "still running after 20 s")


def base(runc, work):
    """The config of `runc spec`, with a program that looks around."""
    subprocess.run([runc.path, "spec", "--bundle", work], check=True)
    with open(os.path.join(work, "config.json")) as file:
        config = json.load(file)
    os.remove(os.path.join(work, "config.json"))
    config["hostname"] = "container"
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/bin/sh", "-c", LOOK]
    config["process"]["env"] = ["PATH=/bin:/usr/bin", "TERM=xterm"]
    config["linux"]["cgroupsPath"] = "/side-by-side/c"
    return config


def make_root(root):
    for name in ["bin", "proc", "dev", "sys", "tmp", "etc", "usr/bin", "new"]:
        os.makedirs(os.path.join(root, name), exist_ok=True)
    shutil.copy(shutil.which("busybox"), os.path.join(root, "bin/busybox"))
    for name in ["sh", "id", "env", "sort", "grep", "cat", "tail", "stat", "ls", "sed", "head", "wc", "pwd",
                 "hostname", "touch", "sleep", "true", "echo", "umask"]:
        os.symlink("busybox", os.path.join(root, "bin", name))
    for name, text in [("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"),
                       ("etc/group", "root:x:0:\nuser:x:1000:\n"), ("etc/file", "text\n")]:
        with open(os.path.join(root, name), "w") as file:
            file.write(text)
    os.symlink("etc", os.path.join(root, "link"))
    os.symlink("/nowhere", os.path.join(root, "dangling"))


def normal(runtime, bundle, text):
    """What was seen, without what is the runtime's own name, or the order of lines."""
    text = text.replace(runtime.name, "RUNTIME").replace(bundle, "BUNDLE")
    text = re.sub(r"[0-9a-f]{12,}", "HEX", text)
    return "\n".join(sorted(text.splitlines()))


def message(done):
    """The last line of an error, without runc's time and level."""
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    line = lines[-1] if lines else ""
    found = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
    return found.group(1).replace('\\"', '"') if found else line


def run_config(runtime, work, config):
    """Exit code, what the container saw, and the error."""
    bundle = tempfile.mkdtemp(dir=work)
    make_root(os.path.join(bundle, "rootfs"))
    with open(os.path.join(bundle, "source"), "w") as file:
        file.write("text\n")
    os.mkdir(os.path.join(bundle, "sourcedir"))
    text = json.dumps(config).replace("@BUNDLE@", bundle)
    with open(os.path.join(bundle, "config.json"), "w") as file:
        file.write(text)
    done = runtime("run", "--bundle", bundle, "c")
    runtime("delete", "--force", "c")
    seen = normal(runtime, bundle, done.stdout) if done.returncode == 0 else ""
    shutil.rmtree(bundle, ignore_errors=True)
    return done.returncode, seen, message(done).replace(bundle, "BUNDLE")


def run_command(runtime, work, config, words):
    """The same for a command line, with a running container `c`, a created one `d`, a stopped one `s`."""
    bundle = tempfile.mkdtemp(dir=work)
    make_root(os.path.join(bundle, "rootfs"))
    config = copy.deepcopy(config)
    config["process"]["args"] = ["/bin/sleep", "100"]
    try:
        for name in ["c", "d", "s"]:
            config["linux"]["cgroupsPath"] = "/side-by-side/" + name
            if name == "s":
                config["process"]["args"] = ["/bin/true"]
            with open(os.path.join(bundle, "config.json"), "w") as file:
                json.dump(config, file)
            verb = "create" if name == "d" else "run"
            detach = [] if name == "d" else ["--detach"]
            started = subprocess.run(
                [runtime.path, "--root", runtime.root, verb, *detach, "--bundle", bundle, name],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            assert started.returncode == 0, f"{runtime.name} {verb} {name}"
            while name == "s" and json.loads(runtime("state", "s").stdout)["status"] != "stopped":
                time.sleep(0.01)
        words = [word.replace("@BUNDLE@", bundle) for word in words]
        done = runtime(*words, cwd=bundle)
    finally:
        for name in ["c", "d", "s", "new"]:
            runtime("delete", "--force", name)
        shutil.rmtree(bundle, ignore_errors=True)
    return done.returncode, "", message(done).replace(bundle, "BUNDLE")


def explained():
    """Patterns of names in the document's table."""
    with open(DOCUMENT) as file:
        rows = [line for line in file if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def cell(text):
    """A message as it stands in a table."""
    text = text.replace("|", "\\|").replace("`", "'")
    text = re.sub(r"\.pid\.\d+", ".pid.N", text)
    return text if len(text) <= 300 else text[:297] + "..."


def documented():
    """kan's messages in docs/errors.md, by the name of the variation."""
    with open(ERRORS) as file:
        rows = [re.match(r"\| `(.*?)` \| `(.*?)` \| `(.*)` \|$", line) for line in file]
    return {row.group(1): row.group(2) for row in rows if row}


def write(errors):
    """Replaces the messages in docs/errors.md; the names stay."""
    with open(ERRORS) as file:
        lines = file.read().splitlines()
    for index, line in enumerate(lines):
        row = re.match(r"\| `(.*?)` \|", line)
        if row and row.group(1) in errors:
            said, other_said = errors[row.group(1)]
            lines[index] = f"| `{row.group(1)}` | `{cell(said)}` | `{cell(other_said)}` |"
    with open(ERRORS, "w") as file:
        file.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kan", required=True)
    parser.add_argument("--runc", default=shutil.which("runc"))
    parser.add_argument("--write", action="store_true")
    parser.add_argument("filter", nargs="?", default="")
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="kan-compare-")
    os.chmod(work, 0o755)
    kan, runc = (Runtime(os.path.abspath(path), work) for path in (options.kan, options.runc))
    config, patterns, used = base(runc, work), explained(), set()
    failed, errors, golden = 0, {}, documented()
    variations = [(name, None, change) for name, change in CONFIGS]
    variations += [(name, words, None) for name, words in COMMANDS]
    chosen = [one for one in variations if options.filter in one[0]]
    print(f"\nrunning {len(chosen)} tests", flush=True)
    for name, words, change in chosen:
        if words is None:
            changed = copy.deepcopy(config)
            changed = change(changed) or changed
            both = [run_config(runtime, work, changed) for runtime in (kan, runc)]
        else:
            both = [run_command(runtime, work, config, words) for runtime in (kan, runc)]
        (code, seen, said), (other_code, other_seen, other_said) = both
        same = (code == 0) == (other_code == 0) and seen == other_seen
        why = [pattern for pattern in patterns if fnmatch.fnmatchcase(name, pattern)]
        used.update([] if same else why)
        if code and other_code:
            errors[name] = (said, other_said)
        is_golden = name not in golden or options.write or golden[name] == cell(said)
        verdict = "ok" if (same or why) and is_golden else "FAILED"
        if not is_golden:
            print(f"    docs/errors.md has: {golden[name]}")
        print(f"test {name} ... {verdict}", flush=True)
        if verdict == "FAILED":
            failed += 1
            print(f"    kan {code}: {said}\n    runc {other_code}: {other_said}")
            if code == other_code == 0:
                lines = set(seen.splitlines()), set(other_seen.splitlines())
                print("    only kan: ", *sorted(lines[0] - lines[1])[:6], sep="\n        ")
                print("    only runc:", *sorted(lines[1] - lines[0])[:6], sep="\n        ")
    if not options.filter:
        for pattern in sorted(set(patterns) - used):
            failed += 1
            print(f"test explained::{pattern} ... FAILED\n    there is no such difference any more")
    shutil.rmtree(work, ignore_errors=True)
    if options.write:
        write(errors)
    print(f"\ntest result: {'FAILED' if failed else 'ok'}. {len(chosen)} variations, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
