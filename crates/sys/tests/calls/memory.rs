//! Shared words, sealed files, pages given back.

use crate::harness::{Test, in_child, start, tests};
use kan_sys::fd::{AsFd, AsRawFd};
use kan_sys::{Errno, capsule, file, io, memory};
use std::fs;
use std::hint::black_box;
use std::sync::atomic::Ordering::SeqCst;

pub const TESTS: &[Test] = &tests![
    crate::memory::words_are_shared_with_a_child,
    crate::memory::a_sealed_file_cannot_be_changed,
    crate::memory::another_file_is_not_sealed,
    crate::memory::time_goes_on,
    crate::memory::a_program_works_without_its_unused_pages,
];

fn words_are_shared_with_a_child() {
    in_child(0, || {
        let words = memory::shared_words(1000).unwrap();
        assert_eq!(words.len(), 1000);
        assert!(words.iter().all(|word| word.load(SeqCst) == 0));
        let own = [0u64; 1];
        let child = start(|| {
            words[999].store(7, SeqCst);
            black_box(own)[0] = 7;
        });
        child.pass();
        assert_eq!(words[999].load(SeqCst), 7);
        assert_eq!(own[0], 0);
    });
}

fn a_sealed_file_cannot_be_changed() {
    let contents = vec![b'x'; 100_000];
    let sealed = memory::sealed_file(c"sealed", &contents).unwrap();
    assert!(memory::is_sealed(&sealed));
    let path = format!("/proc/self/fd/{}", sealed.as_raw_fd());
    assert_eq!(fs::read(&path).unwrap(), contents);
    let error = io::write(&sealed, b"y").unwrap_err();
    assert_eq!(error.errno, Errno::EPERM);
    for length in [0, 200_000] {
        let error = rustix::fs::ftruncate(&sealed, length).unwrap_err();
        assert_eq!(error, rustix::io::Errno::PERM);
    }
    // Not through a new descriptor either, nor can the seals be taken back.
    assert!(fs::write(&path, b"y").is_err());
    let more = rustix::fs::fcntl_add_seals(&sealed, rustix::fs::SealFlags::FUTURE_WRITE);
    assert_eq!(more, Err(rustix::io::Errno::PERM));
    assert_eq!(fs::read(&path).unwrap(), contents);
}

fn another_file_is_not_sealed() {
    assert!(!memory::is_sealed(
        file::open(c"/proc/self/exe", 0, 0).unwrap()
    ));
    let flags = rustix::fs::MemfdFlags::ALLOW_SEALING;
    let plain = rustix::fs::memfd_create(c"plain", flags).unwrap();
    assert!(!memory::is_sealed(plain.as_fd()));
    rustix::fs::fcntl_add_seals(&plain, rustix::fs::SealFlags::WRITE).unwrap();
    assert!(!memory::is_sealed(plain.as_fd()), "one seal of four");
}

fn time_goes_on() {
    let before = memory::monotonic_ns();
    std::thread::sleep(std::time::Duration::from_millis(2));
    assert!(memory::monotonic_ns() - before >= 2_000_000);
    assert!(before > 5_000_000_000, "the machine has run for seconds");
}

/// KiB of the mappings whose line in /proc/self/smaps ends so, proc_pid_smaps(5).
fn resident(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut wanted, mut sum) = (false, 0);
    for line in text.lines() {
        // Lines with a value begin with its name and a colon.
        if !line
            .split(' ')
            .next()
            .is_some_and(|first| first.ends_with(':'))
        {
            wanted = line.ends_with(name);
        }
        if let Some(value) = line.strip_prefix("Rss:").filter(|_| wanted) {
            sum += value.trim_end_matches("kB").trim().parse::<u64>().unwrap();
        }
    }
    sum
}

/// Uses up stack, each call a KiB and more; a checksum of what lay in it.
fn deep(calls: u32) -> u64 {
    let frame = black_box([u64::from(calls); 128]);
    let below = if calls == 0 { 0 } else { deep(calls - 1) };
    below + frame.iter().sum::<u64>()
}

fn a_program_works_without_its_unused_pages() {
    in_child(0, || {
        let local = black_box([7u64; 500]);
        let heap: Vec<u64> = (0..10_000).collect();
        let sum = deep(150);
        let exe = fs::read_link("/proc/self/exe").unwrap();
        let exe = exe.to_str().unwrap();
        let before = resident(exe);
        let child = start(|| {
            // SAFETY: one thread.
            unsafe { memory::drop_image(capsule::page_size()) };
            let after = resident(exe);
            assert!(after < before, "{after:?} of {before:?}: the program");
            assert!(local.iter().all(|word| *word == 7));
            assert_eq!(heap.iter().sum::<u64>(), 49_995_000);
            assert_eq!(deep(150), sum);
            // SAFETY: likewise.
            unsafe { memory::drop_image(capsule::page_size()) };
            assert_eq!(format!("{:?}", Some(deep(150))), format!("Some({sum})"));
        });
        child.pass();
    });
}
