//! `linux.netDevices`: a device of kan's network namespace becomes the container's.

use crate::error::during;
use crate::host::namespaces::network::go_back;
use crate::os::netlink::Route;
use crate::{Error, Result};
use kan_sys::fd::OwnedFd;
use kan_sys::file::{self, O_RDONLY};
use kan_sys::namespace::{self, CLONE_NEWNET};
use std::ffi::CString;

/// The namespace by its file.
pub(crate) fn move_device(name: &str, new_name: &str, path: &str) -> Result<()> {
    let target = open(path)?;
    let own = open("/proc/self/ns/net")?;
    let same = file::is_same(&target, &own).map_err(during("look at the network namespace"))?;
    if same {
        return Err(Error::Step(HOSTS.into()));
    }
    let here = Route::open()?;
    let index = in_step(&format!("find {name}"), here.index(name))?;
    // Addresses of version 6 go when the device goes down.
    let addresses = in_step("list its addresses", here.addresses(index))?;
    in_step("take it down", here.set_up(index, false))?;
    in_step(
        &format!("move it, as {new_name}"),
        here.move_to(index, &target, new_name),
    )?;
    let there = route_in(&target, &own)?;
    // The index may belong to another device there, and this one has got a new one.
    let index = in_step(
        &format!("find {new_name} in the container"),
        there.index(new_name),
    )?;
    for address in &addresses {
        in_step("give it an address", there.add(index, address))?;
    }
    in_step("take it up", there.set_up(index, true))
}

/// Why a device can't be moved, as far as that can be seen beforehand. `path` is the network namespace's
/// file, `None` for a new one.
pub(crate) fn obstacle(name: &str, new_name: &str, path: Option<&str>) -> Option<String> {
    let found = Route::open().and_then(|here| here.index(name));
    if let Err(error) = found {
        return Some(format!("find {name}: {error}"));
    }
    let same = match path {
        Some(path) => {
            let both = open(path).and_then(|target| Ok((target, open("/proc/self/ns/net")?)));
            both.is_ok_and(|(target, own)| file::is_same(&target, &own).unwrap_or(false))
        }
        None => false,
    };
    if same {
        return Some(HOSTS.into());
    }
    // A new network namespace has one device.
    (path.is_none() && new_name == "lo").then(|| "lo: file exists".into())
}

const HOSTS: &str = "unable to move network devices without a private NET namespace";

fn open(path: &str) -> Result<OwnedFd> {
    let nul = |_| Error::Step(format!("{path}: contains a NUL character"));
    let path = CString::new(path).map_err(nul)?;
    file::open(&path, O_RDONLY, 0).map_err(during("open the network namespace"))
}

/// A socket belongs to the namespace in which it was made; kan is there for that moment alone.
fn route_in(target: &OwnedFd, own: &OwnedFd) -> Result<Route> {
    namespace::setns(target, CLONE_NEWNET).map_err(during("enter the network namespace"))?;
    let route = Route::open();
    go_back(own)?;
    route
}

fn in_step<T>(what: &str, done: Result<T>) -> Result<T> {
    done.map_err(|error| Error::Step(format!("{what}: {error}")))
}
