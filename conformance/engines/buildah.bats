#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2086 # scripts in single quotes; images are one word
# buildah with OCI isolation: each RUN is a container of the runtime.

bats_require_minimum_version 1.5.0
load stage

setup_file() {
    export CONTAINERS_CONF=$STAGE/containers.conf CONTAINERS_STORAGE_CONF=$STAGE/storage.conf
    export BUILDAH_ISOLATION=oci BUILDAH_RUNTIME=$RUNTIME
    cat >"$CONTAINERS_CONF" <<CONF
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
cgroup_manager = "cgroupfs"
CONF
    printf '[storage]\ndriver = "overlay"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' \
        >"$CONTAINERS_STORAGE_CONF"
    buildah pull -q "docker-archive:$STAGE/image.tar:$IMAGE"
}

teardown() { buildah rm -a >/dev/null; }

bud() { buildah bud --cgroup-parent "$PARENT" --network none --ulimit nofile=20000 --pull-never -q "$@"; }

from() { buildah from --pull-never --cgroup-parent "$PARENT" "$1"; }

brun() { buildah run --runtime "$RUNTIME" --network none "$@"; }

@test "bud: RUN steps make a layer" {
    printf 'FROM %s\nRUN echo built >/built\nRUN cat /built && mkdir /d\nUSER user\nRUN test "$(id -u)" = 1000\n' $IMAGE >"$STAGE/tmp/Containerfile"
    bud -t localhost/built -f "$STAGE/tmp/Containerfile" "$STAGE/tmp"
    name=$(from localhost/built)
    expect built "$(brun "$name" cat /built)" built
}

@test "bud: a step that fails ends the build with its code" {
    printf 'FROM %s\nRUN exit 5\n' $IMAGE >"$STAGE/tmp/Containerfile"
    run bud -f "$STAGE/tmp/Containerfile" "$STAGE/tmp"
    [[ $status != 0 ]]
    expect_in message "$output" "exit status 5"
}

@test "bud: a missing program is named in the runtime's words" {
    printf 'FROM %s\nRUN ["/nosuch"]\n' $IMAGE >"$STAGE/tmp/Containerfile"
    run bud -f "$STAGE/tmp/Containerfile" "$STAGE/tmp"
    [[ $status != 0 ]]
    expect_in message "$output" "no such file or directory"
}

@test "run: code, input, env, user, workdir" {
    name=$(from $IMAGE)
    run brun "$name" sh -c 'exit 6'
    expect code "$status" 6
    expect input "$(echo hello | brun "$name" cat)" hello
    expect env "$(brun -e A=b "$name" sh -c 'echo $A')" b
    expect user "$(brun --user 1000:2000 "$name" id -u)" 1000
    expect workdir "$(brun --workingdir /usr/share "$name" pwd)" /usr/share
}

@test "run: mounts" {
    mkdir -p "$STAGE/tmp/v"
    echo kept >"$STAGE/tmp/v/file"
    name=$(from $IMAGE)
    expect bind "$(brun -v "$STAGE/tmp/v:/v:ro" "$name" cat /v/file)" kept
    run brun -v "$STAGE/tmp/v:/v:ro" "$name" touch /v/other
    expect_in ro "$output" "Read-only file system"
    brun --mount type=tmpfs,destination=/t "$name" sh -c 'grep -q " /t tmpfs" /proc/mounts'
}

@test "run: terminal" {
    name=$(from $IMAGE)
    expect_in size "$("$ENGINES/terminal" 40 100 buildah run --runtime "$RUNTIME" --network none -t "$name" sh -c 'sleep 1; stty size')" "40 100"
}

@test "nothing is left" {
    nothing_left
}
