#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2086 # scripts in single quotes; images are one word
# podman: on the stage rootful and with the cgroupfs manager; in the test machine (conformance/vm) the
# cases with tag `vm` for root and `rootless` for a user; `manager` are those that differ between
# podman's two cgroup managers.

bats_require_minimum_version 1.5.0
load stage
load podman

# --- exit codes

# bats test_tags=vm,rootless,manager
@test "run: exit codes 0 and 42" {
    prun --rm $IMAGE true
    run prun --rm $IMAGE sh -c 'exit 42'
    expect code "$status" 42
}

# bats test_tags=vm,rootless
@test "run: 127 for a missing program, with the runtime's own words" {
    run -127 prun --rm $IMAGE nosuch
    expect_in message "$output" 'executable file not found in $PATH'
}

@test "run: 126 for a file that is no program, with the runtime's own words" {
    run prun --rm $IMAGE /etc/plain
    expect code "$status" 126
    expect_in message "$output" "permission denied"
}

@test "run: 137 after SIGKILL" {
    run prun --rm --init $IMAGE sh -c 'kill -9 $$'
    expect code "$status" 137
}

# --- life

# bats test_tags=rootless
@test "detached: logs, ps, inspect, stop, wait, rm" {
    prun -d --name life $IMAGE sh -c 'echo out; echo err >&2; trap "exit 7" TERM; while :; do sleep 0.1; done'
    eventually sh -c 'podman logs life 2>&1 | grep -q err'
    expect_in logs "$(podman logs life 2>&1)" out
    expect_in ps "$(podman ps --format '{{.Names}} {{.Status}}')" "life Up"
    expect state "$(podman inspect -f '{{.State.Status}}' life)" running
    expect runtime "$(podman inspect -f '{{.OCIRuntime}}' life)" tested
    podman stop -t 5 life
    expect code "$(podman wait life)" 7
    expect state "$(podman inspect -f '{{.State.Status}}' life)" exited
    podman rm life
    run podman inspect life
    [[ $status != 0 ]]
}

@test "kill with a name, a number and none" {
    for signal in KILL 9; do
        prun -d --name killed $IMAGE sleep 100
        podman kill -s $signal killed
        expect code "$(podman wait killed)" 137
        podman rm killed
    done
    prun -d --name killed $IMAGE sh -c 'trap "exit 3" TERM; while :; do sleep 0.1; done'
    podman kill -s TERM killed
    expect code "$(podman wait killed)" 3
}

@test "create, start, restart" {
    podman create --cgroup-parent "$PARENT" --net none --name again $IMAGE sh -c 'echo once >>/log; sleep 100'
    podman start again
    eventually podman exec again grep -q once /log
    podman restart -t 0 again
    eventually podman exec again sh -c '[ $(wc -l </log) = 2 ]'
}

@test "restart policy" {
    prun -d --name often --restart on-failure:2 $IMAGE false
    eventually sh -c '[ "$(podman inspect -f "{{.RestartCount}} {{.State.Status}}" often)" = "2 exited" ]'
}

# bats test_tags=vm,rootless,manager
@test "pause, unpause" {
    prun -d --name paused $IMAGE sleep 100
    podman pause paused
    expect state "$(podman inspect -f '{{.State.Status}}' paused)" paused
    run podman exec paused true
    [[ $status != 0 ]]
    podman unpause paused
    podman exec paused true
}

# bats test_tags=vm,rootless,manager
@test "stats and top" {
    prun -d --name seen $IMAGE sleep 100
    expect_in top "$(podman top seen)" sleep
    expect_in top "$(podman top seen pid comm)" sleep
    expect_in stats "$(podman stats --no-stream --format '{{.Name}} {{.PIDS}}' seen)" "seen 1"
}

@test "20 containers at once" {
    local pids=() pid
    for i in {1..20}; do
        prun --rm $IMAGE sh -c "exit $i" &
        pids+=($!)
    done
    for i in {1..20}; do
        pid=${pids[i - 1]} code=0
        wait "$pid" || code=$?
        expect "code of $i" "$code" "$i"
    done
    expect left "$(podman ps -aq)" ""
}

