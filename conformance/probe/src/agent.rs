//! A seccomp agent, for containers that are told to ask one: seccomp_unotify(2).
#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

/// `SECCOMP_IOCTL_NOTIF_RECV` and `_SEND` of linux/seccomp.h.
const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`: let the call go on.
const CONTINUE: u32 = 1;
/// What no file system answers to mkdir(2).
const ANSWER: i32 = libc::ENOMEDIUM;

/// Listens at `socket`, adds each message to `file` as a line, and answers every call that it is
/// asked about: making a directory fails with ENOMEDIUM, all else goes on. Never ends.
pub fn serve(socket: &str, file: &str) -> Result<i32, String> {
    let told = |e: io::Error| format!("{socket}: {e}");
    let listening = UnixListener::bind(socket).map_err(told)?;
    println!("ready");
    let _ = io::stdout().flush();
    loop {
        let (stream, _) = listening.accept().map_err(told)?;
        let (text, listener) = receive(&stream).map_err(told)?;
        let mut log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .map_err(|e| format!("{file}: {e}"))?;
        writeln!(log, "{text}").map_err(|e| format!("{file}: {e}"))?;
        std::thread::spawn(move || while answer(&listener).is_ok() {});
    }
}

/// recvmsg(2) of a text with a descriptor.
fn receive(stream: &UnixStream) -> io::Result<(String, OwnedFd)> {
    let (mut text, mut control) = ([0u8; 8192], [0u64; 8]);
    let mut part = libc::iovec {
        iov_base: text.as_mut_ptr().cast(),
        iov_len: text.len(),
    };
    // SAFETY: all zero is a valid msghdr; its pointers are set to live buffers of these sizes, and
    // the control data is read only where the kernel says that a descriptor is there.
    unsafe {
        let mut header: libc::msghdr = zeroed();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of::<[u64; 8]>();
        let length = libc::recvmsg(stream.as_raw_fd(), &raw mut header, 0);
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        if first.is_null() || (*first).cmsg_type != libc::SCM_RIGHTS {
            return Err(io::Error::other("a message without a descriptor"));
        }
        let number: i32 = libc::CMSG_DATA(first).cast::<i32>().read_unaligned();
        let text = String::from_utf8_lossy(&text[..length]).into_owned();
        Ok((text, OwnedFd::from_raw_fd(number)))
    }
}

/// Answers one call; fails once nobody is left who could make any.
fn answer(listener: &OwnedFd) -> io::Result<()> {
    // SAFETY: all zero is what the kernel wants to find, and both buffers have its sizes.
    unsafe {
        let mut asked: libc::seccomp_notif = zeroed();
        if libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut asked) < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut reply: libc::seccomp_notif_resp = zeroed();
        reply.id = asked.id;
        let number = libc::c_long::from(asked.data.nr);
        if number == libc::SYS_mkdirat || is_mkdir(number) {
            reply.error = -ANSWER;
        } else {
            reply.flags = CONTINUE;
        }
        // The caller may have died meanwhile.
        let _ = libc::ioctl(listener.as_raw_fd(), SEND, &raw mut reply);
    }
    Ok(())
}

#[cfg(target_arch = "x86_64")]
const fn is_mkdir(number: libc::c_long) -> bool {
    number == libc::SYS_mkdir
}

#[cfg(not(target_arch = "x86_64"))]
const fn is_mkdir(_: libc::c_long) -> bool {
    false
}
