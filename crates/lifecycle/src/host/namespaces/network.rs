//! A network namespace for a container, made while its init is at work.

use crate::Result;
use crate::error::during;
use crate::host::Host;
use crate::os::privilege::is_in_first_user_namespace;
use kan_op::Sync;
use kan_sys::fd::OwnedFd;
use kan_sys::file::{self, O_RDONLY};
use kan_sys::namespace::{self, CLONE_NEWNET};
use kan_sys::{Errno, io, socket};

impl Host<'_> {
    /// Makes one, which belongs to kan's user namespace, and hands it to init; or lets init make it,
    /// where kan could not come back, since its own belongs to a user namespace further up. kan is in
    /// the new one for that moment alone, and brings `lo` up while init goes on.
    pub(crate) fn make_network(&mut self) -> Result<()> {
        let own = open()?;
        if !is_in_first_user_namespace() && namespace::setns(&own, CLONE_NEWNET).is_err() {
            return self.tell(Sync::NetworkMade);
        }
        namespace::unshare(CLONE_NEWNET).map_err(during("create a network namespace"))?;
        let handed = open().and_then(|made| self.hand_over(made));
        let is_up = handed.and_then(|()| raise_loopback());
        go_back(&own)?;
        // kan is in it as long as it lives.
        io::keep(own);
        is_up
    }

    fn hand_over(&mut self, made: OwnedFd) -> Result<()> {
        match socket::send_descriptor(&self.channel, c"network-made", made) {
            // Init has ended.
            Err(error) if matches!(error.errno, Errno::EPIPE | Errno::ECONNRESET) => {
                Err(self.init_error())
            }
            other => other.map_err(during("hand over the network namespace")),
        }
    }
}

/// A kan without CAP_NET_ADMIN leaves it as it is.
fn raise_loopback() -> Result<()> {
    match socket::raise_loopback() {
        Err(error) if error.errno == Errno::EPERM => Ok(()),
        other => other.map_err(during("bring lo up")),
    }
}

/// From a network namespace that kan was in for a moment to its own.
pub(crate) fn go_back(own: &OwnedFd) -> Result<()> {
    namespace::setns(own, CLONE_NEWNET).map_err(during("go back to kan's network namespace"))
}

/// unshare(2) and setns(2) are about one thread, and kan has no other. (What /proc has of a thread
/// would be there for this alone, which costs the kernel twice as much.)
fn open() -> Result<OwnedFd> {
    let opened = file::open(c"/proc/self/ns/net", O_RDONLY, 0);
    opened.map_err(during("open kan's own network namespace"))
}
