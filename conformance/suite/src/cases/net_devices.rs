//! config-linux.md, Network Devices: a device of the runtime's network namespace becomes the
//! container's. The runtime is run in a network namespace of its own, in which the devices are
//! made.

use crate::harness::command::Done;
use crate::harness::prelude::*;

const RULE: &str = "config-linux.md, Network Devices (runtime-spec 1.3)";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("net_devices::moved_and_renamed", moved_and_renamed)
            .deviates("runc 1.1", RULE, "can't find device")
            .deviates("crun 1.8", RULE, "can't find device"),
        Case::new("net_devices::addresses_are_kept", addresses_are_kept)
            .deviates("runc 1.1", RULE, "can't find device")
            .deviates("crun 1.8", RULE, "can't find device"),
        Case::new("net_devices::in_a_user_namespace", in_a_user_namespace)
            .deviates("runc 1.1", RULE, "eth7")
            .deviates("crun 1.8", RULE, "eth7"),
        Case::new(
            "net_devices::into_a_joined_namespace",
            into_a_joined_namespace,
        )
        .deviates("runc 1.1", RULE, "can't find device")
        .deviates("crun 1.8", RULE, "can't find device"),
        Case::new("net_devices::missing_is_refused", missing)
            .deviates("runc 1.1", RULE, "exit status: 0")
            .deviates("crun 1.8", RULE, "exit status: 0"),
        Case::new("net_devices::taken_name_is_refused", taken_name)
            .deviates("runc 1.1", RULE, "exit status: 0")
            .deviates("crun 1.8", RULE, "exit status: 0"),
        Case::new("net_devices::host_network_is_refused", host_network)
            .deviates("runc 1.1", RULE, "exit status: 0")
            .deviates("crun 1.8", RULE, "exit status: 0"),
    ]
}

/// Two ends of a cable, one of them with addresses and attributes of its own.
const MAKE: &str = "ip link add left mtu 1400 address 02:00:00:00:00:07 type veth peer name right && \
     ip address add 10.7.0.2/24 dev left && ip address add 10.8.0.2/24 scope link dev left && \
     ip -6 address add fd00:7::2/64 nodad dev left && ip link set left up && ";

/// Runs a bundle where there is a pair of devices.
fn run_with_devices(ctx: &Ctx, bundle: &Bundle, before: &str) -> Result<Done, Fault> {
    let has_ip = ctx
        .command(&["ip", "-V"])
        .run()
        .is_ok_and(|done| done.status.success());
    if !has_ip {
        skip!("no ip (iproute2) in PATH");
    }
    let script = format!("{MAKE}{before} exec \"$0\" \"$@\"");
    let wrap = ["unshare", "-n", "sh", "-c", &script];
    ctx.with_bundle("run", &[], bundle)?.wrapped(&wrap).run()
}

fn bundle_with(ctx: &Ctx, devices: Value, script: &str) -> Result<Bundle, Fault> {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    bundle.set("/linux/netDevices", devices).shell(script);
    Ok(bundle)
}

/// "MUST preserve existing network interface attributes", and be up.
fn moved_and_renamed(ctx: &mut Ctx) -> Outcome {
    for (devices, name) in [
        (json!({"left": {}}), "left"),
        (json!({"left": {"name": "inner0"}}), "inner0"),
    ] {
        let script = format!("busybox ip link show {name} 2>&1");
        let bundle = bundle_with(ctx, devices, &script)?;
        let done = run_with_devices(ctx, &bundle, "")?.ok()?;
        for want in ["mtu 1400", "02:00:00:00:00:07", "UP", name] {
            check!(done.stdout.contains(want), "no {want}: {}", done.stdout);
        }
        std::fs::remove_dir_all(&bundle.dir)?;
    }
    Ok(())
}

/// The permanent ones of global scope; a link's own are the link's.
fn addresses_are_kept(ctx: &mut Ctx) -> Outcome {
    let script = "busybox ip address show eth7 2>&1; busybox ip route 2>&1";
    let bundle = bundle_with(ctx, json!({"left": {"name": "eth7"}}), script)?;
    let done = run_with_devices(ctx, &bundle, "")?.ok()?;
    for want in ["10.7.0.2/24", "fd00:7::2/64", "10.7.0.0/24 dev eth7"] {
        check!(done.stdout.contains(want), "no {want}: {}", done.stdout);
    }
    check!(
        !done.stdout.contains("10.8.0.2"),
        "of link scope: {}",
        done.stdout
    );
    Ok(())
}

fn in_a_user_namespace(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = super::user_namespace::bundle_with_users(ctx)?;
    bundle
        .set(
            "/linux/netDevices",
            json!({"left": {"name": "eth7"}, "right": {}}),
        )
        .set(
            "/linux/sysctl",
            json!({"net.ipv4.conf.eth7.forwarding": "1"}),
        )
        .shell(
            "busybox ip address show eth7 2>&1; busybox ip link show right 2>&1; \
             cat /proc/sys/net/ipv4/conf/eth7/forwarding",
        );
    let done = run_with_devices(ctx, &bundle, "")?.ok()?;
    for want in ["10.7.0.2/24", "right", "\n1\n"] {
        check!(done.stdout.contains(want), "no {want}: {}", done.stdout);
    }
    Ok(())
}

fn into_a_joined_namespace(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with(
        ctx,
        json!({"left": {"name": "eth7"}}),
        "busybox ip address show eth7 2>&1",
    )?;
    let file = ctx.dir.join("joined");
    std::fs::write(&file, "")?;
    let joined = json!({"type": "network", "path": file});
    bundle
        .without_namespace("network")
        .set("/linux/namespaces/-", joined)
        .remove("/linux/sysctl");
    // A file that stands for another namespace, in a mount namespace that goes with it.
    let before = format!(
        "test -n \"$INNER\" || INNER=1 exec unshare -m sh -c 'unshare -n mount --bind \
         /proc/self/ns/net {0}; exec \"$0\" \"$@\"' \"$0\" \"$@\";",
        file.display()
    );
    let done = run_with_devices(ctx, &bundle, &before)?.ok()?;
    check!(
        done.stdout.contains("10.7.0.2/24"),
        "no address: {}",
        done.stdout
    );
    Ok(())
}

fn missing(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with(ctx, json!({"nowhere": {}}), "true")?;
    run_with_devices(ctx, &bundle, "")?.refuses(&["nowhere"])?;
    ctx.expect_nothing_left()
}

fn taken_name(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with(ctx, json!({"left": {"name": "lo"}}), "true")?;
    run_with_devices(ctx, &bundle, "")?.refuses(&["file exists"])?;
    ctx.expect_nothing_left()
}

fn host_network(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with(ctx, json!({"left": {}}), "true")?;
    let own = json!({"type": "network", "path": "/proc/self/ns/net"});
    bundle
        .without_namespace("network")
        .remove("/linux/sysctl")
        .set("/linux/namespaces/-", own);
    run_with_devices(ctx, &bundle, "")?
        .refuses(&["unable to move network devices without a private NET namespace"])?;
    ctx.expect_nothing_left()
}
