# shellcheck shell=bash
# What the cases that drive podman share: a podman with a configuration and stores of its own.

# The names of podman's files; PODMAN_CONF is for the cases. Where systemd starts a podman of its own,
# as for healthchecks, they must be where every podman looks.
configuration_files() {
    local folder
    if [[ -z ${NO_STAGE:-} ]]; then
        export CONTAINERS_CONF=$STAGE/containers.conf CONTAINERS_STORAGE_CONF=$STAGE/storage.conf
        export PODMAN_CONF=$CONTAINERS_CONF
        return
    elif ((EUID == 0)); then
        folder=/etc/containers
    else
        folder=$HOME/.config/containers
    fi
    mkdir -p "$folder"
    CONTAINERS_CONF=$folder/containers.conf CONTAINERS_STORAGE_CONF=$folder/storage.conf
    export PODMAN_CONF=$CONTAINERS_CONF
}

setup_file() {
    configuration_files
    local processes
    processes=$(ulimit -Hu)
    [[ $processes != unlimited ]] || processes=32768
    mkdir -p "$STAGE/hooks"
    cat >"$CONTAINERS_CONF" <<CONF
[containers]
# The stage has no CAP_SYS_RESOURCE: limits above kan's own can't be set.
default_ulimits = ["nofile=20000:20000", "nproc=$processes:$processes"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "$MANAGER"
events_logger = "file"
runtime = "tested"
runtime_supports_json = ["tested"]
runtime_supports_nocgroup = ["tested"]
hooks_dir = ["$STAGE/hooks"]
[engine.runtimes]
tested = ["$RUNTIME"]
[network]
network_backend = "netavark"
CONF
    # Of the last two, the second rules for whoever is not root.
    printf '[storage]\ndriver = "overlay"\nrunroot = "%s"\ngraphroot = "%s"\nrootless_storage_path = "%s"\n' \
        "$RUN/containers/storage" "$STAGE"/lib/containers/{storage,storage} >"$CONTAINERS_STORAGE_CONF"
    podman load -q -i "$STAGE/image.tar"
}

# podman is asked only where there is something: in the test machine each question costs a second.
teardown() {
    local store=$STAGE/lib/containers/storage
    if grep -q '"id"' "$store/overlay-containers/containers.json"; then
        podman rm -af -t 0 >/dev/null 2>&1 || true
        podman pod rm -af >/dev/null 2>&1 || true
    fi
    if [[ -n $(ls "$store/volumes" 2>/dev/null) ]]; then
        podman volume rm -af >/dev/null 2>&1 || true
    fi
}

# run, with the stage's cgroup and without a network unless one is named.
prun() { podman run --cgroup-parent "$PARENT" --net none "$@"; }
