//! A network namespace for a container, made while its init is at work.

use crate::Result;
use crate::cgroups::is_in_first_user_namespace;
use crate::error::during;
use crate::host::Host;
use kan_op::Sync;
use kan_sys::fd::OwnedFd;
use kan_sys::file::{self, O_RDONLY};
use kan_sys::namespace::{self, CLONE_NEWNET};
use kan_sys::{Errno, io, socket};

impl Host<'_> {
    /// Makes one and hands it to init, or lets init make it.
    pub(crate) fn make_network(&mut self) -> Result<()> {
        let Some(made) = new_namespace()? else {
            return self.tell(Sync::NetworkMade);
        };
        match socket::send_descriptor(&self.channel, c"network-made", made) {
            // Init has ended.
            Err(error) if matches!(error.errno, Errno::EPIPE | Errno::ECONNRESET) => {
                Err(self.init_error())
            }
            other => other.map_err(during("hand over the network namespace")),
        }
    }
}

/// A new namespace, which belongs to kan's user namespace; kan is there for that moment alone.
/// `None` if it could not come back: where its own belongs to a user namespace further up.
fn new_namespace() -> Result<Option<OwnedFd>> {
    let own = open()?;
    if !is_in_first_user_namespace() && namespace::setns(&own, CLONE_NEWNET).is_err() {
        return Ok(None);
    }
    namespace::unshare(CLONE_NEWNET).map_err(during("make a network namespace"))?;
    let made = open();
    go_back(&own)?;
    // kan is in it as long as it lives.
    io::keep(own);
    made.map(Some)
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
