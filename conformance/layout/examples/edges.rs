//! Prints the imports within each group of files that import each other.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "its purpose")]
use kan_conformance_layout::{cycles, imports};
use std::path::Path;

fn main() {
    for src in std::env::args().skip(1) {
        let all = imports(Path::new(&src));
        for group in cycles(&all) {
            println!("{src}:");
            for file in &group {
                let within: Vec<_> = all[file]
                    .iter()
                    .filter(|other| group.contains(other))
                    .collect();
                println!("    {file} -> {within:?}");
            }
        }
    }
}
