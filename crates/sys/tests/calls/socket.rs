//! Descriptors sent over local sockets.

use crate::harness::{Test, in_child, start, tests};
use kan_sys::{Errno, file, io, socket};

pub const TESTS: &[Test] = &tests![
    crate::socket::a_descriptor_arrives,
    crate::socket::a_descriptor_arrives_in_another_process,
    crate::socket::of_two_descriptors_one_is_received,
    crate::socket::a_message_without_a_descriptor_is_refused,
    crate::socket::an_end_is_no_message,
    crate::socket::sending_to_nobody_fails,
    crate::socket::a_peer_that_is_gone_is_known,
];

fn a_descriptor_arrives() {
    for pair in [socket::pair(), socket::stream_pair()] {
        let (one, other) = pair.unwrap();
        let null = file::open(c"/dev/null", file::O_RDWR, 0).unwrap();
        socket::send_descriptor(&one, c"/dev/ptmx", &null).unwrap();
        let received = socket::receive_descriptor(&other).unwrap();
        let found = file::status(&received, c"").unwrap();
        assert_eq!(found, file::status(&null, c"").unwrap());
        use kan_sys::fd::AsRawFd;
        assert_ne!(received.as_raw_fd(), null.as_raw_fd());
        assert!(
            rustix::io::fcntl_getfd(&received)
                .unwrap()
                .contains(rustix::io::FdFlags::CLOEXEC)
        );
    }
}

/// A peer may send more than is asked for; none of it stays open.
fn of_two_descriptors_one_is_received() {
    use kan_sys::fd::AsFd;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    for count in [2, 3] {
        let (one, other) = socket::pair().unwrap();
        let null = file::open(c"/dev/null", file::O_RDWR, 0).unwrap();
        let sent = vec![null.as_fd(); count];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&sent)));
        let text = [std::io::IoSlice::new(b"x")];
        sendmsg(&one, &text, &mut control, SendFlags::empty()).unwrap();
        let before = open();
        let received = socket::receive_descriptor(&other).unwrap();
        assert_eq!(open(), before + 1);
        drop(received);
        assert_eq!(open(), before);
    }
}

fn a_descriptor_arrives_in_another_process() {
    in_child(0, || {
        let (one, other) = socket::stream_pair().unwrap();
        let child = start(|| {
            let (from, to) = io::pipe().unwrap();
            socket::send_descriptor(&one, c"x", to).unwrap();
            let mut text = [0; 8];
            assert_eq!(io::read(&from, &mut text), Ok(5));
            assert_eq!(&text[..5], b"hello");
        });
        let received = socket::receive_descriptor(&other).unwrap();
        io::write(&received, b"hello").unwrap();
        child.pass();
    });
}

fn a_message_without_a_descriptor_is_refused() {
    let (one, other) = socket::stream_pair().unwrap();
    io::write(&one, b"text").unwrap();
    let error = socket::receive_descriptor(&other).unwrap_err();
    assert_eq!(error.errno, Errno::ENOMSG);
}

fn an_end_is_no_message() {
    for pair in [socket::pair(), socket::stream_pair()] {
        let (one, other) = pair.unwrap();
        drop(one);
        let error = socket::receive_descriptor(&other).unwrap_err();
        assert_eq!(error.errno, Errno::ENOMSG);
    }
}

/// EPIPE, and no SIGPIPE.
fn sending_to_nobody_fails() {
    in_child(0, || {
        kan_sys::signal::set_default(13).unwrap();
        let (one, other) = socket::stream_pair().unwrap();
        drop(other);
        let error = socket::send_descriptor(&one, c"x", io::standard(0)).unwrap_err();
        assert_eq!(error.errno, Errno::EPIPE);
    });
}

fn a_peer_that_is_gone_is_known() {
    in_child(0, || {
        for pair in [socket::pair(), socket::stream_pair()] {
            let (one, other) = pair.unwrap();
            assert!(!socket::peer_is_gone(&one));
            io::write(&other, b"x").unwrap();
            assert!(!socket::peer_is_gone(&one));
            let found = io::wait_readable(&one, Some(0));
            assert_eq!(found, Ok(true), "the look took nothing");
            assert_eq!(io::read(&one, &mut [0; 2]), Ok(1));
            drop(other);
            assert!(socket::peer_is_gone(&one));
        }
    });
}
