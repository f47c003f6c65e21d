//! rtnetlink(7): as much of it as network devices need to change their namespace.

use crate::error::{during, errno_text};
use crate::{Error, Result};
use kan_sys::fd::{AsRawFd, OwnedFd};
use kan_sys::{io, socket};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const EXCLUSIVE: u16 = 0x200;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;

const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_CACHEINFO: u16 = 6;
const IFA_LABEL: u16 = 3;
const IFA_FLAGS: u16 = 8;
const IFA_F_PERMANENT: u32 = 0x80;
const RT_SCOPE_UNIVERSE: u8 = 0;
const IFF_UP: u32 = 1;

/// `struct nlmsghdr`, `struct ifinfomsg`, `struct ifaddrmsg`: their sizes.
const HEADER: usize = 16;
const LINK: usize = 16;
const ADDRESS: usize = 8;

/// An address that a device keeps: `struct ifaddrmsg` without the index, and the attributes.
#[derive(Debug)]
pub(crate) struct Address {
    head: [u8; 4],
    attributes: Vec<u8>,
}

/// A conversation with the kernel about the devices of one network namespace.
pub(crate) struct Route {
    socket: OwnedFd,
}

impl Route {
    /// About the network namespace that kan is in.
    pub(crate) fn open() -> Result<Self> {
        let socket = socket::route().map_err(during("open a netlink socket"))?;
        Ok(Self { socket })
    }

    /// A device's index.
    pub(crate) fn index(&self, name: &str) -> Result<u32> {
        let mut message = Message::new(RTM_GETLINK, REQUEST);
        message.link(0, 0, 0);
        message.attribute(IFLA_IFNAME, &with_nul(name));
        let mut index = None;
        self.ask(&message, |kind, body| {
            if kind == RTM_NEWLINK {
                index = word(body, 4);
            }
        })?;
        index.ok_or_else(|| Error::Step(format!("no answer about {name}")))
    }

    /// The permanent addresses of global scope.
    pub(crate) fn addresses(&self, index: u32) -> Result<Vec<Address>> {
        let mut message = Message::new(RTM_GETADDR, REQUEST | DUMP);
        message.bytes.extend([0; ADDRESS]);
        let mut all = Vec::new();
        self.ask(&message, |kind, body| {
            if kind == RTM_NEWADDR && word(body, 4) == Some(index) {
                all.extend(address(body));
            }
        })?;
        Ok(all)
    }

    pub(crate) fn set_up(&self, index: u32, up: bool) -> Result<()> {
        let mut message = Message::new(RTM_NEWLINK, REQUEST | ACK);
        message.link(index, u32::from(up), IFF_UP);
        self.ask(&message, |_, _| ())
    }

    /// In one request, so that the name has to be free there alone.
    pub(crate) fn move_to(&self, index: u32, namespace: &OwnedFd, name: &str) -> Result<()> {
        let mut message = Message::new(RTM_NEWLINK, REQUEST | ACK);
        message.link(index, 0, 0);
        message.attribute(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
        message.attribute(IFLA_IFNAME, &with_nul(name));
        self.ask(&message, |_, _| ())
    }

    pub(crate) fn add(&self, index: u32, address: &Address) -> Result<()> {
        let mut message = Message::new(RTM_NEWADDR, REQUEST | ACK | CREATE | EXCLUSIVE);
        message.bytes.extend(address.head);
        message.bytes.extend(index.to_ne_bytes());
        message.bytes.extend(&address.attributes);
        self.ask(&message, |_, _| ())
    }

    /// Sends a request and hands each answer on, until the last one.
    fn ask(&self, message: &Message, mut take: impl FnMut(u16, &[u8])) -> Result<()> {
        io::write(&self.socket, &message.finish()).map_err(during("ask the kernel"))?;
        let is_dump = message.flags & DUMP == DUMP;
        let wants_ack = message.flags & ACK != 0;
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let filled = io::read(&self.socket, &mut buffer).map_err(during("hear the kernel"))?;
            for (kind, body) in Parts::messages(&buffer[..filled]) {
                match kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return result(body),
                    _ => take(kind, body),
                }
            }
            if !is_dump && !wants_ack {
                return Ok(());
            }
        }
    }
}

/// A negative errno, or 0.
fn result(body: &[u8]) -> Result<()> {
    let code = word(body, 0).map_or(0, u32::cast_signed);
    match code {
        0 => Ok(()),
        // The least number has no opposite.
        code => Err(Error::Step(errno_text(code.wrapping_neg()))),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(word))
}

