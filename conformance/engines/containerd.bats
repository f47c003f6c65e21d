#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2086 # scripts in single quotes; images are one word
# containerd by `ctr`, through its shim for runc; ctr has no command for an update, which CRI's cases
# have. What has the tag `vm` runs in the test machine, too.

bats_require_minimum_version 1.5.0
load stage

setup_file() {
    mkdir -p "$STAGE/containerd"
    cat >"$STAGE/containerd.toml" <<CONF
version = 2
root = "$STAGE/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "/run/containerd/containerd.sock"
CONF
    start_daemon "$STAGE/containerd.log" containerd --config "$STAGE/containerd.toml"
    eventually ctr version >/dev/null 2>&1
    ctr images import "$STAGE/image.tar"
}

teardown_file() { kill "$DAEMON"; }

teardown() {
    local task
    for task in $(ctr tasks ls -q); do
        ctr tasks kill -s KILL --all "$task" >/dev/null 2>&1 || true
        eventually ctr tasks rm -f "$task" >/dev/null 2>&1 || true
    done
    for task in $(ctr containers ls -q); do
        ctr containers rm "$task" >/dev/null 2>&1 || true
    done
}

# ctr run NAME [FLAG…] -- [COMMAND…], in the stage's cgroup.
crun_() { # NAME FLAG… -- COMMAND…
    local name=$1 flags=()
    shift
    while [[ $1 != -- ]]; do
        flags+=("$1")
        shift
    done
    shift
    ctr run --runc-binary "$RUNTIME" --cgroup "$PARENT/$name" "${flags[@]}" $IMAGE "$name" "$@"
}

# Waits in the background, as an engine's user would: the task goes on.
start() { # NAME FLAG… -- COMMAND…
    local name=$1
    shift
    crun_ "$name" -d "$@"
    eventually is_running "$name"
}

is_running() { ctr tasks ls | grep -q "^$1 .*RUNNING"; }

inside() { # NAME COMMAND…
    local name=$1
    shift
    ctr tasks exec --exec-id "e$RANDOM$RANDOM" "$name" "$@"
}

pid_of() { ctr tasks ls | awk -v name="$1" '$1 == name { print $2 }'; }

# bats test_tags=vm
@test "run: exit codes 0 and 42" {
    crun_ zero --rm -- true
    run crun_ code --rm -- sh -c 'exit 42'
    expect code "$status" 42
}

@test "run: a missing program is named in the runtime's words" {
    run crun_ missing --rm -- nosuch
    [[ $status != 0 ]]
    expect_in message "$output" 'executable file not found in $PATH'
}

# bats test_tags=vm
@test "detached: exec, its code, env and user; kill; the task's code" {
    start life -- sh -c 'trap "exit 7" TERM; while :; do sleep 0.1; done'
    expect exec "$(inside life echo hello)" hello
    run inside life sh -c 'exit 9'
    expect code "$status" 9
    expect user "$(ctr tasks exec --exec-id u --user 1000:2000 life id -u)" 1000
    expect cwd "$(ctr tasks exec --exec-id w --cwd /usr/share life pwd)" /usr/share
    run inside life nosuch
    [[ $status != 0 ]]
    expect_in message "$output" 'executable file not found in $PATH'
    ctr tasks kill -s TERM life
    eventually sh -c 'ctr tasks ls | grep -q "^life .*STOPPED"'
    ctr tasks delete life
}

@test "the code of a task that was ended" {
    local code=0
    crun_ ended --rm -- sh -c 'trap "exit 7" TERM; while :; do sleep 0.1; done' &
    eventually is_running ended
    ctr tasks kill -s TERM ended
    wait $! || code=$?
    expect code "$code" 7
}

# bats test_tags=vm
@test "terminal" {
    expect_in size "$("$ENGINES/terminal" 40 100 ctr run --runc-binary "$RUNTIME" --cgroup "$PARENT/tty" --rm -t $IMAGE tty sh -c 'sleep 1; stty size')" "40 100"
    start host -- sleep 100
    expect_in exec "$("$ENGINES/terminal" 33 77 ctr tasks exec -t --exec-id tty host sh -c 'sleep 1; stty size')" "33 77"
}

# bats test_tags=vm
@test "pause, resume" {
    start paused -- sleep 100
    ctr tasks pause paused
    expect_in status "$(ctr tasks ls)" PAUSED
    run inside paused true
    [[ $status != 0 ]]
    ctr tasks resume paused
    inside paused true
}

