#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2086 # scripts in single quotes; images are one word
# containerd as Kubernetes drives it: the Container Runtime Interface, with the runtime as a handler
# of its own (a RuntimeClass). What has the tag `vm` runs in the test machine, too.

bats_require_minimum_version 1.5.0
load stage

setup_file() {
    export CRI_STUBS=$STAGE/tmp
    protoc -I "$ENGINES" --python_out="$CRI_STUBS" "$ENGINES/cri.proto"
    # The nodes' network is a bridge in the stage's own network namespace.
    cat >/etc/cni/net.d/10-stage.conflist <<JSON
{"cniVersion": "0.4.0", "name": "stage", "plugins": [
 {"type": "bridge", "bridge": "cri0", "isGateway": true, "ipMasq": false,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/24"}]]}}]}
JSON
    "config_$(config_version)" >"$STAGE/containerd.toml"
    start_daemon "$STAGE/containerd.log" containerd --config "$STAGE/containerd.toml"
    eventually cri Version >/dev/null 2>&1 || {
        cat "$STAGE/containerd.log"
        return 1
    }
    ctr -n k8s.io images import "$STAGE/image.tar"
}

# Of containerd's configuration: what this containerd writes itself, or CONFIG_VERSION.
config_version() {
    echo "${CONFIG_VERSION:-$(containerd config default | sed -n 's/^version = //p')}"
}

config_1() {
    cat <<CONF
root = "$STAGE/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["opt"]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins.cri]
sandbox_image = "$PAUSE"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins.cri.cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/etc/cni/net.d"
[plugins.cri.containerd]
default_runtime_name = "tested"
[plugins.cri.containerd.runtimes.tested]
runtime_type = "io.containerd.runc.v2"
[plugins.cri.containerd.runtimes.tested.options]
BinaryName = "$RUNTIME"
CONF
}

config_2() {
    # One plugin under a longer name.
    echo "version = 2"
    config_1 | sed 's/^\[plugins[.]cri/[plugins."io.containerd.grpc.v1.cri"/; s/"opt"/"io.containerd.internal.v1.opt"/'
}

config_3() {
    cat <<CONF
version = 3
root = "$STAGE/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "$PAUSE"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "tested"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.tested]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.tested.options]
BinaryName = "$RUNTIME"
CONF
}

teardown_file() { kill "$DAEMON"; }

teardown() {
    local pod
    for pod in $(cri ListPodSandbox | jq -r '.items[]?.id'); do
        cri StopPodSandbox "{\"pod_sandbox_id\": \"$pod\"}" >/dev/null || true
        cri RemovePodSandbox "{\"pod_sandbox_id\": \"$pod\"}" >/dev/null || true
    done
}

cri() { "$ENGINES/cri" "$@"; }

# A pod; its id in POD, its config in SANDBOX. The second argument is merged into the config.
pod() { # NAME [JSON]
    SANDBOX=$(jq -n --arg name "$1" --arg parent "$PARENT" --arg logs "$STAGE/tmp/logs-$1" \
        --argjson more "${2:-"{}"}" '{
        metadata: {name: $name, uid: $name, namespace: "default"}, hostname: $name,
        log_directory: $logs, linux: {cgroup_parent: $parent}
    } * $more')
    mkdir -p "$STAGE/tmp/logs-$1"
    POD=$(cri RunPodSandbox "{\"config\": $SANDBOX, \"runtime_handler\": \"tested\"}" | jq -r .pod_sandbox_id)
}

# Words as a JSON list.
list() { jq -n '$ARGS.positional' --args -- "$@"; }

# A container in POD; its id in CONTAINER.
create() { # NAME JSON COMMAND…
    local name=$1 more=$2
    shift 2
    CONTAINER=$(cri CreateContainer "$(jq -n --arg pod "$POD" --argjson sandbox "$SANDBOX" --arg name "$name" \
        --arg image "$IMAGE" --argjson more "$more" --argjson command "$(list "$@")" '{
        pod_sandbox_id: $pod, sandbox_config: $sandbox,
        config: ({metadata: {name: $name}, image: {image: $image}, log_path: "\($name).log",
                  command: $command} * $more)
    }')" | jq -r .container_id)
    [[ -n $CONTAINER ]]
}

start() { # NAME JSON COMMAND…
    create "$@"
    cri StartContainer "{\"container_id\": \"$CONTAINER\"}" >/dev/null
}

status() { cri ContainerStatus "{\"container_id\": \"$CONTAINER\"}" | jq -r "${1:-.status.state // \"CONTAINER_CREATED\"}"; }

inside() {
    cri ExecSync "$(jq -n --arg id "$CONTAINER" --argjson command "$(list "$@")" '{container_id: $id, cmd: $command, timeout: 20}')"
}

said() { inside "$@" | jq -r '.stdout // "" | @base64d'; }

pid_of_container() {
    cri ContainerStatus "{\"container_id\": \"$CONTAINER\", \"verbose\": true}" | jq -r '.info.info | fromjson | .pid'
}

ended() { [[ $(status) == CONTAINER_EXITED ]]; }

# bats test_tags=vm
@test "a pod and its container: run, exec, log, stop, remove" {
    pod life
    start main '{}' sh -c 'echo logged; trap "exit 7" TERM; while :; do sleep 0.1; done'
    expect state "$(status)" CONTAINER_RUNNING
    expect exec "$(said echo hello)" hello
    expect code "$(inside sh -c 'exit 9' | jq .exit_code)" 9
    eventually grep -q "stdout F logged" "$STAGE/tmp/logs-life/main.log"
    expect hostname "$(said hostname)" life
    cri StopContainer "{\"container_id\": \"$CONTAINER\", \"timeout\": 5}" >/dev/null
    expect state "$(status)" CONTAINER_EXITED
    expect code "$(status .status.exit_code)" 7
    cri RemoveContainer "{\"container_id\": \"$CONTAINER\"}" >/dev/null
    run ! cri ContainerStatus "{\"container_id\": \"$CONTAINER\"}"
}

@test "a container's code" {
    pod codes
    start code '{}' sh -c 'exit 42'
    eventually ended
    expect code "$(status .status.exit_code)" 42
}

@test "namespaces are the pod's, but for pid" {
    pod shared
    start one '{"linux": {"security_context": {"namespace_options": {"pid": "CONTAINER"}}}}' sleep 100
    local first second
    first=$(said sh -c 'for n in net ipc uts pid; do readlink /proc/self/ns/$n; done')
    start two '{"linux": {"security_context": {"namespace_options": {"pid": "CONTAINER"}}}}' sleep 100
    second=$(said sh -c 'for n in net ipc uts pid; do readlink /proc/self/ns/$n; done')
    expect shared "$(head -n 3 <<<"$first")" "$(head -n 3 <<<"$second")"
    [[ $(tail -n 1 <<<"$first") != $(tail -n 1 <<<"$second") ]]
}

@test "the pid namespace of the pod, and another container's" {
    pod pids '{"linux": {"security_context": {"namespace_options": {"pid": "POD"}}}}'
    start one '{}' sleep 100
    expect_in "all of the pod" "$(said ps)" "sleep 100000"
    local target=$CONTAINER
    start debug "{\"linux\": {\"security_context\": {\"namespace_options\": {\"pid\": \"TARGET\", \"target_id\": \"$target\"}}}}" sleep 50
    expect_in target "$(said ps)" "sleep 100"
}

@test "the network of the pod, and of the node" {
    pod inner
    start main '{}' sleep 100
    expect_in address "$(said ip addr show eth0)" 10.88.0.
    pod outer '{"hostname": "", "linux": {"security_context": {"namespace_options": {"network": "NODE"}}}}'
    start main '{"linux": {"security_context": {"namespace_options": {"network": "NODE"}}}}' readlink /proc/self/ns/net
    eventually grep -qF "$(readlink /proc/self/ns/net)" "$STAGE/tmp/logs-outer/main.log"
}

@test "resources, and their update" {
    pod limited
    start main '{"linux": {"resources": {"memory_limit_in_bytes": 67108864, "cpu_period": 100000, "cpu_quota": 50000, "cpu_shares": 512, "cpuset_cpus": "0"}}}' sleep 100
    local pid
    pid=$(pid_of_container)
    expect memory "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" 67108864
    expect_in quota "$(cgroup_value "$pid" cpu cpu.cfs_quota_us cpu.max)" 50000
    expect cpuset "$(cgroup_value "$pid" cpuset cpuset.cpus cpuset.cpus)" 0
    cri UpdateContainerResources "{\"container_id\": \"$CONTAINER\", \"linux\": {\"memory_limit_in_bytes\": 134217728, \"cpu_period\": 100000, \"cpu_quota\": 25000}}" >/dev/null
    expect memory "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" 134217728
    expect_in quota "$(cgroup_value "$pid" cpu cpu.cfs_quota_us cpu.max)" 25000
}

@test "out of memory is the reason" {
    pod greedy
    start main '{"linux": {"resources": {"memory_limit_in_bytes": 16777216}}}' sh -c 'x=x; while :; do x=$x$x; done'
    eventually ended
    expect code "$(status .status.exit_code)" 137
}

@test "stats" {
    pod seen
    start main '{}' sh -c 'while :; do :; done'
    sleep 0.3
    local stats
    stats=$(cri ContainerStats "{\"container_id\": \"$CONTAINER\"}")
    (($(jq -r .stats.memory.working_set_bytes.value <<<"$stats") > 0))
    (($(jq -r .stats.cpu.usage_core_nano_seconds.value <<<"$stats") > 0))
}

@test "security context: user, groups, capabilities, read-only, privileged, seccomp" {
    pod secure '{"linux": {"security_context": {"privileged": true}}}'
    start user '{"linux": {"security_context": {"run_as_user": {"value": 1000}, "supplemental_groups": [3000], "no_new_privs": true, "readonly_rootfs": true, "masked_paths": ["/etc/group"]}}}' sleep 100
    expect user "$(said id -u)" 1000
    expect_in groups "$(said id -G)" 3000
    expect no_new_privs "$(said sed -n 's/^NoNewPrivs:\t//p' /proc/self/status)" 1
    expect_in read-only "$(inside touch /tmp/x | jq -r '.stderr | @base64d')" "Read-only"
    expect masked "$(said cat /etc/group)" ""
    start dropped '{"linux": {"security_context": {"capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": ["NET_ADMIN"]}, "seccomp": {"profile_type": "RuntimeDefault"}}}}' sleep 100
    expect capabilities "$(said sed -n 's/^CapEff:\t//p' /proc/self/status)" 0000000000001000
    expect seccomp "$(said sed -n 's/^Seccomp:\t//p' /proc/self/status)" 2
    start privileged '{"linux": {"security_context": {"privileged": true}}}' sleep 100
    expect seccomp "$(said sed -n 's/^Seccomp:\t//p' /proc/self/status)" 0
    said sh -c 'mkdir /m && mount -t tmpfs x /m'
}

@test "mounts, env, working directory, sysctls" {
    pod dressed '{"linux": {"sysctls": {"kernel.msgmax": "4096"}}}'
    mkdir -p "$STAGE/tmp/v"
    mount --bind "$STAGE/tmp/v" "$STAGE/tmp/v"
    mount --make-shared "$STAGE/tmp/v"
    echo kept >"$STAGE/tmp/v/file"
    start main "{\"envs\": [{\"key\": \"A\", \"value\": \"b\"}], \"working_dir\": \"/usr/share\", \"mounts\": [
        {\"container_path\": \"/v\", \"host_path\": \"$STAGE/tmp/v\", \"readonly\": true},
        {\"container_path\": \"/w\", \"host_path\": \"$STAGE/tmp/v\", \"propagation\": \"PROPAGATION_HOST_TO_CONTAINER\"}]}" sleep 100
    expect env "$(said sh -c 'echo $A')" b
    expect cwd "$(said pwd)" /usr/share
    expect mount "$(said cat /v/file)" kept
    expect_in read-only "$(inside touch /v/x | jq -r '.stderr | @base64d')" "Read-only"
    said touch /w/made
    [[ -e $STAGE/tmp/v/made ]]
    expect sysctl "$(said cat /proc/sys/kernel/msgmax)" 4096
}

@test "a terminal" {
    pod terminal
    start main '{"tty": true}' sh -c 'tty; sleep 100'
    eventually grep -q "stdout F /dev/pts/0" "$STAGE/tmp/logs-terminal/main.log"
}

@test "a missing program is named in the runtime's words" {
    pod missing
    create main '{}' nosuch
    run cri StartContainer "{\"container_id\": \"$CONTAINER\"}"
    [[ $status != 0 ]]
    expect_in message "$output" 'executable file not found in $PATH'
    run inside true
    [[ $status != 0 ]]
}

@test "10 pods at once" {
    local pids=() pid i
    for i in {1..10}; do
        (
            pod "many$i"
            start main '{}' sleep 100
            expect exec "$(said echo "$i")" "$i"
        ) &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
}

# bats test_tags=vm
@test "nothing is left" {
    expect pods "$(cri ListPodSandbox | jq -r '.items[]?.id')" ""
    nothing_left
    expect state "$(find /run/containerd/runc -mindepth 2 2>/dev/null)" ""
}
