//! `linux.netDevices`: config-linux.md, Network Devices.

use crate::builder::Builder;
use kan_op::{HostStep, InitStep, Sync};
use kan_spec::config::NamespaceType;

const FIELD: &str = "linux.netDevices";

/// Host: moves each device while init waits, whose sysctls may be about them.
pub(crate) fn move_all(b: &mut Builder<'_>) {
    let devices = b.linux().map_or(&[][..], |linux| &linux.net_devices);
    if devices.is_empty() {
        return;
    }
    let namespace = b.config.namespace(NamespaceType::Network);
    let namespace = namespace.and_then(|namespace| namespace.path.clone());
    for (name, device) in devices {
        let step = HostStep::MoveNetDevice {
            name: name.clone(),
            new_name: device.name.clone().unwrap_or_else(|| name.clone()),
            namespace: namespace.clone(),
        };
        b.host(format!("{FIELD}.{name}"), step);
    }
    b.host("", HostStep::Tell(Sync::DevicesMoved));
}

/// Init: see [`move_all`].
pub(crate) fn wait(b: &mut Builder<'_>) {
    if b.linux().is_some_and(|linux| !linux.net_devices.is_empty()) {
        b.init(FIELD, InitStep::Wait(Sync::DevicesMoved));
    }
}