# bats test_tags=vm
@test "ps and metrics" {
    start seen -- sh -c 'sleep 100 & sleep 100'
    expect_in ps "$(ctr tasks ps seen)" "$(pid_of seen)"
    expect "processes" "$(ctr tasks ps seen | tail -n +2 | wc -l)" 2
    expect_in metrics "$(ctr tasks metrics seen)" memory
}

# bats test_tags=vm
@test "limits: memory, cpu" {
    start limited --memory-limit $((64 << 20)) --cpus 0.5 -- sleep 100
    local pid
    pid=$(pid_of limited)
    expect memory "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" $((64 << 20))
    expect_in quota "$(cgroup_value "$pid" cpu cpu.cfs_quota_us cpu.max)" 50000
}

@test "privileged, seccomp, capabilities, no new privileges" {
    expect caps "$(crun_ all --rm --privileged -- sed -n 's/^CapEff:\t//p' /proc/self/status)" \
        "$(sed -n 's/^CapEff:\t//p' /proc/self/status)"
    expect seccomp "$(crun_ filtered --rm --seccomp -- sed -n 's/^Seccomp:\t//p' /proc/self/status)" 2
    expect_in added "$(crun_ added --rm --cap-add CAP_SYS_ADMIN -- grep CapBnd /proc/self/status)" CapBnd
    expect "none" "$(crun_ none --rm --seccomp -- sed -n 's/^NoNewPrivs:\t//p' /proc/self/status)" 1
}

@test "mounts, read-only root, env, workdir" {
    mkdir -p "$STAGE/tmp/v"
    crun_ bound --rm --mount "type=bind,src=$STAGE/tmp/v,dst=/v,options=rbind:rw" -- touch /v/made
    [[ -e $STAGE/tmp/v/made ]]
    run crun_ ro --rm --read-only -- touch /x
    expect_in message "$output" "Read-only file system"
    expect env "$(crun_ env --rm --env A=b -- sh -c 'echo $A')" b
    expect cwd "$(crun_ cwd --rm --cwd /usr/share -- pwd)" /usr/share
}

@test "a bad mount is named in the runtime's words" {
    run crun_ bad --rm --mount "type=bind,src=/nonexistent-source,dst=/v,options=rbind:rw" -- true
    [[ $status != 0 ]]
    expect_in message "$output" /nonexistent-source
}

@test "a bad seccomp profile is named in the runtime's words" {
    echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOSUCH"}]}' >"$STAGE/tmp/profile.json"
    run crun_ filtered --rm --seccomp --seccomp-profile "$STAGE/tmp/profile.json" -- true
    [[ $status != 0 ]]
    expect_in message "$output" SCMP_ACT_NOSUCH
}

@test "network of the host, namespaces of another task" {
    expect net "$(crun_ net --rm --net-host -- readlink /proc/self/ns/net)" "$(readlink /proc/self/ns/net)"
    start first -- sleep 100
    local pid kind
    pid=$(pid_of first)
    for kind in ipc network pid; do
        crun_ "joins-$kind" --rm --with-ns "$kind:/proc/$pid/ns/${kind/network/net}" -- true
    done
    expect joined "$(crun_ joined --rm --with-ns "ipc:/proc/$pid/ns/ipc" -- readlink /proc/self/ns/ipc)" "$(readlink "/proc/$pid/ns/ipc")"
}

@test "user namespace" {
    expect map "$(crun_ mapped --rm --uidmap 0:100000:5000 --gidmap 0:100000:5000 -- cat /proc/self/uid_map | tr -s ' ')" " 0 100000 5000"
}

@test "20 tasks at once" {
    local pids=() pid i code
    for i in {1..20}; do
        crun_ "many$i" --rm -- sh -c "exit $i" &
        pids+=($!)
    done
    for i in {1..20}; do
        pid=${pids[i - 1]} code=0
        wait "$pid" || code=$?
        expect "code of $i" "$code" "$i"
    done
}

@test "kill reaches all processes" {
    start all -- sh -c 'sleep 100 & sleep 100 & wait'
    local pid
    pid=$(pid_of all)
    ctr tasks kill -s KILL --all all
    eventually sh -c "! test -e /proc/$pid"
}

@test "the log of a failure is the runtime's, in JSON" {
    run crun_ logged --rm --mount "type=nosuchfs,src=x,dst=/v,options=rw" -- true
    [[ $status != 0 ]]
    expect_in message "$output" "OCI runtime create failed"
    expect_in message "$output" "no such device"
}

# bats test_tags=vm
@test "nothing is left" {
    expect tasks "$(ctr tasks ls -q)" ""
    nothing_left
    expect state "$(find /run/containerd/runc -mindepth 2 2>/dev/null)" ""
}