# --- exec

# bats test_tags=rootless
@test "exec: code, env, user, workdir, privileged, detached" {
    prun -d --name host $IMAGE sleep 100
    run podman exec host sh -c 'exit 9'
    expect code "$status" 9
    expect env "$(podman exec -e A=b host sh -c 'echo $A')" b
    expect_in user "$(podman exec -u 1000:2000 host id)" "uid=1000(user) gid=2000(extra)"
    run podman exec -u user host id
    expect_in "user by name" "$output" "uid=1000(user) gid=1000(user)"
    expect_in "his groups" "$output" "2000(extra)"
    expect workdir "$(podman exec -w /usr/share host pwd)" /usr/share
    expect privileged "$(podman exec --privileged host grep CapBnd /proc/self/status)" \
        "$(printf 'CapBnd:\t%s' "$(sed -n 's/^CapBnd:\t//p' /proc/self/status)")"
    podman exec -d host touch /done
    eventually podman exec host test -e /done
    run -127 podman exec host nosuch
    expect_in message "$output" 'executable file not found in $PATH'
}

@test "exec: input, and 10 at once" {
    prun -d --name host $IMAGE sleep 100
    expect input "$(echo hello | podman exec -i host cat)" hello
    local pids=() pid
    for i in {1..10}; do
        podman exec host true &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
}

# bats test_tags=rootless
@test "terminal: run and exec are on one, and follow its size" {
    expect_in run "$("$ENGINES/terminal" 40 100 podman run --rm -it --cgroup-parent "$PARENT" --net none $IMAGE sh -c 'sleep 1; stty size')" "40 100"
    prun -d --name host $IMAGE sleep 100
    expect_in exec "$("$ENGINES/terminal" 33 77 podman exec -it host sh -c 'tty; stty size')" "33 77"
    # The size changes while it runs.
    expect_in resized "$("$ENGINES/terminal" --then 50 120 40 100 podman exec -it host \
        sh -c 'while [ "$(stty size)" != "50 120" ]; do sleep 0.1; done; echo is now $(stty size)')" "is now 50 120"
}

@test "input of a container" {
    expect input "$(echo hello | prun -i --rm $IMAGE cat)" hello
}

# --- mounts

@test "volumes: rw, ro, named, tmpfs, overlay, propagation" {
    mkdir -p "$STAGE/tmp/volume"
    prun --rm -v "$STAGE/tmp/volume:/v" $IMAGE touch /v/made
    [[ -e $STAGE/tmp/volume/made ]]
    run prun --rm -v "$STAGE/tmp/volume:/v:ro" $IMAGE touch /v/other
    expect_in ro "$output" "Read-only file system"
    prun --rm -v named:/v $IMAGE touch /v/kept
    prun --rm -v named:/v $IMAGE test -e /v/kept
    expect_in tmpfs "$(prun --rm --tmpfs /t:size=1m,mode=700 $IMAGE grep ' /t ' /proc/mounts)" "size=1024k,mode=700"
    prun --rm -v "$STAGE/tmp/volume:/v:O" $IMAGE touch /v/gone
    [[ ! -e $STAGE/tmp/volume/gone ]]
    for propagation in private slave shared rslave; do
        prun --rm -v "$STAGE/tmp/volume:/v:$propagation" $IMAGE test -e /v/made
    done
    expect_in "mount over a file" "$(prun --rm -v "$ENGINES/stage.bash:/etc/plain:ro" $IMAGE cat /etc/plain)" "What the engines"
}

# bats test_tags=vm
@test "volumes: id-mapped" {
    mkdir -p "$STAGE/tmp/mapped"
    touch "$STAGE/tmp/mapped/file"
    run prun --rm --uidmap 0:100000:5000 -v "$STAGE/tmp/mapped:/v:idmap" $IMAGE stat -c %u /v/file
    if ! is_kan && [[ $output == 65534 ]]; then
        skip "Debian 12's runc maps no mounts"
    fi
    expect owner "$output" 0
}

