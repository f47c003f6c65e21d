//! Tells the linker where kan begins: see `early.rs` of the sys crate.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_FEATURE_UNSEALED");
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let unsealed = std::env::var_os("CARGO_FEATURE_UNSEALED").is_some();
    if matches!(arch.as_str(), "x86_64" | "aarch64") && !unsealed {
        println!("cargo::rustc-link-arg-bins=-Wl,-u,kan_start,-e,kan_start");
    }
}
