//! Turns a config, facts about the host and a request into a plan: the ordered steps of the host
//! half and the init half, and for each the field that asked for it.
//!
//! Pure: no file is read, no call is made, and the same input gives the same plan everywhere.
//! Every field of config.json is read in exactly one planner function, in the file named after
//! its section of the specification.

mod annotations;
mod builder;
mod create;
mod exec;
mod facts;
mod features;
mod hooks;
mod hot_plug;
mod linux;
mod mounts;
mod process;
mod root;
mod words;

pub use create::{plan_create, plan_create_unsound};
pub use exec::plan_exec;
pub use facts::{AppArmor, CgroupFact, Cgroups, Facts, Resctrl, Unit};
pub use features::implemented;
pub use hooks::later_hooks;
pub use hot_plug::{plan_mount, plan_unmount};
pub use linux::cgroups::{cgroup_below_unit, cgroups_path};
pub use linux::namespaces::shares_pids;
pub use linux::resctrl::{resctrl_group, resctrl_groups, resctrl_own_groups};
pub use linux::resources::{Planned, Present, device_rules, plan_limits};
pub use linux::systemd::{unit_device_properties, unit_properties};
pub use words::explain::{explain_init, explain_lost, explain_oom};
pub use words::names::namespaces as namespace_names;
pub use words::{Line, host as host_text, init_texts, lines, table};

use kan_op::{HostStep, InitStep};
use std::borrow::Cow;

/// The field or flag that asked for a step, such as `mounts[2]` or `--pid-file`.
pub type Field = Cow<'static, str>;

/// One half of a plan: steps, and beside them what asked for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Half<S> {
    steps: Vec<S>,
    fields: Vec<Field>,
}

impl<S> Default for Half<S> {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            fields: Vec::new(),
        }
    }
}

/// Steps that no field asked for, as tests put them together.
impl<S> FromIterator<S> for Half<S> {
    fn from_iter<I: IntoIterator<Item = S>>(steps: I) -> Self {
        let mut half = Self::default();
        steps.into_iter().for_each(|step| half.add("", step));
        half
    }
}

impl<S> Half<S> {
    /// Room for so many steps, so that they need not be moved each time they have become twice as many:
    /// init keeps the pages of all places where they were.
    pub(crate) fn reserve(&mut self, steps: usize) {
        self.steps.reserve(steps);
        self.fields.reserve(steps);
    }

    /// Appends a step; `field` is empty where kan itself needs it.
    pub(crate) fn add(&mut self, field: impl Into<Field>, step: S) {
        self.steps.push(step);
        self.fields.push(field.into());
    }

    /// Takes away the steps from `at` on, with what asked for them.
    pub(crate) fn split_off(&mut self, at: usize) -> Vec<(S, Field)> {
        let steps = self.steps.split_off(at);
        steps.into_iter().zip(self.fields.split_off(at)).collect()
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[S] {
        &self.steps
    }

    /// Keeps the steps for which `keeps` is true: for a plan that is tried out.
    pub fn retain(&mut self, keeps: impl Fn(&S) -> bool) {
        let mut kept = self
            .steps
            .iter()
            .map(&keeps)
            .collect::<Vec<_>>()
            .into_iter();
        self.fields.retain(|_| kept.next().unwrap_or(true));
        self.steps.retain(keeps);
    }

    /// Changes steps in place: for a plan that is tried out.
    pub fn change(&mut self, change: impl FnMut(&mut S)) {
        self.steps.iter_mut().for_each(change);
    }

    /// What asked for the step at `index`; empty where kan itself needs it.
    #[must_use]
    pub fn field(&self, index: usize) -> &str {
        self.fields.get(index).map_or("", |field| field)
    }
}

/// What `create`, `run` or `exec` will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What kan does itself.
    pub host: Half<HostStep>,
    /// What the child does before it becomes the container's process.
    pub init: Half<InitStep>,
    /// What a user should know but what stops nothing, such as an unknown capability.
    pub warnings: Vec<String>,
    /// What only somebody who looks for it should know, such as names in a seccomp profile that
    /// this machine does not have.
    pub notes: Vec<String>,
}

/// How the container's terminal reaches the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// kan returns once the container is made (`create`, `run --detach`).
    Detached,
    /// kan stays and copies (`run`).
    Foreground,
}

/// What the command line asks for, beside the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The container's id.
    pub id: String,
    /// The bundle's absolute path.
    pub bundle: String,
    /// Whether init waits for `start` (`create`), or goes on at once (`run`).
    pub wait_for_start: bool,
    /// Whether kan stays with the container.
    pub attachment: Attachment,
    /// `--pid-file`
    pub pid_file: Option<String>,
    /// `--console-socket`
    pub console_socket: Option<String>,
    /// `--pidfd-socket`
    pub pidfd_socket: Option<String>,
    /// Whether the container gets a socket for sd_notify(3), beside its mount in the config.
    pub notify: bool,
    /// `--preserve-fds`, and those of socket activation.
    pub preserve_fds: u32,
    /// `--no-pivot`
    pub no_pivot: bool,
    /// Not `--no-new-keyring`
    pub new_keyring: bool,
}

impl Request {
    /// A request without a flag, of a container that nobody waits for.
    #[must_use]
    pub fn bare(id: &str, bundle: &str) -> Self {
        Self {
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            wait_for_start: false,
            attachment: Attachment::Detached,
            pid_file: None,
            console_socket: None,
            pidfd_socket: None,
            notify: false,
            preserve_fds: 0,
            no_pivot: false,
            new_keyring: false,
        }
    }
}