@test "volumes: nosuid, noexec, nodev, U" {
    mkdir -p "$STAGE/tmp/options"
    expect_in options "$(prun --rm -v "$STAGE/tmp/options:/v:nosuid,noexec,nodev" $IMAGE grep ' /v ' /proc/mounts)" "nosuid,nodev,noexec"
    prun --rm -u 1000 -v "$STAGE/tmp/options:/v:U" $IMAGE touch /v/mine
}

@test "read-only root" {
    run prun --rm --read-only $IMAGE touch /x
    expect_in message "$output" "Read-only file system"
    prun --rm --read-only $IMAGE touch /tmp/x
}

@test "cp in and out, stopped and running" {
    prun -d --name host $IMAGE sleep 100
    echo in >"$STAGE/tmp/in"
    podman cp "$STAGE/tmp/in" host:/in
    expect in "$(podman exec host cat /in)" in
    podman exec host sh -c 'echo out >/out'
    podman cp host:/out "$STAGE/tmp/out"
    expect out "$(cat "$STAGE/tmp/out")" out
}

@test "commit, diff, export" {
    prun --name changed $IMAGE touch /new
    expect_in diff "$(podman diff changed)" "A /new"
    podman commit -q changed localhost/changed >/dev/null
    prun --rm localhost/changed test -e /new
    expect_in export "$(podman export changed | tar t)" new
}

# --- the process

@test "user, groups, workdir, env, hostname, umask" {
    expect user "$(prun --rm -u 1000:2000 $IMAGE id -u)" 1000
    expect_in groups "$(prun --rm -u user --group-add 3000 $IMAGE id)" 3000
    expect workdir "$(prun --rm -w /usr/share $IMAGE pwd)" /usr/share
    expect env "$(prun --rm -e A=1 $IMAGE sh -c 'echo $A')" 1
    expect hostname "$(prun --rm --hostname box $IMAGE hostname)" box
    expect umask "$(prun --rm --umask 0077 $IMAGE sh -c umask)" 0077
    expect home "$(prun --rm -u user $IMAGE sh -c 'echo $HOME')" /home/user
}

@test "capabilities: added, dropped, all" {
    bounding() { prun --rm "$@" $IMAGE sed -n 's/^CapBnd:\t//p' /proc/self/status; }
    expect none "$(bounding --cap-drop all)" 0000000000000000
    expect one "$(bounding --cap-drop all --cap-add net_admin)" 0000000000001000
    expect "as a user none" "$(prun --rm -u 1000 $IMAGE sed -n 's/^CapEff:\t//p' /proc/self/status)" 0000000000000000
}

@test "no-new-privileges" {
    expect_in status "$(prun --rm --security-opt no-new-privileges $IMAGE grep NoNewPrivs /proc/self/status)" 1
}

@test "seccomp: default, unconfined, a profile, a broken one" {
    seccomp() { prun --rm "$@" $IMAGE sed -n 's/^Seccomp:\t//p' /proc/self/status; }
    expect default "$(seccomp)" 2
    expect unconfined "$(seccomp --security-opt seccomp=unconfined)" 0
    echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO","errnoRet":37}]}' >"$STAGE/tmp/profile.json"
    run prun --rm --security-opt "seccomp=$STAGE/tmp/profile.json" $IMAGE mkdir /x
    expect_in profile "$output" "No locks available"
    echo '{"defaultAction":"SCMP_ACT_NOSUCH"}' >"$STAGE/tmp/profile.json"
    run prun --rm --security-opt "seccomp=$STAGE/tmp/profile.json" $IMAGE true
    [[ $status != 0 ]]
}

@test "sysctl, ulimit, oom score" {
    expect sysctl "$(prun --rm --sysctl kernel.msgmax=4096 $IMAGE cat /proc/sys/kernel/msgmax)" 4096
    expect ulimit "$(prun --rm --ulimit nofile=100:200 --ulimit nproc=1000:1000 $IMAGE sh -c 'ulimit -Sn; ulimit -Hn' | tr '\n' ' ')" "100 200 "
    expect oom "$(prun --rm --oom-score-adj 500 $IMAGE cat /proc/self/oom_score_adj)" 500
}

