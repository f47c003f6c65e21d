//! The list of cases.

use crate::blocking_commands;
use crate::outcome::Verdict;
use crate::race;
use crate::reach;
use crate::seal;
use crate::secrecy;
use crate::stage::{Body, Config, Stage, View};
use crate::sweep::{Blow, Sweep, Verb};

/// A named case, performed in a process of its own.
pub struct Case {
    /// `part::what::view`
    pub name: String,
    /// The cgroup hierarchies it sees.
    pub view: View,
    /// What is done.
    pub deed: Deed,
}

/// What a case does.
#[derive(Clone, Copy)]
pub enum Deed {
    /// Strikes at many calls.
    Sweep(Sweep),
    /// Anything else.
    Body(Body),
}

impl Case {
    /// Whether it makes calls fail, which not every machine can.
    pub fn fails_calls(&self) -> bool {
        self.name.starts_with("fail::")
            || matches!(
                self.name.as_str(),
                "seal::fallback_is_sealed_as_well" | "seal::sealed_whatever_fails"
            )
    }

    /// Performs it.
    ///
    /// # Errors
    /// Its fault.
    pub fn perform(&self, stage: &Stage) -> Verdict {
        match self.deed {
            Deed::Sweep(sweep) => sweep.perform(stage),
            Deed::Body(body) => body(stage),
        }
    }
}

/// Every case, in both views of the cgroups where that makes a difference.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (view, suffix) in [(View::Host, "host"), (View::V2, "v2")] {
        let all = sweeps().into_iter().chain(sweeps_of_mounts());
        for (name, sweep) in all.chain(sweeps_of_helpers()) {
            let name = format!("{name}::{suffix}");
            let deed = Deed::Sweep(sweep);
            cases.push(Case { name, view, deed });
        }
    }
    for (name, body) in bodies()
        .into_iter()
        .chain(reaches())
        .chain(blocking_commands::cases())
    {
        cases.push(Case {
            name: name.into(),
            view: View::Host,
            deed: Deed::Body(body),
        });
    }
    cases
}

fn sweeps() -> Vec<(&'static str, Sweep)> {
    use Blow::{FailHost, FailInit, KillBothAtInit, KillHost, KillHostAtInit, KillInit};
    use Verb::{
        Create, DeleteCreated, DeleteRefused, DeleteRunning, DeleteStopped, Exec, Run, Start,
        Update,
    };
    let small = |verb, blow, stride| Sweep {
        verb,
        blow,
        config: Config::Small,
        stride,
    };
    let default = |verb, blow, stride| Sweep {
        config: Config::Default,
        ..small(verb, blow, stride)
    };
    let limited = |verb, blow, stride| Sweep {
        config: Config::Limited,
        ..small(verb, blow, stride)
    };
    vec![
        ("kill::create_limited_host", limited(Create, KillHost, 3)),
        ("kill::update", small(Update, KillHost, 1)),
        ("fail::create_limited_host", limited(Create, FailHost, 3)),
        ("fail::update", small(Update, FailHost, 1)),
        ("kill::create_host", small(Create, KillHost, 1)),
        ("kill::create_init", small(Create, KillInit, 1)),
        (
            "kill::create_host_at_init",
            small(Create, KillHostAtInit, 1),
        ),
        (
            "kill::create_both_at_init",
            small(Create, KillBothAtInit, 2),
        ),
        ("kill::create_default_host", default(Create, KillHost, 7)),
        (
            "kill::create_default_host_at_init",
            default(Create, KillHostAtInit, 11),
        ),
        ("kill::create_default_init", default(Create, KillInit, 13)),
        ("kill::run_host", small(Run, KillHost, 1)),
        ("kill::run_init", small(Run, KillInit, 5)),
        ("kill::run_host_at_init", small(Run, KillHostAtInit, 5)),
        ("kill::run_both_at_init", small(Run, KillBothAtInit, 5)),
        ("kill::exec_host", small(Exec, KillHost, 1)),
        ("kill::exec_init", small(Exec, KillInit, 1)),
        ("kill::exec_host_at_init", small(Exec, KillHostAtInit, 1)),
        ("kill::start", small(Start, KillHost, 1)),
        ("kill::delete_created", small(DeleteCreated, KillHost, 1)),
        ("kill::delete_stopped", small(DeleteStopped, KillHost, 1)),
        (
            "kill::delete_force_running",
            small(DeleteRunning, KillHost, 1),
        ),
        ("fail::create_host", small(Create, FailHost, 1)),
        ("fail::create_init", small(Create, FailInit, 1)),
        ("fail::create_default_init", default(Create, FailInit, 5)),
        ("fail::run_host", small(Run, FailHost, 1)),
        ("fail::run_init", small(Run, FailInit, 3)),
        ("fail::exec_host", small(Exec, FailHost, 1)),
        ("fail::exec_init", small(Exec, FailInit, 1)),
        ("fail::start", small(Start, FailHost, 1)),
        ("fail::delete_created", small(DeleteCreated, FailHost, 1)),
        ("fail::delete_refused", small(DeleteRefused, FailHost, 1)),
        (
            "fail::delete_force_running",
            small(DeleteRunning, FailHost, 1),
        ),
    ]
}

