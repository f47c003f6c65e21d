//! Values of steps as text.

use kan_op::host::IdRange;
use kan_op::init::RootPath;
use std::ffi::CStr;

pub(crate) fn ranges(ranges: &[IdRange]) -> String {
    let all = ranges.iter();
    let all: Vec<_> = all
        .map(|r| format!("{}+{} from {}", r.inside, r.count, r.outside))
        .collect();
    all.join(" ")
}

pub(crate) fn text(string: &CStr) -> String {
    string.to_string_lossy().into_owned()
}

pub(crate) fn path(path: &RootPath) -> String {
    text(&path.0)
}