fn with_nul(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// The address of an answer, if it is one to keep. Its label would name the device as it was, and
/// what the kernel counts of it is its own business.
fn address(body: &[u8]) -> Option<Address> {
    let head: [u8; 4] = body.get(..4)?.try_into().ok()?;
    let [_, _, flags, scope] = head;
    let attributes = body.get(ADDRESS..)?;
    let long = Parts::attributes(attributes).find(|(kind, _)| *kind == IFA_FLAGS);
    let flags = long
        .and_then(|(_, value)| word(value, 0))
        .unwrap_or(flags.into());
    if scope != RT_SCOPE_UNIVERSE || flags & IFA_F_PERMANENT == 0 {
        return None;
    }
    let mut kept = Message {
        flags: 0,
        bytes: Vec::new(),
    };
    for (kind, value) in Parts::attributes(attributes) {
        if !matches!(kind, IFA_LABEL | IFA_CACHEINFO | IFA_FLAGS) {
            kept.attribute(kind, value);
        }
    }
    Some(Address {
        head: [head[0], head[1], 0, scope],
        attributes: kept.bytes,
    })
}

/// A request in the making.
struct Message {
    flags: u16,
    bytes: Vec<u8>,
}

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.resize(HEADER, 0);
        Self { flags, bytes }
    }

    /// `struct ifinfomsg`.
    fn link(&mut self, index: u32, flags: u32, change: u32) {
        for word in [0, index, flags, change] {
            self.bytes.extend(word.to_ne_bytes());
        }
        debug_assert_eq!(self.bytes.len(), HEADER + LINK);
    }

    /// Length and kind in front, filled up to a multiple of four.
    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// With its length at the front.
    fn finish(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }
}

/// Messages, or attributes, one after the other: kind and body of each.
struct Parts<'b> {
    rest: &'b [u8],
    is_message: bool,
}

impl<'b> Parts<'b> {
    fn messages(rest: &'b [u8]) -> Self {
        Self {
            rest,
            is_message: true,
        }
    }

    fn attributes(rest: &'b [u8]) -> Self {
        Self {
            rest,
            is_message: false,
        }
    }

    fn half(&self, at: usize) -> Option<u16> {
        let half = self.rest.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_ne_bytes(half))
    }
}

impl<'b> Iterator for Parts<'b> {
    type Item = (u16, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, kind, head) = if self.is_message {
            let length = usize::try_from(word(self.rest, 0)?).ok()?;
            (length, self.half(4)?, HEADER)
        } else {
            (usize::from(self.half(0)?), self.half(2)?, 4)
        };
        let body = self.rest.get(head..length)?;
        let next = length.next_multiple_of(4).min(self.rest.len());
        self.rest = &self.rest[next..];
        Some((kind, body))
    }
}

/// For conformance/fuzz: bytes as messages, as attributes, as an address and as a result.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_every_way(bytes: &[u8]) {
    for (_, body) in Parts::messages(bytes) {
        let _ = (address(body), result(body), word(body, 4));
    }
    let mut length = 0;
    for (_, value) in Parts::attributes(bytes) {
        length += value.len();
    }
    assert!(length <= bytes.len());
    let kept = address(bytes);
    // What is sent back to the kernel: attributes, up to the last.
    if let Some(kept) = kept {
        let sent: usize = Parts::attributes(&kept.attributes)
            .map(|(_, value)| (value.len() + 4).next_multiple_of(4))
            .sum();
        assert_eq!(sent, kept.attributes.len());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn parts_come_back_as_they_were_put() {
        let mut message = Message::new(RTM_NEWADDR, REQUEST);
        message.attribute(1, b"odd");
        message.attribute(2, b"even");
        let bytes = message.finish();
        let (kind, body) = Parts::messages(&bytes).next().unwrap();
        assert_eq!(kind, RTM_NEWADDR);
        let found: Vec<_> = Parts::attributes(body).collect();
        assert_eq!(found, [(1, &b"odd"[..]), (2, b"even")]);
    }

    #[test]
    fn what_is_cut_off_ends_the_list() {
        let mut message = Message::new(RTM_NEWADDR, REQUEST);
        message.attribute(1, b"value");
        let bytes = message.finish();
        for end in 0..bytes.len() {
            let whole = Parts::messages(&bytes[..end]).count();
            assert_eq!(whole, 0, "{end}");
        }
        assert_eq!(Parts::attributes(&[3, 0, 1, 0]).count(), 0);
    }

    #[test]
    fn only_permanent_global_addresses_are_kept() {
        let body = |flags: u8, scope: u8, long: Option<u32>| {
            let mut message = Message {
                flags: 0,
                bytes: vec![2, 24, flags, scope, 7, 0, 0, 0],
            };
            message.attribute(IFA_LABEL, b"eth0");
            if let Some(long) = long {
                message.attribute(IFA_FLAGS, &long.to_ne_bytes());
            }
            message.attribute(2, &[10, 0, 0, 1]);
            message.bytes
        };
        let kept = address(&body(0x80, 0, None)).unwrap();
        assert_eq!(kept.head, [2, 24, 0, 0]);
        let attributes: Vec<_> = Parts::attributes(&kept.attributes).collect();
        assert_eq!(attributes, [(2, &[10, 0, 0, 1][..])]);
        assert!(address(&body(0, 0, Some(0x280))).is_some());
        assert!(address(&body(0x80, 0, Some(0x200))).is_none());
        assert!(address(&body(0x80, 253, None)).is_none());
    }
}