/// Containers whose mounts are not only their own: on the host's mount namespace, or made by the
/// host half.
fn sweeps_of_mounts() -> Vec<(&'static str, Sweep)> {
    use Blow::{FailHost, FailInit, KillHost, KillHostAtInit};
    use Verb::{Create, DeleteRunning};
    let with = |config, verb, blow, stride| Sweep {
        verb,
        blow,
        config,
        stride,
    };
    let bare = |verb, blow, stride| with(Config::Bare, verb, blow, stride);
    let users = |verb, blow, stride| with(Config::Users, verb, blow, stride);
    vec![
        ("kill::create_bare_host", bare(Create, KillHost, 3)),
        (
            "kill::create_bare_host_at_init",
            bare(Create, KillHostAtInit, 3),
        ),
        ("fail::create_bare_init", bare(Create, FailInit, 3)),
        ("kill::delete_bare", bare(DeleteRunning, KillHost, 2)),
        ("kill::create_users_host", users(Create, KillHost, 3)),
        ("fail::create_users_host", users(Create, FailHost, 3)),
    ]
}

/// kan and its helpers, killed wherever they are: nothing may stay that nobody knows of. Every second
/// or third call of each, for there are thousands.
fn sweeps_of_helpers() -> Vec<(&'static str, Sweep)> {
    use Blow::{FailHost, KillHost, KillHostAtInit};
    use Config::{
        Agent, Hooks, Joined, JoinedUsers, MappedIds, NetDevices, Network, Resctrl, Systemd,
        Terminal, Time,
    };
    let with = |config, verb, blow, stride| Sweep {
        verb,
        blow,
        config,
        stride,
    };
    let create = |config, blow| with(config, Verb::Create, blow, 3);
    vec![
        (
            "kill::mapped_ids_host",
            with(MappedIds, Verb::Create, KillHost, 2),
        ),
        (
            "kill::mapped_ids_host_at_helper",
            create(MappedIds, KillHostAtInit),
        ),
        ("kill::time_host", create(Time, KillHost)),
        ("kill::joined_host", create(Joined, KillHost)),
        (
            "kill::joined_host_at_helper",
            create(Joined, KillHostAtInit),
        ),
        ("kill::joined_users_host", create(JoinedUsers, KillHost)),
        (
            "kill::joined_users_host_at_helper",
            create(JoinedUsers, KillHostAtInit),
        ),
        ("kill::agent_host", create(Agent, KillHost)),
        ("kill::hooks_host", create(Hooks, KillHost)),
        ("kill::hooks_host_at_hook", create(Hooks, KillHostAtInit)),
        ("kill::hooks_run_host", with(Hooks, Verb::Run, KillHost, 3)),
        ("kill::terminal_host", create(Terminal, KillHost)),
        ("kill::network_host", create(Network, KillHost)),
        ("kill::net_devices_host", create(NetDevices, KillHost)),
        ("fail::net_devices_host", create(NetDevices, FailHost)),
        ("kill::systemd_host", create(Systemd, KillHost)),
        ("fail::systemd_host", create(Systemd, FailHost)),
        (
            "kill::systemd_delete",
            with(Systemd, Verb::DeleteRunning, KillHost, 2),
        ),
        ("kill::resctrl_host", create(Resctrl, KillHost)),
        ("fail::resctrl_host", create(Resctrl, FailHost)),
        (
            "kill::resctrl_delete",
            with(Resctrl, Verb::DeleteCreated, KillHost, 1),
        ),
        (
            "kill::exec_users_host",
            with(Config::Users, Verb::Exec, KillHost, 3),
        ),
    ]
}

