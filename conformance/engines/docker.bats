#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2086 # scripts in single quotes; images are one word
# docker with a daemon of its own, which has no network but the host's and none.

bats_require_minimum_version 1.5.0
load stage
load nested

setup_file() {
    export DOCKER_HOST=unix:///run/docker-tested.sock
    cat >"$STAGE/daemon.json" <<JSON
{"runtimes": {"tested": {"path": "$RUNTIME"}}, "default-runtime": "tested",
 "bridge": "none", "iptables": false, "ip6tables": false, "data-root": "$STAGE/lib/docker",
 "exec-root": "/run/docker", "pidfile": "/run/docker-tested.pid", "hosts": ["$DOCKER_HOST"],
 "cgroup-parent": "$PARENT", "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 20000, "Hard": 20000}}}
JSON
    start_daemon "$STAGE/dockerd.log" dockerd --config-file "$STAGE/daemon.json"
    eventually docker version >/dev/null 2>&1 || cat "$STAGE/dockerd.log"
    docker load -q -i "$STAGE/image.tar"
}

# The daemon ends its containerd, and with it the shims.
teardown_file() {
    kill "$DAEMON"
    wait "$DAEMON" || true
}

teardown() {
    docker ps -aq | xargs -r docker rm -f >/dev/null 2>&1 || true
}

drun() { docker run --network none "$@"; }

@test "the daemon knows the runtime" {
    expect_in runtimes "$(docker info -f '{{json .Runtimes}}')" tested
}

@test "run: exit codes 0, 42, 126, 127, 137" {
    drun --rm $IMAGE true
    run drun --rm $IMAGE sh -c 'exit 42'
    expect code "$status" 42
    run drun --rm $IMAGE /etc/plain
    expect code "$status" 126
    expect_in message "$output" "permission denied"
    run -127 drun --rm $IMAGE nosuch
    expect_in message "$output" 'executable file not found in $PATH'
    run drun --rm --init $IMAGE sh -c 'kill -9 $$'
    expect code "$status" 137
}

@test "detached: logs, inspect, stop, wait, restart" {
    drun -d --name life $IMAGE sh -c 'echo out; trap "exit 7" TERM; while :; do sleep 0.1; done'
    eventually sh -c 'docker logs life | grep -q out'
    expect state "$(docker inspect -f '{{.State.Status}}' life)" running
    docker stop -t 5 life
    expect code "$(docker wait life)" 7
    docker restart -t 0 life
    expect state "$(docker inspect -f '{{.State.Status}}' life)" running
    docker kill life
    expect code "$(docker wait life)" 137
}

@test "exec: code, env, user, workdir, privileged, detached, missing" {
    drun -d --name host $IMAGE sleep 100
    run docker exec host sh -c 'exit 9'
    expect code "$status" 9
    expect env "$(docker exec -e A=b host sh -c 'echo $A')" b
    expect user "$(docker exec -u 1000:2000 host id -u)" 1000
    expect workdir "$(docker exec -w /usr/share host pwd)" /usr/share
    expect input "$(echo hello | docker exec -i host cat)" hello
    docker exec -d host touch /done
    eventually docker exec host test -e /done
    run docker exec host nosuch
    expect_in message "$output" 'executable file not found in $PATH'
}

@test "terminal" {
    expect_in run "$("$ENGINES/terminal" 40 100 docker run --rm -it --network none $IMAGE sh -c 'sleep 1; stty size')" "40 100"
    drun -d --name host $IMAGE sleep 100
    expect_in exec "$("$ENGINES/terminal" 33 77 docker exec -it host sh -c 'sleep 1; stty size')" "33 77"
}

@test "limits and update" {
    drun -d --name limited -m 64m --memory-swap 64m --cpus 0.5 --pids-limit 50 --cpuset-cpus 0 $IMAGE sleep 100
    local pid
    pid=$(docker inspect -f '{{.State.Pid}}' limited)
    expect memory "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" $((64 << 20))
    expect pids "$(cgroup_value "$pid" pids pids.max pids.max)" 50
    expect_in quota "$(cgroup_value "$pid" cpu cpu.cfs_quota_us cpu.max)" 50000
    docker update -m 128m --memory-swap 128m --cpus 0.25 --pids-limit 60 limited
    expect memory "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" $((128 << 20))
    expect pids "$(cgroup_value "$pid" pids pids.max pids.max)" 60
    expect_in quota "$(cgroup_value "$pid" cpu cpu.cfs_quota_us cpu.max)" 25000
}

@test "pause, unpause, stats, top" {
    drun -d --name seen $IMAGE sleep 100
    docker pause seen
    expect state "$(docker inspect -f '{{.State.Status}}' seen)" paused
    docker unpause seen
    docker exec seen true
    expect_in top "$(docker top seen)" "sleep 100"
    expect stats "$(docker stats --no-stream --format '{{.PIDs}}' seen)" 1
}

@test "restart policy" {
    drun -d --name often --restart on-failure:2 $IMAGE false
    eventually sh -c '[ "$(docker inspect -f "{{.RestartCount}} {{.State.Status}}" often)" = "2 exited" ]'
}

@test "events" {
    local since
    since=$(date +%s)
    drun --rm --name noted $IMAGE true
    expect_in events "$(docker events --since "$since" --until "$(($(date +%s) + 1))" --filter type=container --format '{{.Action}}' | tr '\n' ' ')" "start die"
}

@test "volumes, tmpfs, read-only root, shared namespaces" {
    mkdir -p "$STAGE/tmp/v"
    drun --rm -v "$STAGE/tmp/v:/v" $IMAGE touch /v/made
    [[ -e $STAGE/tmp/v/made ]]
    run drun --rm -v "$STAGE/tmp/v:/v:ro" --read-only $IMAGE touch /v/x
    expect_in message "$output" "Read-only file system"
    drun --rm --read-only --tmpfs /t:size=1m $IMAGE touch /t/x
    docker run -d --network none --name first --ipc shareable $IMAGE sleep 100
    for kind in ipc pid; do
        expect $kind "$(drun --rm --$kind container:first $IMAGE readlink /proc/self/ns/$kind)" \
            "$(docker exec first readlink /proc/self/ns/$kind)"
    done
    expect net "$(docker run --rm --network container:first $IMAGE readlink /proc/self/ns/net)" \
        "$(docker exec first readlink /proc/self/ns/net)"
}

@test "capabilities, seccomp, privileged, no-new-privileges, sysctl" {
    expect none "$(drun --rm --cap-drop all $IMAGE sed -n 's/^CapBnd:\t//p' /proc/self/status)" 0000000000000000
    expect seccomp "$(drun --rm $IMAGE sed -n 's/^Seccomp:\t//p' /proc/self/status)" 2
    expect unconfined "$(drun --rm --security-opt seccomp=unconfined $IMAGE sed -n 's/^Seccomp:\t//p' /proc/self/status)" 0
    expect no-new "$(drun --rm --security-opt no-new-privileges $IMAGE sed -n 's/^NoNewPrivs:\t//p' /proc/self/status)" 1
    expect sysctl "$(drun --rm --sysctl kernel.msgmax=4096 $IMAGE cat /proc/sys/kernel/msgmax)" 4096
}

@test "privileged" {
    run drun --rm --privileged $IMAGE sed -n 's/^CapEff:\t//p' /proc/self/status
    # docker asks for each capability there is; runc fails where kan itself has fewer.
    is_kan || [[ $output != *"unable to apply caps"* ]] || skip "the stage lacks a capability"
    # This docker knows 38 capabilities.
    expect capabilities "$((0x$output))" $((0x$(sed -n 's/^CapEff:\t//p' /proc/self/status) & 0x3fffffffff))
}

@test "services share a network, processes, IPC and volumes, as in a compose file" {
    drun -d --name web --ipc shareable -v content:/w $IMAGE httpd -f -p 80 -h /w
    # volumes_from, and a volume by its name.
    drun --rm --volumes-from web $IMAGE sh -c 'echo shared >/w/index.html'
    drun --rm -v content:/other:ro $IMAGE grep -q shared /other/index.html
    # network_mode, pid and ipc: service:web
    docker run -d --name helper --network container:web --pid container:web --ipc container:web $IMAGE sleep 100
    expect "by localhost" "$(docker exec helper wget -qO- http://127.0.0.1/)" shared
    expect_in processes "$(docker exec helper ps)" "httpd -f"
    for kind in net pid ipc; do
        expect $kind "$(docker exec helper readlink /proc/self/ns/$kind)" "$(docker exec web readlink /proc/self/ns/$kind)"
    done
    docker rm -f helper web
    docker volume rm content
}

@test "the runtime in a container: privileged, and not" {
    is_kan || skip "Debian's runc is no static program"
    inner_bundle
    local mounts=(-v "$RUNTIME:/kan:ro" -v "$STAGE/tmp/inner:/b")
    local run=(--cgroup-manager disabled run --bundle /b)
    # docker's own profile allows what kan needs to whoever has CAP_SYS_ADMIN, but for pivot_root.
    local rights=(--cap-add sys_admin --cap-add net_admin --security-opt systempaths=unconfined)
    run ! drun --rm "${rights[@]}" "${mounts[@]}" $IMAGE /kan "${run[@]}" inner
    expect_in message "$output" "denies pivot_root"
    expect said "$(drun --rm "${rights[@]}" "${mounts[@]}" $IMAGE /kan "${run[@]}" --no-pivot inner)" "from the inside"
    expect privileged "$(drun --rm --privileged "${mounts[@]}" $IMAGE /kan run --bundle /b inner)" "from the inside"
    inner_bundle --rootless
    run ! drun --rm "${mounts[@]}" $IMAGE /kan "${run[@]}" inner
    expect_in message "$output" "the outer container"
}

@test "a bad seccomp profile shows its reason" {
    echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOSUCH"}]}' >"$STAGE/tmp/profile.json"
    run drun --rm --security-opt "seccomp=$STAGE/tmp/profile.json" $IMAGE true
    [[ $status != 0 ]]
    expect_in message "$output" "SCMP_ACT_NOSUCH"
}

@test "10 at once" {
    local pids=() pid i code
    for i in {1..10}; do
        drun --rm $IMAGE sh -c "exit $i" &
        pids+=($!)
    done
    for i in {1..10}; do
        pid=${pids[i - 1]} code=0
        wait "$pid" || code=$?
        expect "code of $i" "$code" "$i"
    done
}

@test "nothing is left" {
    expect containers "$(docker ps -aq)" ""
    nothing_left
    expect state "$(find /run/docker/runtime-tested /run/docker/runtime-runc -mindepth 2 2>/dev/null)" ""
}
