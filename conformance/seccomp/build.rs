//! Finds libseccomp.a where Debian keeps it.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_LIBSECCOMP").is_none() {
        return;
    }
    let machine = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    for folder in [
        format!("/usr/lib/{machine}-linux-gnu"),
        "/usr/lib64".into(),
        "/usr/lib".into(),
    ] {
        if Path::new(&folder).join("libseccomp.a").exists() {
            println!("cargo::rustc-link-search=native={folder}");
            break;
        }
    }
    println!("cargo::rustc-link-lib=static=seccomp");
}
