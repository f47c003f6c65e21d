# shellcheck shell=bash disable=SC2034 # the names are for the files that load this one
# What the engines' tests share; loaded by each .bats file.

IMAGE=localhost/busybox:latest
# An image whose program only waits: the infra container of pods.
PAUSE=localhost/pause:latest

# Whom the engine asks for cgroups: cgroupfs or systemd.
MANAGER=${MANAGER:-cgroupfs}

# The cgroup below which an engine is told to work, so that what it leaves can be found. Who is not
# root has only his own to make others in.
case $MANAGER:$EUID in
    systemd:*) PARENT=kan-engines-$TOKEN.slice ;;
    *:0) PARENT=/kan-engines-$TOKEN ;;
    *) PARENT=${DELEGATED:?}/kan-engines-$TOKEN ;;
esac

# Where runtimes and podman keep what lives until the next boot.
RUN=/run
((EUID == 0)) || RUN=${XDG_RUNTIME_DIR:?}

# Fails with what was expected and what came.
expect() { # WHAT GOT WANT
    [[ $2 == "$3" ]] || {
        printf '%s: got %q, want %q\n' "$1" "$2" "$3"
        return 1
    }
}

# Fails unless a text contains another.
expect_in() { # WHAT TEXT PART
    [[ $2 == *"$3"* ]] || {
        printf '%s: %q is not in %q\n' "$1" "$3" "$2"
        return 1
    }
}

# Repeats a command until it succeeds, for what an engine does in its own time: up to 10 seconds.
eventually() { # COMMAND…
    local _
    for _ in {1..100}; do
        if "$@"; then
            return 0
        fi
        sleep 0.1
    done
    echo "never came true: $*"
    return 1
}

is_kan() { [[ ${RUNTIME##*/} == kan* ]]; }

# A file of a process's cgroup: of version 1's controller, or of version 2 where it is alone.
cgroup_value() { # PID CONTROLLER V1-FILE V2-FILE
    local path
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        path=$(sed -n 's/^0:://p' "/proc/$1/cgroup")
        cat "/sys/fs/cgroup$path/$4"
    else
        path=$(awk -F: -v c="$2" '{ n = split($2, l, ","); for (i = 1; i <= n; i++) if (l[i] == c) print $3 }' "/proc/$1/cgroup")
        cat "/sys/fs/cgroup/$2$path/$3"
    fi
}

# After the last container: neither its cgroup nor the runtime's memory of it. A pattern says which
# cgroups are containers', where the engine leaves some of its own.
nothing_left() { # [NAME-PATTERN]
    local left
    left=$(find /sys/fs/cgroup -type d -path "*$PARENT/*" -name "${1:-*}" 2>/dev/null || true)
    expect cgroups "$left" ""
    left=$(find "$RUN/kan" "$RUN/runc" -mindepth 1 2>/dev/null || true)
    expect state "$left" ""
}

# Starts a daemon that must not outlive the tests, nor hold descriptors of bats, which would wait for
# it; ends with the pid in DAEMON.
start_daemon() { # LOG COMMAND…
    local log=$1
    shift
    (
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            ((fd < 3)) || eval "exec $fd>&-"
        done
        exec "$@" </dev/null >"$log" 2>&1
    ) &
    export DAEMON=$!
}
