//! Turns tables/syscalls.tsv into the arrays of src/table.rs.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const TABLE: &str = "tables/syscalls.tsv";
/// What src/table.rs takes for "this architecture has no such call".
const ABSENT: u16 = u16::MAX;
/// Arm's private calls begin at 0x0f0000; the table keeps them in 16 bits from here.
const ARM_PRIVATE: (u32, u16) = (0x000f_0000, 0xf000);

fn main() {
    println!("cargo::rerun-if-changed={TABLE}");
    println!("cargo::rerun-if-changed=build.rs");
    let table = fs::read_to_string(TABLE).expect("the table is part of the source");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("syscalls.rs"), arrays(&table)).expect("OUT_DIR is writable");
}

/// The names in one string, where each begins in it, and a row of numbers for each.
fn arrays(table: &str) -> String {
    let mut rows = table.lines().filter(|line| !line.starts_with('#'));
    let columns = rows
        .next()
        .expect("a line of column names")
        .split('\t')
        .count()
        - 1;
    let (mut names, mut starts, mut numbers) = (String::new(), String::from("0,"), String::new());
    let mut previous = "";
    let mut count = 0;
    for row in rows {
        let mut cells = row.split('\t');
        let name = cells.next().expect("split gives at least one");
        assert!(previous < name, "{TABLE}: {name} is out of order");
        previous = name;
        names.push_str(name);
        let cells: Vec<_> = cells.map(encoded).collect();
        assert_eq!(cells.len(), columns, "{TABLE}: {name}");
        write!(starts, "{},", names.len()).expect("a String takes all");
        write!(numbers, "{cells:?},").expect("a String takes all");
        count += 1;
    }
    format!(
        "static NAMES: &str = {names:?};\nstatic STARTS: [u16; {}] = [{starts}];\n\
         static NUMBERS: [[u16; {columns}]; {count}] = [{numbers}];\n",
        count + 1
    )
}

fn encoded(cell: &str) -> u16 {
    if cell == "-" {
        return ABSENT;
    }
    let number: u32 = cell.parse().expect("a number or a dash");
    let small = match number.checked_sub(ARM_PRIVATE.0) {
        Some(private) => u32::from(ARM_PRIVATE.1) + private,
        None => number,
    };
    u16::try_from(small).expect("call numbers are small")
}
