# shellcheck shell=bash
#
# The part vm of conformance/run, which sources this.

# What wants cgroup v2 alone, systemd, newer engines and a user with cgroups of his own: in a machine
# of its own, emulated. All of it, the building of the machine included, gets VM_SECONDS, of which the
# runs in the machine have half at least: kan first, in the suite and under the engines, then the
# runtimes that the suite was made with. On a slow machine it gets less: as much as leaves the parts
# after it VM_LEAVES seconds.
VM_SECONDS=600
VM_LEAVES=1100
VM_PROGRAMS=(debootstrap:debootstrap qemu-system-x86_64:qemu-system-x86 cpio:cpio xz:xz-utils
    depmod:kmod mkfs.ext4:e2fsprogs ssh-keygen:openssh-client)

part_vm() {
    local why begin=$SECONDS left=$((DEADLINE - SECONDS - VM_LEAVES))
    ((left > VM_SECONDS)) || VM_SECONDS=$((left > 0 ? left : 0))
    if ((VM_SECONDS < 180)); then
        record skipped vm "all" "no time left for it: $begin seconds are over"
    elif why=$(make_vm); then
        run_in_vm $((VM_SECONDS - (SECONDS - begin)))
    else
        record skipped vm "all" "$why"
    fi
}

# Prints why there can be no machine.
make_vm() {
    local log="$OUT/vm-build.log"
    is_root || { echo "needs root" && return 1; }
    [[ $(dpkg --print-architecture 2>/dev/null) == amd64 ]] ||
        { echo "needs Debian on amd64" && return 1; }
    vm_packages >>"$log" 2>&1 || { echo "its packages cannot be installed: $log" && return 1; }
    export VMDIR=${VMDIR:-${OUT%/conformance}/kan-vm}
    [[ -e $VMDIR/disk.img ]] && return
    echo "   building the machine" >&2
    limited $((VM_SECONDS * 3 / 4)) "$log" conformance/vm/build ||
        { echo "it cannot be built: $(tail -n 1 "$log") ($log)" && return 1; }
}

# qemu's parts are of one version: where an image tool from elsewhere is installed, it follows.
vm_packages() {
    local missing=() entry version
    for entry in "${VM_PROGRAMS[@]}"; do
        command -v "${entry%%:*}" || [[ -x /usr/sbin/${entry%%:*} ]] || missing+=("${entry##*:}")
    done
    ((${#missing[@]} > 0)) || return 0
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    if ! apt-get install -y --no-install-recommends --no-remove "${missing[@]}"; then
        version=$(apt-cache policy qemu-system-x86 | awk '$1 == "Candidate:" { print $2 }')
        apt-get install -y --no-install-recommends --allow-downgrades "${missing[@]}" \
            "qemu-utils=$version"
    fi
}

run_in_vm() { # SECONDS
    local share="$OUT/vm" log="$OUT/vm.log" seconds=$1 name status before
    ((seconds >= VM_SECONDS / 2)) || seconds=$((VM_SECONDS / 2))
    export VMDIR=${VMDIR:-${OUT%/conformance}/kan-vm}
    mkdir -p "$share"
    for name in kan kan-conformance-suite kan-conformance-probe; do
        cp "$(program "$name" "$name")" "$share/" || {
            record failed vm "$name" "was not built"
            return
        }
    done
    rm -rf "$share/engines.d"
    cp -r conformance/engines "$share/engines.d"
    cp conformance/vm/{test,engines,systemd.bats} "$share/"
    conformance/engines/make-image "$share" >>"$log" 2>&1
    limited $((seconds + 30)) "$log" \
        conformance/vm/run -s "$share" -t "$seconds" ./test kan runc crun
    status=$?
    before=$(count failed)
    # Runs that there was no time for are no failures, tests that failed are.
    for log in "$share"/*.{log,tap}; do
        [[ -e $log ]] || continue
        name=${log##*/}
        case $name in
            *.log) read_tests "vm-${name%.log}" "$log" 0 1 ;;
            *) read_tap "vm-${name%.tap}" "$log" 0 ;;
        esac
    done
    case $status in
        0) ;;
        1) (($(count failed) > before)) || record failed vm "the run itself" "exit status 1: $OUT/vm.log" ;;
        124) record skipped vm "the rest" "no time left after $seconds s" ;;
        *) record failed vm "the machine" "exit status $status: $OUT/vm.log" ;;
    esac
    require_some vm-kan
}
