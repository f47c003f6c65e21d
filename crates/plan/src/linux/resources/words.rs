//! Limits in words, for `kan plan`.

use kan_op::{Limits, Setting};

/// `limit memory: memory.max=1024 for limit, …`
pub(crate) fn limits_text(limits: &Limits) -> String {
    let all: Vec<_> = limits.settings.iter().map(setting).collect();
    format!("limit {}: {}", limits.controller, all.join(", "))
}

/// The section is beside it already.
fn setting(setting: &Setting) -> String {
    let field = setting.field.strip_prefix("linux.resources.");
    let field = field.unwrap_or(&setting.field);
    format!("{setting} for {field}")
}