@test "devices" {
    prun --rm --device /dev/fuse $IMAGE test -c /dev/fuse
    expect_in renamed "$(prun --rm --device /dev/null:/dev/nothing:r $IMAGE stat -c '%t:%T' /dev/nothing)" 1:3
    run prun --rm $IMAGE sh -c 'mknod /kmsg c 1 11 && cat /kmsg'
    expect_in denied "$output" "not permitted"
}

# bats test_tags=vm
@test "privileged" {
    expect caps "$(prun --rm --privileged $IMAGE sed -n 's/^CapEff:\t//p' /proc/self/status)" \
        "$(sed -n 's/^CapEff:\t//p' /proc/self/status)"
    prun --rm --privileged $IMAGE sh -c 'mkdir /m && mount -t tmpfs x /m'
    expect seccomp "$(prun --rm --privileged $IMAGE sed -n 's/^Seccomp:\t//p' /proc/self/status)" 0
}

@test "init reaps and passes signals on" {
    prun -d --name init --init $IMAGE sleep 100
    expect_in top "$(podman exec init cat /proc/1/comm)" init
    podman stop -t 5 init
    expect code "$(podman wait init)" 143
}

@test "annotations and personality" {
    run prun --rm --personality LINUX32 $IMAGE uname -m
    is_kan || [[ $output == i686 ]] || skip "Debian 12's runc has no personality"
    expect machine "$output" i686
    podman create --cgroup-parent "$PARENT" --net none --annotation a.b=c --name noted $IMAGE true
    expect annotation "$(podman inspect -f '{{index .Config.Annotations "a.b"}}' noted)" c
}

# --- limits

# bats test_tags=vm,rootless,manager
@test "memory, cpus, pids, cpuset; update" {
    prun -d --name limited -m 64m --memory-swap 64m --cpus 0.5 --cpu-shares 512 --pids-limit 50 --cpuset-cpus 0 $IMAGE sleep 100
    local pid
    pid=$(podman inspect -f '{{.State.Pid}}' limited)
    expect memory "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" $((64 << 20))
    expect pids "$(cgroup_value "$pid" pids pids.max pids.max)" 50
    expect cpuset "$(cgroup_value "$pid" cpuset cpuset.cpus cpuset.cpus)" 0
    expect_in quota "$(cgroup_value "$pid" cpu cpu.cfs_quota_us cpu.max)" 50000
    podman update -m 128m --memory-swap 128m --cpus 0.25 limited
    expect memory "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" $((128 << 20))
    expect_in quota "$(cgroup_value "$pid" cpu cpu.cfs_quota_us cpu.max)" 25000
    expect "pids after update" "$(cgroup_value "$pid" pids pids.max pids.max)" 50
}

@test "out of memory is seen" {
    run prun --name greedy -m 16m --memory-swap 16m $IMAGE sh -c 'x=x; while :; do x=$x$x; done'
    expect code "$status" 137
}

# bats test_tags=vm,rootless
@test "no cgroups, where podman believes that the runtime can" {
    is_kan || skip "runc has no such mode"
    podman run --cgroups disabled --net none -d --name free $IMAGE sleep 100
    local pid
    pid=$(podman inspect -f '{{.State.Pid}}' free)
    expect cgroups "$(cat "/proc/$pid/cgroup")" "$(cat "/proc/$(podman inspect -f '{{.State.ConmonPid}}' free)/cgroup")"
    expect own "$(find /sys/fs/cgroup -name "*$(podman inspect -f '{{.Id}}' free)*")" ""
    expect exec "$(podman exec free echo hello)" hello
    podman stop -t 0 free
    expect code "$(podman wait free)" 137
    sed '/^runtime_supports_nocgroup/d' "$PODMAN_CONF" >"$STAGE/tmp/cgroups.conf"
    run ! env CONTAINERS_CONF="$STAGE/tmp/cgroups.conf" podman run --rm --cgroups disabled --net none $IMAGE true
    expect_in refused "$output" "not compatible with NoCgroups"
}