fn bodies() -> Vec<(&'static str, Body)> {
    vec![
        ("seal::init_in_flight", seal::init_in_flight),
        ("seal::host_pids", seal::host_pids),
        ("seal::self_as_program", seal::self_as_program),
        ("seal::self_as_interpreter", seal::self_as_interpreter),
        (
            "seal::attacks_work_without_seal",
            seal::attacks_work_without_seal,
        ),
        (
            "seal::init_is_closed_to_default_capabilities",
            seal::init_is_closed_to_default_capabilities,
        ),
        (
            "seal::descriptors_of_container",
            secrecy::descriptors_of_container,
        ),
        (
            "seal::no_descriptor_of_the_seal",
            secrecy::no_descriptor_of_the_seal,
        ),
        ("seal::init_is_not_dumpable", secrecy::init_is_not_dumpable),
        (
            "seal::exe_is_on_a_read_only_mount",
            secrecy::exe_is_on_a_read_only_mount,
        ),
        (
            "seal::fallback_is_sealed_as_well",
            secrecy::fallback_is_sealed_as_well,
        ),
        (
            "seal::sealed_whatever_fails",
            secrecy::sealed_whatever_fails,
        ),
        ("race::creates_at_once", race::creates_at_once),
        ("race::create_within_create", race::create_within_create),
        ("race::create_within_delete", race::create_within_delete),
        ("race::delete_within_create", race::delete_within_create),
        (
            "race::late_delete_spares_the_next_container",
            race::late_delete_spares_the_next_container,
        ),
    ]
}

/// Processes in pid namespaces that others see into.
fn reaches() -> Vec<(&'static str, Body)> {
    vec![
        ("reach::exec", reach::exec),
        ("reach::exec_terminal", reach::exec_terminal),
        ("reach::exec_user", reach::exec_user),
        (
            "reach::exec_user_may_not_trace",
            reach::exec_user_may_not_trace,
        ),
        ("reach::exec_capability", reach::exec_capability),
        ("reach::exec_in_users", reach::exec_in_users),
        ("reach::run_joined", reach::run_joined),
        ("reach::run_joined_terminal", reach::run_joined_terminal),
        ("reach::run_joined_hooks", reach::run_joined_hooks),
        ("reach::run_joined_users", reach::run_joined_users),
        (
            "reach::run_joined_in_new_users",
            reach::run_joined_in_new_users,
        ),
        ("reach::create_joined", reach::create_joined),
        ("reach::filter_that_allows", reach::filter_that_allows),
        (
            "reach::filter_that_denies_clone",
            reach::filter_that_denies_clone,
        ),
        (
            "reach::filter_that_notifies_on_clone",
            reach::filter_that_notifies_on_clone,
        ),
        (
            "reach::created_has_left_its_memory",
            reach::created_has_left_its_memory,
        ),
        ("reach::mounts", reach::mounts),
        ("reach::an_intruder_is_seen", reach::an_intruder_is_seen),
    ]
}
