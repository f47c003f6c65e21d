//! config.md, Process.

use super::rules::{absolute, cpu_list, environment};
use super::{Cursor, Object, Read};
use crate::config::{
    Capabilities, ConsoleSize, CpuAffinity, IoPriority, Process, Rlimit, Scheduler,
    SchedulerPolicy, User,
};

impl Object for Process {
    const REQUIRED: &'static [&'static str] = &["cwd", "args"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "terminal" => at.fill(&mut self.terminal),
            "consoleSize" => at.fill(&mut self.console_size),
            "user" => at.fill(&mut self.user),
            "args" => at.fill(&mut self.args),
            "commandLine" => return refuse_command_line(at),
            "env" => at.fill(&mut self.env).each(environment),
            "cwd" => at.fill(&mut self.cwd).rule(absolute),
            "capabilities" => at.fill(&mut self.capabilities),
            "rlimits" => at.fill(&mut self.rlimits),
            "noNewPrivileges" => at.fill(&mut self.no_new_privileges),
            "apparmorProfile" => at.fill(&mut self.apparmor_profile),
            "oomScoreAdj" => at.fill(&mut self.oom_score_adj).range(-1000, 1000),
            "selinuxLabel" => at.fill(&mut self.selinux_label),
            "scheduler" => at.fill(&mut self.scheduler),
            "ioPriority" => at.fill(&mut self.io_priority),
            "execCPUAffinity" => at.fill(&mut self.exec_cpu_affinity),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        let args = at.key("args");
        if self.args.is_empty() && args.sound() {
            args.problem("must not be empty");
        }
        let limits = at.key("rlimits");
        if !limits.sound() {
            return;
        }
        for (number, limit) in self.rlimits.iter().enumerate() {
            let earlier = &self.rlimits[..number];
            if earlier.iter().any(|other| other.r#type == limit.r#type) {
                limits
                    .item(number)
                    .problem(format!("{} occurs twice", limit.r#type));
            }
        }
    }
}

/// `commandLine` is another way to say `args`, on Windows alone; without it nothing sensible runs.
fn refuse_command_line(at: &Cursor<'_>) -> bool {
    if !at.is_empty_text() {
        at.problem("is for Windows; Linux takes args");
    }
    true
}

impl Object for ConsoleSize {
    const REQUIRED: &'static [&'static str] = &["height", "width"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "height" => at.fill(&mut self.height),
            "width" => at.fill(&mut self.width),
            _ => return false,
        };
        true
    }
}

impl Object for User {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "uid" => at.fill(&mut self.uid).id(),
            "gid" => at.fill(&mut self.gid).id(),
            "umask" => at.fill(&mut self.umask).range(0, 0o777),
            "additionalGids" => at.fill(&mut self.additional_gids).id(),
            _ => return false,
        };
        true
    }
}

impl Object for Capabilities {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "bounding" => at.fill(&mut self.bounding),
            "effective" => at.fill(&mut self.effective),
            "inheritable" => at.fill(&mut self.inheritable),
            "permitted" => at.fill(&mut self.permitted),
            "ambient" => at.fill(&mut self.ambient),
            _ => return false,
        };
        true
    }
}

impl Object for Rlimit {
    const REQUIRED: &'static [&'static str] = &["type", "soft", "hard"];

    fn blank() -> Self {
        Self {
            r#type: Read::blank(),
            soft: 0,
            hard: 0,
        }
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "type" => at.fill(&mut self.r#type),
            "soft" => at.fill(&mut self.soft),
            "hard" => at.fill(&mut self.hard),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        if self.soft > self.hard && at.sound() {
            let why = format!("{} is above the hard limit {}", self.soft, self.hard);
            at.key("soft").problem(why);
        }
    }
}

impl Object for Scheduler {
    const REQUIRED: &'static [&'static str] = &["policy"];

    fn blank() -> Self {
        Self {
            policy: Read::blank(),
            nice: 0,
            priority: 0,
            flags: Vec::new(),
            runtime: 0,
            deadline: 0,
            period: 0,
        }
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "policy" => at.fill(&mut self.policy),
            "nice" => at.fill(&mut self.nice).range(-20, 19),
            "priority" => at.fill(&mut self.priority).range(0, 99),
            "flags" => at.fill(&mut self.flags),
            "runtime" => at.fill(&mut self.runtime),
            "deadline" => at.fill(&mut self.deadline),
            "period" => at.fill(&mut self.period),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        if !at.sound() {
            return;
        }
        let real_time = matches!(self.policy, SchedulerPolicy::Fifo | SchedulerPolicy::Rr);
        if self.priority != 0 && !real_time {
            at.key("priority")
                .problem("is for SCHED_FIFO and SCHED_RR only");
        }
        let times = [
            ("runtime", self.runtime),
            ("deadline", self.deadline),
            ("period", self.period),
        ];
        for (key, time) in times {
            if time != 0 && self.policy != SchedulerPolicy::Deadline {
                at.key(key).problem("is for SCHED_DEADLINE only");
            }
        }
    }
}

impl Object for IoPriority {
    // Go's runtimes can't tell a missing priority from 0.
    const REQUIRED: &'static [&'static str] = &["class"];

    fn blank() -> Self {
        Self {
            class: Read::blank(),
            priority: 0,
        }
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "class" => at.fill(&mut self.class),
            // IOPRIO_NR_LEVELS, linux/ioprio.h.
            "priority" => at.fill(&mut self.priority).range(0, 7),
            _ => return false,
        };
        true
    }
}

impl Object for CpuAffinity {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "initial" => at.fill(&mut self.initial).rule_if_any(cpu_list),
            "final" => at.fill(&mut self.r#final).rule_if_any(cpu_list),
            _ => return false,
        };
        true
    }
}
