//! The cases, a file for each section.

mod activation;
mod adversity;
mod apparmor;
mod attacks;
mod attacks_console;
mod attacks_race;
mod attacks_reach;
mod attacks_trace;
mod bad_input;
mod bounded;
mod capabilities;
mod cgroup;
mod cgroup_nested;
mod cgroup_owner;
mod check;
mod command_line;
mod create;
mod default_config;
mod delete;
mod events;
mod exec;
mod exec_cgroup;
mod exec_ids;
mod exec_namespaces;
mod exec_state;
mod features;
mod hooks;
mod hooks_fail;
mod hot_plug;
mod ids;
mod inherited;
mod interrupt;
mod joined_namespaces;
mod kill;
mod leniency;
mod limits;
mod limits_bite;
mod linux_fields;
mod list;
mod logs;
mod loopback;
mod mapped_ids;
mod messages;
mod mount_compat;
mod mount_kinds;
mod mount_options;
mod mounts;
mod net_devices;
mod no_mount_namespace;
mod pause;
mod process_fields;
mod program_compat;
mod programs;
mod propagation;
mod ps;
mod rootless;
mod rootless_cgroups;
mod run;
mod schedule;
mod schemas;
mod seccomp;
mod siege;
mod start;
mod state;
mod streams;
mod systemd;
mod terminal;
mod terminal_bytes;
mod trust;
mod update;
mod user_namespace;
mod walk;

use crate::harness::case::Case;

/// Every case, in the order in which they run.
pub fn all() -> Vec<Case> {
    [
        ids::cases(),
        inherited::cases(),
        check::cases(),
        create::cases(),
        start::cases(),
        state::cases(),
        kill::cases(),
        delete::cases(),
        run::cases(),
        streams::cases(),
        logs::cases(),
        command_line::cases(),
        list::cases(),
        activation::cases(),
        terminal::cases(),
        terminal_bytes::cases(),
        pause::cases(),
        exec::cases(),
        exec_cgroup::cases(),
        exec_state::cases(),
        exec_ids::cases(),
        exec_namespaces::cases(),
        hooks::cases(),
        hooks_fail::cases(),
        user_namespace::cases(),
        joined_namespaces::cases(),
        mounts::cases(),
        mount_options::cases(),
        messages::cases(),
        mapped_ids::cases(),
        mount_compat::cases(),
        mount_kinds::cases(),
        propagation::cases(),
        hot_plug::cases(),
        capabilities::cases(),
        process_fields::cases(),
        programs::cases(),
        program_compat::cases(),
        linux_fields::cases(),
        leniency::cases(),
        net_devices::cases(),
        loopback::cases(),
        no_mount_namespace::cases(),
        apparmor::cases(),
        bad_input::cases(),
        bounded::cases(),
        trust::cases(),
        schedule::cases(),
        schemas::cases(),
        seccomp::cases(),
        features::cases(),
        default_config::cases(),
        walk::cases(),
        cgroup::cases(),
        cgroup_nested::cases(),
        cgroup_owner::cases(),
        limits::cases(),
        limits_bite::cases(),
        update::cases(),
        events::cases(),
        ps::cases(),
        adversity::cases(),
        interrupt::cases(),
        systemd::cases(),
        rootless::cases(),
        rootless_cgroups::cases(),
        attacks::cases(),
        attacks_console::cases(),
        attacks_race::cases(),
        attacks_trace::cases(),
        attacks_reach::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
