//! `FindHome`: passwd(5).

use crate::harness::{Test, alone, tests};
use crate::scene::{c, mount_at, run, set};
use kan_init::Slots;
use kan_op::init::Program;
use kan_op::{Failure, Flaw, InitStep};
use std::fs;

pub const TESTS: &[Test] = &tests![
    crate::home::the_users_home_is_found,
    crate::home::without_a_line_the_home_is_the_root,
    crate::home::without_a_file_the_home_is_the_root,
    crate::home::the_last_line_may_lack_its_end,
    crate::home::the_whole_number_counts,
    crate::home::the_first_line_of_the_user_counts,
    crate::home::lines_that_are_none_are_passed_over,
    crate::home::a_fifo_is_not_waited_for,
    crate::home::a_directory_is_no_passwd,
    crate::home::other_users_lines_may_be_huge,
    crate::home::a_home_that_does_not_fit_is_refused,
    crate::home::the_longest_home_fits,
    crate::home::a_file_without_an_end_is_refused,
    crate::home::the_environments_own_home_stays_without_a_search,
];

/// HOME as the executed program gets it, once /etc is as `prepare` makes it.
fn home_after(uid: u32, prepare: impl Fn()) -> Result<String, Failure> {
    let mut home = Err(None);
    set();
    mount_at("tmpfs", "/etc");
    prepare();
    let program = Program {
        candidates: vec![c("/usr/bin/env")],
        args: vec![c("env")],
        env: Vec::new(),
        with_home: true,
    };
    let steps = [
        InitStep::FindHome { uid },
        InitStep::FindProgram,
        InitStep::Execute(program),
    ];
    let ran = run(&steps, Slots::default());
    if let Some(line) = ran.stdout.strip_suffix('\n') {
        assert!(!line.contains('\n'), "HOME and nothing else: {line}");
        home = line.strip_prefix("HOME=").map(str::to_owned).ok_or(None);
    }
    home.map_err(|_: Option<()>| {
        assert_eq!(ran.step, 0);
        ran.failure.unwrap()
    })
}

fn home_in(uid: u32, passwd: &str) -> Result<String, Failure> {
    home_after(uid, || fs::write("/etc/passwd", passwd).unwrap())
}

fn assert_home(uid: u32, passwd: &str, expected: &str) {
    alone(|| assert_eq!(home_in(uid, passwd).as_deref(), Ok(expected)));
}

pub fn the_users_home_is_found() {
    let passwd = "root:x:0:0:root:/root:/bin/sh\nme:x:1000:100:Me, and more:/home/me:/bin/sh\n";
    assert_home(0, passwd, "/root");
    assert_home(1000, passwd, "/home/me");
}

fn without_a_line_the_home_is_the_root() {
    assert_home(7, "root:x:0:0:root:/root:/bin/sh\n", "/");
    assert_home(7, "", "/");
    assert_home(7, "empty:x:7:7:::/bin/sh\n", "/");
}

fn without_a_file_the_home_is_the_root() {
    alone(|| assert_eq!(home_after(0, || ()).as_deref(), Ok("/")));
}

fn the_last_line_may_lack_its_end() {
    assert_home(
        7,
        "a:x:6:6::/six:/bin/sh\nb:x:7:7::/seven:/bin/sh",
        "/seven",
    );
    assert_home(7, "b:x:7:7::/seven", "/seven");
}

fn the_whole_number_counts() {
    let passwd = "a:x:10:0::/ten:\nb:x:100:0::/hundred:\nc:x:1:10::/one:\nd:x:0x1::/:\n";
    assert_home(1, passwd, "/one");
    assert_home(10, passwd, "/ten");
    assert_home(100, passwd, "/hundred");
    assert_home(
        2,
        "x:x:12:2::/no:\ny:x:2a:2::/no:\nz:x:a2:2::/no:\n2:x:3:2::/no:\n",
        "/",
    );
    // 2^32 + 5
    assert_home(5, "big:x:4294967301:5::/big:\n", "/");
}

fn the_first_line_of_the_user_counts() {
    assert_home(7, "a:x:7:7::/first:\nb:x:7:7::/second:\n", "/first");
}

fn lines_that_are_none_are_passed_over() {
    let passwd = "\n:::::::\n# 7\nshort:x:7:7\nno uid:x::7::/none:\nreal:x:7:7::/real:/bin/sh\n";
    assert_home(7, passwd, "/real");
    assert_home(0, "no uid:x::7::/none:/bin/sh\n", "/");
}

fn a_fifo_is_not_waited_for() {
    alone(|| {
        let fifo = || {
            let etc = kan_sys::file::open(c"/etc", 0, 0).unwrap();
            let mode = kan_sys::file::S_IFIFO | 0o644;
            kan_sys::file::mknodat(etc, c"passwd", mode, 0).unwrap();
        };
        assert_eq!(home_after(0, fifo).as_deref(), Ok("/"));
    });
}

fn a_directory_is_no_passwd() {
    alone(|| {
        let directory = || fs::create_dir("/etc/passwd").unwrap();
        assert_eq!(home_after(0, directory).as_deref(), Ok("/"));
    });
}

fn other_users_lines_may_be_huge() {
    let long = "x".repeat(100_000);
    let passwd = format!("a:{long}:8:8:{long}:/{long}:/bin/sh\nb:x:7:7:{long}:/seven:/bin/sh\n");
    assert_home(7, &passwd, "/seven");
}

fn a_home_that_does_not_fit_is_refused() {
    alone(|| {
        let passwd = format!("a:x:7:7::/{}:/bin/sh\n", "x".repeat(4095));
        let failure = home_in(7, &passwd).unwrap_err();
        assert_eq!(failure.flaw, Flaw::PathTooLong);
    });
}

fn the_longest_home_fits() {
    let home = format!("/{}", "x".repeat(4094));
    assert_home(7, &format!("a:x:7:7::{home}:/bin/sh\n"), &home);
}

/// A sparse file of a terabyte, as an image can hold it. The user may still be found at its start.
fn a_file_without_an_end_is_refused() {
    alone(|| {
        let endless = |before: &str| {
            let passwd = fs::File::create("/etc/passwd").unwrap();
            let after = 16 << 20;
            std::os::unix::fs::FileExt::write_all_at(&passwd, before.as_bytes(), 0).unwrap();
            passwd.set_len(before.len() as u64 + after).unwrap();
        };
        let home = home_after(7, || endless("a:x:7:7::/seven:\n"));
        assert_eq!(home.as_deref(), Ok("/seven"));
    });
    alone(|| {
        let endless = || {
            let passwd = fs::File::create("/etc/passwd").unwrap();
            passwd.set_len(1 << 40).unwrap();
        };
        assert_eq!(home_after(7, endless).unwrap_err().flaw, Flaw::TooLarge);
    });
}

/// Without `with_home` the environment is the plan's alone.
fn the_environments_own_home_stays_without_a_search() {
    alone(|| {
        set();
        let program = Program {
            candidates: vec![c("/usr/bin/env")],
            args: vec![c("env")],
            env: vec![c("HOME=/mine")],
            with_home: false,
        };
        let steps = [InitStep::FindProgram, InitStep::Execute(program)];
        let ran = run(&steps, Slots::default());
        assert_eq!(ran.stdout, "HOME=/mine\n");
    });
}
