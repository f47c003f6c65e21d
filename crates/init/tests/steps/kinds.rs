//! Every kind of step is performed by a test: a new kind does not compile until one is named
//! here, and the named one must indeed perform it.

use crate::harness::{Test, current, has_begun, needs_root, tests};
use kan_op::InitStep;
use kan_sys::memory;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

pub const TESTS: &[Test] = &tests![
    crate::kinds::every_kind_is_performed_by_its_test,
    crate::kinds::no_kind_is_named_twice,
];

/// Kinds, as patterns, each with its test.
macro_rules! kinds {
    ($($kind:pat => $test:path,)*) => {
        const KINDS: &[(&str, Test)] =
            &[$((stringify!($kind), (stringify!($test), $test as fn()))),*];

        /// No wildcard: this is what a new kind does not get past.
        fn name(step: &InitStep) -> &'static str {
            match step { $($kind => stringify!($kind)),* }
        }
    };
}

kinds! {
    InitStep::Wait(_) => crate::sync::wait_ends_when_the_host_tells,
    InitStep::Tell(_) => crate::sync::tell_sends_the_point,
    InitStep::CloseInherited { .. } => crate::process::close_inherited_keeps_preserved_and_slots,
    InitStep::ResetSignals { .. } => crate::process::reset_signals_unblocks_and_stops_ignoring,
    InitStep::NewSession => crate::process::new_session_has_its_own_id,
    InitStep::NewKeyring { .. } => crate::credentials::a_new_keyring_replaces_the_callers,
    InitStep::HideMemory => crate::process::hide_memory_is_not_dumpable,
    InitStep::ShowMemory => crate::process::what_is_shown_has_no_environment,
    InitStep::Join { .. } => crate::process::join_enters_a_namespace_by_its_file,
    InitStep::EnterNetwork => crate::sync::the_network_comes_with_a_message,
    InitStep::RaiseLoopback => crate::sync::lo_comes_up,
    InitStep::Unshare { .. } => crate::process::unshare_leaves_the_old_namespace,
    InitStep::ChangeMount { .. } => crate::mounts::change_reaches_slot_container_and_host,
    InitStep::NewFilesystem(_) => crate::mounts::a_new_filesystem_has_what_was_asked_for,
    InitStep::MountByPath { .. } => crate::path_mounts::mounted_and_remounted_by_path,
    InitStep::CopyUp { .. } => crate::copy_up::what_lies_there_is_copied,
    InitStep::CloneTree { .. } => crate::mounts::a_clone_comes_from_host_container_and_slot,
    InitStep::MapIds { .. } => crate::mounts::ids_are_mapped_as_in_a_namespace,
    InitStep::Attach { .. } => crate::attach::makes_a_missing_directory,
    InitStep::AttachOnHost { .. } => crate::mounts::attach_on_host_keeps_the_slot,
    InitStep::Unmount { .. } => crate::mounts::what_is_mounted_goes_away,
    InitStep::Close(_) => crate::mounts::close_closes_one_slot,
    InitStep::OpenNull => crate::masks::a_masked_file_is_the_null_device,
    InitStep::MakeDirectory { .. } => crate::attach::make_directory_makes_its_parents,
    InitStep::MakeNode { .. } => crate::devices::nodes_are_as_asked_for,
    InitStep::MakeLink { .. } => crate::devices::a_link_says_what_it_was_told,
    InitStep::MaskPath { .. } => crate::masks::a_masked_directory_is_empty,
    InitStep::LockPath { .. } => crate::masks::a_locked_path_is_read_only,
    InitStep::EnterRoot(_) => crate::root::pivot_leaves_the_old_root,
    InitStep::OpenRoot => crate::root::the_root_is_opened,
    InitStep::SetHostname(_) => crate::process::names_are_set,
    InitStep::SetDomainname(_) => crate::process::names_are_set,
    InitStep::WriteProc { .. } => crate::process::a_sysctl_is_written,
    InitStep::OpenTerminal { .. } => crate::terminal::the_master_arrives_with_its_size,
    InitStep::BindConsole => crate::terminal::console_is_the_terminal,
    InitStep::SendTerminal => crate::terminal::the_master_arrives_with_its_size,
    InitStep::ControlTerminal => crate::terminal::the_terminal_becomes_stdio,
    InitStep::EnterPidNamespace => crate::visible::the_process_has_nothing_of_its_makers_memory,
    InitStep::UseTerminal => crate::terminal::the_terminal_becomes_stdio,
    InitStep::SetLimit { .. } => crate::process::a_limit_is_set,
    InitStep::SetScheduler(_) => crate::schedule::the_scheduler_is_set,
    InitStep::SetIoPriority(_) => crate::schedule::the_io_priority_is_set,
    InitStep::SetAffinity(_) => crate::schedule::the_cpus_are_set,
    InitStep::LeaveMemory => crate::visible::a_waiting_process_has_left_its_memory,
    InitStep::LoadFilter { .. } => crate::filter::a_loaded_filter_rules,
    InitStep::SetPersonality(_) => crate::schedule::the_personality_is_set,
    InitStep::SetMemoryPolicy { .. } => crate::schedule::the_memory_policy_is_set,
    InitStep::EnterTimeNamespace => crate::schedule::the_time_namespace_is_entered,
    InitStep::SetUmask(_) => crate::process::the_umask_is_set,
    InitStep::EnterDirectory(_) => crate::directory::the_working_directory_is_entered,
    InitStep::ConfirmDirectory(_) => crate::directory::the_user_enters_what_root_may_not,
    InitStep::DropBounding { .. } => crate::credentials::bounding_capabilities_are_dropped,
    InitStep::SetIds(_) => crate::credentials::capabilities_survive_the_change_of_user,
    InitStep::SetCapabilities { .. } => crate::credentials::each_set_is_as_asked_for,
    InitStep::RaiseAmbient { .. } => crate::credentials::ambient_capabilities_are_raised,
    InitStep::NoNewPrivileges => crate::credentials::no_new_privileges_are_allowed,
    InitStep::RunHook(_) => crate::hooks::a_hook_gets_state_arguments_and_environment,
    InitStep::FindHome { .. } => crate::home::the_users_home_is_found,
    InitStep::FindProgram => crate::exec::the_first_candidate_that_exists_is_taken,
    InitStep::AwaitStart => crate::sync::await_start_blocks_until_a_byte_comes,
    InitStep::TellHooksRun => crate::sync::start_is_told_of_the_hooks,
    InitStep::Execute(_) => crate::exec::arguments_and_environment_arrive,
}