# --- namespaces

@test "pid, ipc, net, uts of the host" {
    expect pid "$(prun --rm --pid host $IMAGE readlink /proc/self/ns/pid)" "$(readlink /proc/self/ns/pid)"
    expect ipc "$(prun --rm --ipc host $IMAGE readlink /proc/self/ns/ipc)" "$(readlink /proc/self/ns/ipc)"
    expect uts "$(prun --rm --uts host $IMAGE readlink /proc/self/ns/uts)" "$(readlink /proc/self/ns/uts)"
    expect net "$(podman run --cgroup-parent "$PARENT" --rm --net host $IMAGE readlink /proc/self/ns/net)" "$(readlink /proc/self/ns/net)"
    expect cgroup "$(prun --rm --cgroupns host $IMAGE readlink /proc/self/ns/cgroup)" "$(readlink /proc/self/ns/cgroup)"
}

@test "pid, ipc and net of another container" {
    prun -d --name first --ipc shareable $IMAGE sleep 100
    for kind in pid ipc; do
        expect $kind "$(prun --rm --$kind container:first $IMAGE readlink /proc/self/ns/$kind)" \
            "$(podman exec first readlink /proc/self/ns/$kind)"
    done
    expect net "$(podman run --cgroup-parent "$PARENT" --rm --net container:first $IMAGE readlink /proc/self/ns/net)" \
        "$(podman exec first readlink /proc/self/ns/net)"
}

# bats test_tags=vm
@test "user namespace: uidmap, keep its ids" {
    expect "user and map" "$(prun --rm --uidmap 0:100000:5000 -u 1000 $IMAGE sh -c 'id -u; cat /proc/self/uid_map' | tr -s ' ')" \
        "$(printf '%s\n' 1000 ' 0 100000 5000')"
    prun -d --name mapped --uidmap 0:100000:5000 $IMAGE sleep 100
    expect exec "$(podman exec mapped id -u)" 0
    expect joined "$(prun --rm --userns container:mapped $IMAGE readlink /proc/self/ns/user)" \
        "$(podman exec mapped readlink /proc/self/ns/user)"
}

# bats test_tags=vm,rootless,manager
@test "a pod shares its namespaces" {
    local below=(--cgroup-parent "$PARENT")
    # podman 5.4 makes the slice of a pod twice where it is not below its own, and fails.
    [[ $MANAGER != systemd ]] || below=()
    podman pod create "${below[@]}" --infra-image $PAUSE --name pod --network none
    podman run -d --pod pod --name one $IMAGE sleep 100
    podman run -d --pod pod --name two $IMAGE sleep 100
    local all='for kind in net ipc uts pid; do readlink /proc/self/ns/$kind; done' one two
    one=$(podman exec one sh -c "$all")
    two=$(podman exec two sh -c "$all")
    expect shared "$(head -n 3 <<<"$one")" "$(head -n 3 <<<"$two")"
    [[ $(tail -n 1 <<<"$one") != "$(tail -n 1 <<<"$two")" ]]
    podman pod stop -t 0 pod
    podman pod rm pod
}

@test "play kube" {
    cat >"$STAGE/tmp/pod.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: kube}
spec:
  hostNetwork: true
  containers:
  - name: main
    image: $IMAGE
    imagePullPolicy: Never
    command: [sleep, "100"]
    resources: {limits: {memory: 64Mi}}
YAML
    sed "s|^\[engine\]|&\ninfra_image = \"$PAUSE\"|" "$CONTAINERS_CONF" >"$STAGE/tmp/kube.conf"
    # kube play has no flag for the cgroup's parent.
    CONTAINERS_CONF=$STAGE/tmp/kube.conf podman kube play "$STAGE/tmp/pod.yaml"
    expect state "$(podman inspect -f '{{.State.Status}}' kube-main)" running
    local pid
    pid=$(podman inspect -f '{{.State.Pid}}' kube-main)
    expect memory "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" $((64 << 20))
    podman kube down "$STAGE/tmp/pod.yaml"
}

# --- network

