#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2086 # scripts in single quotes; images are one word
# podman where systemd is process 1 and makes the cgroups: what no stage has. In the test machine, for
# root and for a user.

bats_require_minimum_version 1.5.0
load engines.d/stage
load engines.d/podman

# The systemd whose units are ours.
manager() {
    if ((EUID == 0)); then
        systemctl "$@"
    else
        systemctl --user "$@"
    fi
}

@test "limits are properties of the scope, outlive daemon-reload and follow an update" {
    prun -d --name limited -m 64m --pids-limit 50 $IMAGE sleep 1000
    local pid scope
    pid=$(podman inspect -f '{{.State.Pid}}' limited)
    scope=$(sed -n 's|^0::.*/\([^/]*[.]scope\).*|\1|p' "/proc/$pid/cgroup")
    expect_in name "$scope" libpod-
    expect slice "$(manager show -P Slice "$scope")" "$PARENT"
    expect memory "$(manager show -P MemoryMax "$scope")" $((64 << 20))
    manager daemon-reload
    expect pids "$(cgroup_value "$pid" pids pids.max pids.max)" 50
    podman update -m 128m limited
    manager daemon-reload
    expect memory "$(manager show -P MemoryMax "$scope")" $((128 << 20))
    expect memory "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" $((128 << 20))
}

@test "healthcheck: systemd's timer runs it" {
    prun -d --name healthy --health-cmd 'test -e /ok' --health-interval 4s --health-retries 1 $IMAGE sleep 1000
    podman exec healthy touch /ok
    eventually healthy
}

healthy() { [[ $(podman inspect -f '{{.State.Health.Status}}' healthy) == healthy ]]; }

@test "sd_notify from inside ends the start of a unit" {
    local kind=--user
    ((EUID)) || kind=--system
    # In the program's own words, through the socket that the runtime hands on.
    systemd-run $kind --quiet --unit "said-$TOKEN" -p Type=notify -p NotifyAccess=all -p Delegate=yes \
        podman run --rm --name said --net none --cgroup-parent "$PARENT" --sdnotify container \
        -v "$PROBE:/probe:ro" $IMAGE /probe notify READY=1 STATUS=ready
    expect state "$(manager show -P ActiveState "said-$TOKEN")" active
    expect status "$(manager show -P StatusText "said-$TOKEN")" ready
    podman rm -f -t 0 said
}

@test "cgroups split below the unit" {
    local kind=--user
    ((EUID)) || kind=--system
    expect_in cgroup "$(systemd-run $kind --quiet --unit "split-$TOKEN" --wait --pipe -p Delegate=yes \
        podman run --rm --net none --cgroups split --cgroupns host $IMAGE cat /proc/self/cgroup)" \
        "/split-$TOKEN.service/libpod-payload-"
}

@test "systemd is process 1 of a container" {
    ((EUID == 0)) || skip "the machine's own root is no tree of the user's"
    podman run -d --name booted --net none --cgroup-parent "$PARENT" --systemd always \
        --rootfs "$SYSTEM:O" /lib/systemd/systemd --unit=basic.target
    eventually booted
    podman stop -t 60 booted
    expect code "$(podman wait booted)" 0
}

booted() { podman exec booted systemctl is-active basic.target; }

@test "keep-id: the user is himself inside" {
    ((EUID)) || skip "root has no ids to keep"
    mkdir -p "$STAGE/tmp/mine"
    expect ids "$(prun --rm --userns keep-id -v "$STAGE/tmp/mine:/v" $IMAGE sh -c 'touch /v/made; stat -c %u:%g /v/made; id -u')" \
        "$(printf '%s\n' "$EUID:$EUID" "$EUID")"
    expect owner "$(stat -c %u "$STAGE/tmp/mine/made")" "$EUID"
}

@test "nothing is left" {
    nothing_left "libpod-[0-9a-f]*"
}