/// For each kind, whether its test has performed it.
static PERFORMED: OnceLock<&[AtomicU64]> = OnceLock::new();

/// Before the first test, so that all children share the record.
pub fn prepare() {
    let words = memory::shared_words(KINDS.len()).unwrap();
    PERFORMED.set(words).unwrap();
}

fn words() -> impl Iterator<Item = (&'static str, Test, &'static AtomicU64)> {
    let words = PERFORMED.get().unwrap().iter();
    KINDS
        .iter()
        .zip(words)
        .map(|((kind, test), word)| (*kind, *test, word))
}

/// The test that runs has performed these steps.
pub fn note(steps: &[InitStep]) {
    for (kind, test, word) in words() {
        if test.0 == current() && steps.iter().any(|step| name(step) == kind) {
            word.store(1, SeqCst);
        }
    }
}

fn every_kind_is_performed_by_its_test() {
    needs_root();
    for (kind, test, word) in words() {
        let performed = word.load(SeqCst) == 1;
        let left_out = !has_begun(test.0);
        assert!(performed || left_out, "{} does not perform {kind}", test.0);
    }
}

fn no_kind_is_named_twice() {
    for (index, (kind, _)) in KINDS.iter().enumerate() {
        let earlier = KINDS[..index].iter().any(|(other, _)| other == kind);
        assert!(!earlier, "{kind}");
    }
}
