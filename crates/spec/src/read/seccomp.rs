//! config-linux.md, Seccomp.

use super::{Cursor, Object, Read};
use crate::config::{SeccompAction, SeccompArg, SeccompProfile, SyscallRule};

/// SECCOMP_RET_DATA, linux/seccomp.h: the low half of a filter's answer.
const RET_DATA: i128 = 0xffff;

impl Object for SeccompProfile {
    const REQUIRED: &'static [&'static str] = &["defaultAction"];

    fn blank() -> Self {
        Self {
            default_action: Read::blank(),
            default_errno_ret: None,
            architectures: Vec::new(),
            flags: None,
            listener_path: None,
            listener_metadata: None,
            syscalls: Vec::new(),
        }
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "defaultAction" => at.fill(&mut self.default_action),
            "defaultErrnoRet" => at.fill(&mut self.default_errno_ret).range(0, RET_DATA),
            "architectures" => at.fill(&mut self.architectures),
            "flags" => at.fill(&mut self.flags),
            "listenerPath" => at.fill(&mut self.listener_path),
            "listenerMetadata" => at.fill(&mut self.listener_metadata),
            "syscalls" => at.fill(&mut self.syscalls),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        if !at.sound() {
            return;
        }
        if self.default_action == SeccompAction::Notify {
            at.key("defaultAction")
                .problem("SCMP_ACT_NOTIFY cannot be used as default action");
        }
        check_errno(
            self.default_errno_ret,
            self.default_action,
            &at.key("defaultErrnoRet"),
        );
        let notify = self
            .syscalls
            .iter()
            .any(|rule| rule.action == SeccompAction::Notify);
        if notify && self.listener_path.is_none() {
            at.key("listenerPath")
                .problem("is required for SCMP_ACT_NOTIFY, but missing");
        }
        if self.listener_metadata.is_some() && self.listener_path.is_none() {
            at.key("listenerMetadata").problem("needs listenerPath");
        }
    }
}

/// An errno with an action that takes none must fail, says the specification.
fn check_errno(errno: Option<u32>, action: SeccompAction, at: &Cursor<'_>) {
    if errno.is_some() && !matches!(action, SeccompAction::Errno | SeccompAction::Trace) {
        at.problem(format!("{action} takes no errno"));
    }
}

impl Object for SyscallRule {
    const REQUIRED: &'static [&'static str] = &["names", "action"];

    fn blank() -> Self {
        Self {
            names: Vec::new(),
            action: Read::blank(),
            errno_ret: None,
            args: Vec::new(),
        }
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "names" => at.fill(&mut self.names),
            "action" => at.fill(&mut self.action),
            "errnoRet" => at.fill(&mut self.errno_ret).range(0, RET_DATA),
            "args" => at.fill(&mut self.args),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        if !at.sound() {
            return;
        }
        if self.names.is_empty() {
            at.key("names").problem("must not be empty");
        }
        check_errno(self.errno_ret, self.action, &at.key("errnoRet"));
        // The runtime itself could then no longer hand the listener over or report an error.
        let write = self.names.iter().position(|name| name == "write");
        if let (Some(write), SeccompAction::Notify) = (write, self.action) {
            let why = "SCMP_ACT_NOTIFY cannot be used for the write syscall";
            at.key("names").item(write).problem(why);
        }
    }
}

impl Object for SeccompArg {
    const REQUIRED: &'static [&'static str] = &["index", "value", "op"];

    fn blank() -> Self {
        Self {
            index: 0,
            value: 0,
            value_two: 0,
            op: Read::blank(),
        }
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "index" => at.fill(&mut self.index).range(0, 5),
            "value" => at.fill(&mut self.value),
            "valueTwo" => at.fill(&mut self.value_two),
            "op" => at.fill(&mut self.op),
            _ => return false,
        };
        true
    }
}
