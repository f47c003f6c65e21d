#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2086 # scripts in single quotes; images are one word
# podman's networks in the stage's own network namespace, by either of podman's two ways, and services
# that share as those of a compose file do.

bats_require_minimum_version 1.5.0
load stage
load podman

# A container with a network.
on() { # NETWORK ARGUMENT…
    podman run --cgroup-parent "$PARENT" --net "$@"
}

# Serves a word over HTTP.
SERVE='mkdir -p /w && echo $WORD >/w/index.html && exec httpd -f -p 80 -h /w'

# Asks until the server is up.
answers() { # URL WORD
    eventually sh -c "busybox wget -qO- $1 2>/dev/null | grep -qx $2"
}

asks() { # CONTAINER HOST
    podman exec "$1" timeout 5 wget -qO- "http://$2/"
}

teardown_file() {
    podman network prune -f >/dev/null
}

@test "two networks: names, aliases, connect and disconnect" {
    podman network create --subnet 10.91.1.0/24 front
    podman network create --subnet 10.91.2.0/24 back
    on back -d --name base --network-alias data -e WORD=kept $IMAGE sh -c "$SERVE"
    on front,back -d --name site $IMAGE sleep 100
    expect_in addresses "$(podman exec site ip -o addr)" "10.91.1."
    expect_in addresses "$(podman exec site ip -o addr)" "10.91.2."
    eventually sh -c 'podman exec site wget -qO- http://base/ | grep -q kept'
    expect alias "$(asks site data)" kept
    on front -d --name stranger $IMAGE sleep 100
    run ! asks stranger base
    podman network connect back stranger
    expect "by name" "$(asks stranger base)" kept
    podman network disconnect back stranger
    run ! asks stranger base
}

@test "ports: of an address, a range, as the image's" {
    podman network create --subnet 10.91.3.0/24 ports
    on ports -d --name bound -p 127.0.0.1:18081:80 -e WORD=bound $IMAGE sh -c "$SERVE"
    on ports -d --name ranged -p 18082-18083:80-81 -e WORD=ranged $IMAGE sh -c "$SERVE"
    answers http://127.0.0.1:18081/ bound
    answers http://127.0.0.1:18082/ ranged
    expect port "$(podman port bound)" "80/tcp -> 127.0.0.1:18081"
    run ! timeout 2 busybox wget -qO- "http://$(podman inspect -f '{{.NetworkSettings.Networks.ports.Gateway}}' bound):18081/"
    podman restart -t 0 bound
    answers http://127.0.0.1:18081/ bound
}

@test "an address, a MAC address, names in /etc/hosts and a resolver of one's own" {
    podman network create --subnet 10.91.4.0/24 fixed
    run on fixed --rm --ip 10.91.4.77 --mac-address 92:d0:c6:0a:29:33 --add-host other:10.9.8.7 --dns 10.9.8.6 $IMAGE \
        sh -c 'ip addr show eth0; cat /etc/hosts /etc/resolv.conf'
    expect_in address "$output" "inet 10.91.4.77/24"
    expect_in mac "$output" "92:d0:c6:0a:29:33"
    expect_in hosts "$output" "10.9.8.7"
    expect_in resolver "$output" "10.9.8.6"
}

@test "services share a network, processes, IPC and volumes, as in a compose file" {
    podman network create --subnet 10.91.5.0/24 project
    on project -d --name web --ipc shareable -p 18084:80 -v content:/w -e WORD=unused $IMAGE httpd -f -p 80 -h /w
    # volumes_from, and a volume by its name.
    prun --rm --volumes-from web $IMAGE sh -c 'echo shared >/w/index.html'
    prun --rm -v content:/other:ro $IMAGE grep -q shared /other/index.html
    answers http://127.0.0.1:18084/ shared
    # network_mode, pid and ipc: service:web
    on container:web -d --name helper --pid container:web --ipc container:web $IMAGE sleep 100
    expect "by localhost" "$(asks helper 127.0.0.1)" shared
    expect_in processes "$(podman exec helper ps)" "httpd -f"
    for kind in net pid ipc; do
        expect $kind "$(podman exec helper readlink /proc/self/ns/$kind)" "$(podman exec web readlink /proc/self/ns/$kind)"
    done
    # depends_on
    podman rm -f -t 0 helper
    podman create --cgroup-parent "$PARENT" --net none --requires web --name after $IMAGE sleep 100
    podman stop -t 0 web
    podman start after
    expect state "$(podman inspect -f '{{.State.Status}}' web)" running
}

@test "CNI: addresses and ports" {
    [[ -x /usr/lib/cni/portmap ]] || skip "CNI's plugins are not installed"
    sed 's/network_backend = .*/network_backend = "cni"/' "$CONTAINERS_CONF" >"$STAGE/cni.conf"
    cat >/etc/cni/net.d/90-cni.conflist <<JSON
{"cniVersion": "0.4.0", "name": "plain", "plugins": [
 {"type": "bridge", "bridge": "cni-plain", "isGateway": true, "ipMasq": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": "10.91.6.0/24"}]]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}, {"type": "firewall"}, {"type": "tuning"}]}
JSON
    export CONTAINERS_CONF=$STAGE/cni.conf
    on plain -d --name plain -p 18085:80 -e WORD=cni $IMAGE sh -c "$SERVE"
    local address
    address=$(podman inspect -f '{{.NetworkSettings.Networks.plain.IPAddress}}' plain)
    expect_in address "$address" 10.91.6.
    answers "http://$address/" cni
    answers "http://$address:80/" cni
    answers http://127.0.0.1:18085/ cni
    podman rm -f -t 0 plain
    run ! timeout 2 busybox wget -qO- http://127.0.0.1:18085/
}

@test "nothing is left" {
    nothing_left "libpod-[0-9a-f]*"
    expect namespaces "$(find /run/netns -mindepth 1 2>/dev/null)" ""
}
