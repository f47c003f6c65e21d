//! The commands: what each takes, its flags as a call, its result as output and an exit code.

mod check;
mod console;
mod create;
mod delete;
mod doctor;
mod events;
mod exec;
mod features;
mod help;
mod kill;
mod list;
mod mounts;
mod pause;
mod plan;
mod ps;
mod report;
mod resume;
mod run;
mod select;
mod spec;
mod start;
mod state;
mod timed;
mod update;

use crate::verb::Verb;

/// Every command, in the order of the help.
pub(crate) static ALL: &[Verb] = &[
    create::VERB,
    start::VERB,
    run::VERB,
    state::VERB,
    kill::VERB,
    list::VERB,
    delete::VERB,
    exec::VERB,
    console::VERB,
    pause::VERB,
    resume::VERB,
    update::VERB,
    mounts::VERB,
    events::VERB,
    ps::VERB,
    spec::VERB,
    features::VERB,
    plan::VERB,
    check::VERB,
    doctor::VERB,
    help::VERB,
];

/// The command of this name.
pub(crate) fn find(name: &str) -> Option<&'static Verb> {
    ALL.iter().find(|verb| verb.name == name)
}
