//! What the planner functions share: the plan so far, and the problems so far.

use crate::{Facts, Field, Plan, Request};
use kan_op::init::RootPath;
use kan_op::{HostStep, InitStep};
use kan_seccomp::Filter;
use kan_spec::config::{Config, Linux, NamespaceType, Process};
use kan_spec::{Problem, Problems};
use std::cell::OnceCell;
use std::ffi::CString;

/// A seccomp profile as a filter, or what is wrong with it.
pub(crate) type Compiled = Result<Filter, Vec<Problem>>;

/// A plan in the making.
pub(crate) struct Builder<'a> {
    pub(crate) config: &'a Config,
    pub(crate) facts: &'a Facts,
    pub(crate) request: &'a Request,
    /// Whether init hides its memory before it is cloned, rather than by a step of its own.
    pub(crate) hidden: bool,
    /// Whether the container's process is cloned by init once all is done that it must not have
    /// the means for: others may see it.
    pub(crate) clones: bool,
    /// The compiled seccomp profile.
    pub(crate) filter: OnceCell<Option<Compiled>>,
    /// Whether arguments, environment and working directory are in the form of
    /// [`kan_spec::bytes`]: those of `exec`.
    pub(crate) has_bytes: bool,
    /// Whether init is in its network namespace, where that is made apart.
    pub(crate) is_network_entered: bool,
    /// Whether the paths in /proc are masked.
    pub(crate) are_masks_begun: bool,
    pub(crate) plan: Plan,
    pub(crate) problems: Problems,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(config: &'a Config, facts: &'a Facts, request: &'a Request) -> Self {
        /// A container with the default mounts, devices and paths has some ninety.
        const INIT_STEPS: usize = 128;
        let (mut plan, problems) = (Plan::default(), Problems::new());
        plan.init.reserve(INIT_STEPS);
        Self {
            config,
            facts,
            request,
            hidden: false,
            clones: false,
            filter: OnceCell::new(),
            has_bytes: false,
            is_network_entered: false,
            are_masks_begun: false,
            plan,
            problems,
        }
    }

    pub(crate) fn host(&mut self, field: impl Into<Field>, step: HostStep) {
        self.plan.host.add(field, step);
    }

    pub(crate) fn init(&mut self, field: impl Into<Field>, step: InitStep) {
        self.plan.init.add(field, step);
    }

    pub(crate) fn problem(&mut self, at: impl Into<String>, why: impl Into<String>) {
        self.problems.push(Problem::new(at, why));
    }

    pub(crate) fn linux(&self) -> Option<&'a Linux> {
        self.config.linux.as_ref()
    }

    pub(crate) fn process(&self) -> Option<&'a Process> {
        self.config.process.as_ref()
    }

    /// Whether the container gets a namespace of this kind that is not kan's own.
    pub(crate) fn has_namespace(&self, kind: NamespaceType) -> bool {
        self.config.namespace(kind).is_some()
    }

    /// Whether a new namespace of this kind is made, rather than joined.
    pub(crate) fn makes_namespace(&self, kind: NamespaceType) -> bool {
        self.config
            .namespace(kind)
            .is_some_and(|namespace| namespace.path.is_none())
    }

    /// The value as a C string; a NUL in it is the field's problem. An empty string then stands
    /// in, in a plan that nobody gets.
    pub(crate) fn c_string(&mut self, at: &str, value: impl Into<Vec<u8>>) -> CString {
        CString::new(value).unwrap_or_else(|_| {
            self.problem(at, "contains a NUL character");
            CString::default()
        })
    }

    /// An argument, a variable or the working directory of the process.
    pub(crate) fn process_string(&mut self, at: &str, value: &str) -> CString {
        if self.has_bytes {
            return self.c_string(at, kan_spec::bytes::decode(value));
        }
        self.c_string(at, value)
    }

    pub(crate) fn root_path(&mut self, at: &str, path: &str) -> RootPath {
        RootPath(self.c_string(at, path))
    }

    /// A path of config.json that may be relative to the bundle.
    pub(crate) fn bundle_path(&self, path: &str) -> String {
        if path.starts_with('/') {
            return path.to_owned();
        }
        format!("{}/{path}", self.request.bundle.trim_end_matches('/'))
    }
}
