//! Bundles on disk: what is read, and what is said of those that can't be.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use kan_spec::Bundle;

fn bundle(config: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), config).unwrap();
    dir
}

fn complaint(dir: &Path) -> String {
    Bundle::open(dir, None).unwrap_err().to_string()
}

#[test]
fn a_sound_bundle_gives_its_config_its_text_and_its_real_path() {
    let text = kan_spec::default_config();
    let dir = bundle(text.as_bytes());
    let link = tempfile::tempdir().unwrap();
    let link = link.path().join("link");
    symlink(dir.path(), &link).unwrap();
    let bundle = Bundle::open(&link, None).unwrap();
    assert_eq!(bundle.path, dir.path().canonicalize().unwrap());
    assert_eq!(bundle.text, text.as_bytes());
    assert_eq!(bundle.config.hostname.as_deref(), Some("kan"));
}

#[test]
fn another_file_may_stand_in_for_config_json() {
    let dir = bundle(b"not read");
    fs::write(dir.path().join("other.json"), kan_spec::default_config()).unwrap();
    assert!(Bundle::open(dir.path(), Some(Path::new("other.json"))).is_ok());
    let absolute = dir.path().join("other.json");
    assert!(Bundle::open(Path::new("/"), Some(&absolute)).is_ok());
}

#[test]
fn a_missing_bundle_is_told_from_a_missing_config() {
    let dir = tempfile::tempdir().unwrap();
    let missing = complaint(&dir.path().join("nowhere"));
    assert!(
        missing.contains("nowhere: no such file or directory"),
        "{missing}"
    );
    let empty = complaint(dir.path());
    assert!(
        empty.contains("config.json") && empty.contains("not found"),
        "{empty}"
    );
}

#[test]
fn what_is_not_a_regular_file_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("config.json")).unwrap();
    assert!(complaint(dir.path()).ends_with("config.json: not a regular file"));
    fs::remove_dir(dir.path().join("config.json")).unwrap();
    symlink("/dev/zero", dir.path().join("config.json")).unwrap();
    assert!(complaint(dir.path()).ends_with("config.json: not a regular file"));
    let fifo = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(fifo.path().join("config.json"))
        .status();
    assert!(made.unwrap().success());
    assert!(complaint(fifo.path()).ends_with("config.json: not a regular file"));
}

#[test]
fn a_huge_file_is_refused() {
    let dir = bundle(b"");
    let file = fs::File::options()
        .write(true)
        .open(dir.path().join("config.json"))
        .unwrap();
    file.set_len(kan_spec::LARGEST + 1).unwrap();
    assert!(complaint(dir.path()).ends_with("config.json: larger than 16777216 bytes"));
    // At the limit it is read, and found to be no JSON.
    file.set_len(kan_spec::LARGEST).unwrap();
    assert!(complaint(dir.path()).contains("line 1, column 1"));
}

#[test]
fn the_system_s_reason_is_in_the_words_that_engines_match() {
    let dir = tempfile::tempdir().unwrap();
    symlink("config.json", dir.path().join("config.json")).unwrap();
    let said = complaint(dir.path());
    assert!(
        said.ends_with("/config.json: too many levels of symbolic links"),
        "{said}"
    );
}