# bats test_tags=vm,rootless
@test "bridge: addresses, ports, names" {
    [[ -x /usr/lib/podman/netavark ]] || skip "netavark is not installed"
    podman network create inner
    podman run --cgroup-parent "$PARENT" -d --name server --net inner -p 18080:80 $IMAGE \
        sh -c 'mkdir /w && echo served >/w/index.html && httpd -f -p 80 -h /w'
    eventually sh -c 'busybox wget -qO- http://127.0.0.1:18080/ | grep -q served'
    expect "by name" "$(podman run --cgroup-parent "$PARENT" --rm --net inner $IMAGE wget -qO- http://server/)" served
    podman rm -f -t 0 server
    podman network rm inner
}

# --- extras

# bats test_tags=vm,rootless
@test "systemd mode: what systemd wants of a container" {
    run prun --rm --systemd always $IMAGE sh -c 'grep " /run tmpfs " /proc/mounts && grep -c cgroup /proc/mounts && echo $container'
    expect code "$status" 0
    expect_in environment "$output" podman
}

@test "healthcheck" {
    prun -d --name healthy --health-cmd 'test -e /ok' --health-retries 1 --health-interval disable $IMAGE sleep 100
    run podman healthcheck run healthy
    expect code "$status" 1
    podman exec healthy touch /ok
    podman healthcheck run healthy
}

@test "hooks of the engine see the container" {
    cat >"$STAGE/hooks/seen.json" <<JSON
{"version": "1.0.0", "hook": {"path": "/bin/sh", "args": ["sh", "-c", "cat >$STAGE/tmp/hook-state"]},
 "when": {"annotations": {"^wants$": "^hook$"}}, "stages": ["createRuntime"]}
JSON
    prun --rm --annotation wants=hook $IMAGE true
    expect_in state "$(cat "$STAGE/tmp/hook-state")" '"status":"creating"'
}

@test "preserved descriptors" {
    echo "through three" >"$STAGE/tmp/three"
    # bats has a use of its own for descriptor 3.
    expect read "$(prun --rm --preserve-fds 1 $IMAGE sh -c 'cat <&3' 3<"$STAGE/tmp/three")" "through three"
}

@test "socket activation" {
    python3 - "$IMAGE" "$PARENT" >"$STAGE/tmp/activation" <<'PYTHON'
import os, socket, subprocess, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(os.environ["STAGE"] + "/tmp/activation.sock")
os.dup2(listener.fileno(), 3)
script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec podman run --rm --net none --cgroup-parent %s %s sh -c %s' % (
    sys.argv[2], sys.argv[1], "'echo $LISTEN_FDS $LISTEN_PID; readlink /proc/self/fd/3'")
print(subprocess.run(["sh", "-c", script], pass_fds=[3], capture_output=True, text=True).stdout)
PYTHON
    expect_in fds "$(cat "$STAGE/tmp/activation")" "1 1"
    expect_in socket "$(cat "$STAGE/tmp/activation")" "socket:"
}

@test "sd_notify: the manager's socket is handed on" {
    python3 - "$STAGE/tmp/manager.sock" <<'PYTHON' &
import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
manager.settimeout(30)
manager.recv(100)
PYTHON
    eventually test -S "$STAGE/tmp/manager.sock"
    # A program that says something is in the test machine's cases; here one only looks for the socket.
    NOTIFY_SOCKET=$STAGE/tmp/manager.sock prun -d --name notifier --sdnotify container $IMAGE \
        sh -c 'test -S "$NOTIFY_SOCKET" && echo "there is one"; sleep 100' &
    eventually sh -c 'podman logs notifier 2>&1 | grep -q "there is one"'
    podman rm -f -t 0 notifier
    kill %1 || true
    wait
}

@test "a bad mount shows the runtime's message" {
    run ! prun --rm --mount type=bind,src="$STAGE/tmp,dst=/proc/self/x" $IMAGE true
    expect_in message "$output" "proc"
}

# bats test_tags=vm,rootless,manager
@test "nothing is left" {
    expect containers "$(podman ps -aq)" ""
    nothing_left "libpod-[0-9a-f]*"
}
