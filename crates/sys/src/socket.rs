//! Local sockets: socketpair(2), and descriptors sent over them.

use crate::Result;
use crate::call::{call, owned, raw};
use core::ffi::CStr;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};

const AF_UNIX: u32 = 1;
const SOCK_STREAM: u32 = 1;
const SOCK_SEQPACKET: u32 = 5;
const SOCK_CLOEXEC: u32 = 0o2_000_000;

/// socketpair(2) of AF_UNIX, SOCK_SEQPACKET, close-on-exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(SOCK_SEQPACKET)
}

/// socketpair(2) of AF_UNIX, SOCK_STREAM, close-on-exec.
pub fn stream_pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(SOCK_STREAM)
}

/// A socket to the kernel's rtnetlink(7), in the network namespace that the caller is in.
pub fn route() -> Result<OwnedFd> {
    const AF_NETLINK: u32 = 16;
    const SOCK_RAW: u32 = 3;
    const NETLINK_ROUTE: u32 = 0;
    // SAFETY: plain numbers; the result is ours.
    unsafe { call!(socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE).map(|fd| owned(fd)) }
}

/// ioctl SIOCSIFFLAGS, netdevice(7): brings `lo` up in the network namespace that the caller is in,
/// where the kernel then gives it 127.0.0.1 and ::1. Any socket will do; one of unix(7) is there on
/// every kernel.
pub fn raise_loopback() -> Result<()> {
    use linux_raw_sys::ioctl::SIOCSIFFLAGS;
    const SOCK_DGRAM: u32 = 2;
    const IFF_UP: i16 = 1;
    /// `struct ifreq`.
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: i16,
        rest: [u8; 22],
    }
    let mut name = [0; 16];
    name[..2].copy_from_slice(b"lo");
    let request = Request {
        name,
        flags: IFF_UP,
        rest: [0; 22],
    };
    // SAFETY: plain numbers; the result is ours.
    let socket =
        unsafe { call!(socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0).map(|fd| owned(fd)) }?;
    // SAFETY: the request has the kernel's layout and outlives the call.
    unsafe { call!(ioctl, raw(&socket), SIOCSIFFLAGS, &raw const request).map(drop) }
}

fn socketpair(kind: u32) -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0i32; 2];
    // SAFETY: the array has room for two descriptors; they are ours.
    unsafe {
        call!(socketpair, AF_UNIX, kind | SOCK_CLOEXEC, 0, &raw mut ends)?;
        Ok((owned(ends[0] as usize), owned(ends[1] as usize)))
    }
}

#[repr(C)]
struct Header {
    name: usize,
    name_length: u32,
    parts: *const Part,
    part_count: usize,
    control: *mut Control,
    control_length: usize,
    flags: i32,
}

#[repr(C)]
struct Part {
    base: *mut u8,
    length: usize,
}

/// One SCM_RIGHTS message with one descriptor, padded as cmsg(3) wants it.
#[repr(C)]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    descriptor: i32,
    padding: i32,
}

/// sendmsg(2) of `text` with one descriptor attached (SCM_RIGHTS, unix(7)).
pub fn send_descriptor(over: impl AsFd, text: &CStr, descriptor: impl AsFd) -> Result<()> {
    send_with_descriptor(over, text.to_bytes(), descriptor).map(drop)
}

/// The same: how many bytes were sent, which a socket that does not wait may take only a part of.
pub fn send_with_descriptor(over: impl AsFd, text: &[u8], descriptor: impl AsFd) -> Result<usize> {
    const SOL_SOCKET: i32 = 1;
    const SCM_RIGHTS: i32 = 1;
    const MSG_NOSIGNAL: u32 = 0x4000;
    let part = Part {
        base: text.as_ptr().cast_mut(),
        length: text.len(),
    };
    let mut control = Control {
        length: core::mem::offset_of!(Control, padding),
        level: SOL_SOCKET,
        kind: SCM_RIGHTS,
        descriptor: descriptor.as_fd().as_raw_fd(),
        padding: 0,
    };
    let header = Header {
        name: 0,
        name_length: 0,
        parts: &raw const part,
        part_count: 1,
        control: &raw mut control,
        control_length: size_of::<Control>(),
        flags: 0,
    };
    // SAFETY: the header and all it points at outlive the call and have the kernel's layout.
    unsafe { call!(sendmsg, raw(&over), &raw const header, MSG_NOSIGNAL) }
}

/// recvmsg(2) of a message with one descriptor attached; ENOMSG if there is none. What the
/// message says is dropped.
pub fn receive_descriptor(over: impl AsFd) -> Result<OwnedFd> {
    receive(over)?.1.ok_or(crate::Error {
        call: crate::Sysno::recvmsg,
        errno: crate::Errno::ENOMSG,
    })
}

/// recvmsg(2) of a message that may have one descriptor attached: how many bytes it has, none at the
/// end of file. What it says is dropped.
pub fn receive(over: impl AsFd) -> Result<(usize, Option<OwnedFd>)> {
    const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;
    let mut text = [0u8; 64];
    let part = Part {
        base: text.as_mut_ptr(),
        length: text.len(),
    };
    let mut control = Control {
        length: 0,
        level: 0,
        kind: 0,
        descriptor: -1,
        padding: 0,
    };
    // Without the padding: there a second descriptor would fit, which nobody would close. The
    // kernel installs no more than fit (`scm_max_fds` of Linux's net/core/scm.c).
    let mut header = Header {
        name: 0,
        name_length: 0,
        parts: &raw const part,
        part_count: 1,
        control: &raw mut control,
        control_length: core::mem::offset_of!(Control, padding),
        flags: 0,
    };
    // SAFETY: the header and all it points at are writable, outlive the call and have the
    // kernel's layout.
    let length = unsafe { call!(recvmsg, raw(&over), &raw mut header, MSG_CMSG_CLOEXEC) }?;
    // SAFETY: the kernel made the descriptor for us.
    let received = usize::try_from(control.descriptor).map(|fd| unsafe { owned(fd) });
    Ok((length, received.ok()))
}

/// Whether nobody holds the other end any more: recv(2) with MSG_PEEK sees its end of file.
pub fn peer_is_gone(socket: impl AsFd) -> bool {
    const MSG_PEEK: u32 = 0x2;
    const MSG_DONTWAIT: u32 = 0x40;
    let mut byte = [0u8];
    let (to, flags) = (byte.as_mut_ptr(), MSG_PEEK | MSG_DONTWAIT);
    // SAFETY: the buffer has room for the one byte asked for; no address is wanted.
    unsafe { call!(recvfrom, raw(&socket), to, 1, flags, 0, 0) == Ok(0) }
}
