#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2086 # scripts in single quotes; images are one word
# The runtime inside a container of podman's: with all rights, with those that it wants, and without.

bats_require_minimum_version 1.5.0
load stage
load podman
load nested

setup() {
    is_kan || skip "Debian's runc is no static program"
    inner_bundle
}

# kan in a container; options of podman's come first, then `--`, then kan's.
outer() { # FLAG… -- FLAG…
    local flags=()
    while [[ $1 != -- ]]; do
        flags+=("$1")
        shift
    done
    shift
    prun --rm "${flags[@]}" -v "$RUNTIME:/kan:ro" -v "$STAGE/tmp/inner:/b" $IMAGE /kan "$@" run --bundle /b inner
}

@test "privileged" {
    expect said "$(outer --privileged --)" "from the inside"
}

@test "not privileged, with CAP_SYS_ADMIN and an unmasked /proc" {
    expect said "$(outer --cap-add sys_admin,net_admin --security-opt unmask=all -- --cgroup-manager disabled)" "from the inside"
}

# podman's own profile denies it to set a name, and a new /proc must not show what the old one masks.
@test "without any more rights, in a user namespace: where /proc is not masked" {
    inner_bundle --rootless
    run ! outer --security-opt unmask=all -- --cgroup-manager disabled
    expect_in message "$output" "sethostname: operation not permitted (the outer container lacks CAP_SYS_ADMIN or"
    jq 'del(.hostname)' "$STAGE/tmp/inner/config.json" >"$STAGE/tmp/inner/config.new"
    mv "$STAGE/tmp/inner/config.new" "$STAGE/tmp/inner/config.json"
    run ! outer -- --cgroup-manager disabled
    expect_in message "$output" "masks paths of /proc"
    expect said "$(outer --security-opt unmask=all -- --cgroup-manager disabled)" "from the inside"
}

# With the answers of old profiles and of newer ones.
@test "a filter denies a call: the message names it and says what to do" {
    local call answer
    for answer in 38 1; do
        for call in clone3 openat2 open_tree fsopen fsconfig fsmount move_mount mount_setattr; do
            # Masks may be the reason for this answer, too.
            [[ $call:$answer != fsmount:1 ]] || continue
            printf '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["%s"], "action": "SCMP_ACT_ERRNO", "errnoRet": %s}]}' \
                $call $answer >"$STAGE/tmp/filter.json"
            run ! outer --cap-add all --security-opt "seccomp=$STAGE/tmp/filter.json" --security-opt unmask=all -- \
                --cgroup-manager disabled
            expect_in "without $call" "$output" "the seccomp profile of the outer container denies $call: allow it there"
        done
    done
}

@test "a filter hides a call: doctor names it" {
    local call
    for call in clone3 openat2 fsopen mount_setattr; do
        printf '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["%s"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}' \
            $call >"$STAGE/tmp/filter.json"
        run ! prun --rm --cap-add all --security-opt "seccomp=$STAGE/tmp/filter.json" -v "$RUNTIME:/kan:ro" $IMAGE /kan doctor
        expect_in "without $call" "$output" "missing: $call ("
    done
}

@test "nothing is left" {
    nothing_left "libpod-[0-9a-f]*"
}
