//! `check`: whether `create` and `start` of a bundle would succeed on this host, and everything that
//! stands in the way.
//!
//! First config.json, the plan and what its steps need are looked at, which finds all mistakes at once.
//! Then the plan is tried out ([`dry_run`]), which finds whatever else there is. Both leave the host as
//! it was.

use crate::commands::create;
use crate::diagnose::container_paths::ContainerPaths;
use crate::diagnose::dry_run::{self, Attempt};
use crate::diagnose::finding::{Finding, Verdict};
use crate::host::facts;
use crate::host::namespaces::net_devices;
use crate::os::files::as_path;
use crate::state::store::{RUNTIME_DIRECTORY, Store, lacks_runtime_directory};
use crate::{CgroupOptions, Result};
use kan_op::init::{Program, TreeSource};
use kan_op::{HostStep, InitStep};
use kan_plan::{Facts, Plan, plan_create_unsound};
use kan_spec::{Bundle, Problem};
use std::ffi::CStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What was found in a bundle.
#[derive(Debug)]
pub struct Checked {
    /// The file that the fields are those of.
    pub file: PathBuf,
    /// Its text, as far as it could be read.
    pub text: Vec<u8>,
    /// What is wrong; warnings too.
    pub findings: Vec<Finding>,
}

/// Looks for everything that would make `create` fail or the container's program not start.
///
/// # Errors
/// The bundle or its config.json can't be read, or is no JSON. What is wrong with a part of the
/// document is a finding, and the rest is looked at.
pub fn check(bundle: &Path, config: Option<&Path>, cgroups: CgroupOptions) -> Result<Checked> {
    let file = bundle.join(config.unwrap_or(Path::new("config.json")));
    let (opened, problems) = Bundle::open_unsound(bundle, config)?;
    let mut findings: Vec<_> = problems.iter().map(from_problem).collect();
    if !problems.iter().any(decides_much) {
        match facts::gather(&opened.config, "example", cgroups) {
            Err(error) => findings.push(from_error(&error.to_string())),
            Ok((facts, home)) => {
                if let Err(error) = kan_cgroup::ensure_unused(&home.placement) {
                    let why = error.to_string();
                    let finding = Finding::new("linux.cgroupsPath", Verdict::Fails, why);
                    findings.push(finding.certain());
                }
                on_this_host(&opened, &facts, &mut findings);
            }
        }
    }
    if problems.is_empty() {
        try_out(&opened, cgroups, &mut findings)?;
    }
    if !opened.ignored.is_empty() {
        let meant = kan_spec::suggestions(&opened.text);
        let keys = opened.ignored.iter();
        findings.extend(keys.map(|key| unknown_key(key, &meant)));
    }
    Ok(Checked {
        file,
        text: opened.text,
        findings,
    })
}

/// What stands in the way of creating a container in a state directory.
#[must_use]
pub fn check_store(store: &Store) -> Option<Finding> {
    let error = store.obstacle()?;
    let advice = if lacks_runtime_directory() {
        RUNTIME_DIRECTORY
    } else {
        "name a state directory that is yours with --root"
    };
    let finding = Finding::new("", Verdict::Fails, error.to_string());
    Some(finding.advise(advice))
}

/// Whether what is wrong has a bearing on all the rest, so that nothing true could be said of it.
fn decides_much(problem: &Problem) -> bool {
    ["linux.namespaces", "root"]
        .iter()
        .any(|field| overlap(field, &problem.at))
}

fn from_problem(problem: &Problem) -> Finding {
    Finding::new(&problem.at, Verdict::Fails, &problem.why).certain()
}

/// An error that begins with its field, as those of steps do.
fn from_error(text: &str) -> Finding {
    let named = text.split_once(": ");
    let named = named.filter(|(field, _)| is_field(field));
    let is_of_program = text.starts_with("exec ") || text.starts_with("exec: ");
    let unnamed = if is_of_program { "process.args" } else { "" };
    let (field, why) = named.unwrap_or((unnamed, text));
    Finding::new(field, Verdict::Fails, why)
}

/// Whether a text could be the path of a field of config.json.
fn is_field(text: &str) -> bool {
    const TOP: [&str; 8] = [
        "ociVersion",
        "root",
        "mounts",
        "process",
        "hostname",
        "domainname",
        "hooks",
        "linux",
    ];
    let end = text.find(['.', '[']).unwrap_or(text.len());
    TOP.contains(&text.get(..end).unwrap_or_default())
}

/// Does what `create` and `start` would do. What works then was no mistake, and what fails is one.
fn try_out(bundle: &Bundle, cgroups: CgroupOptions, findings: &mut Vec<Finding>) -> Result<()> {
    match dry_run::attempt(bundle, cgroups)? {
        Attempt::Works => {
            findings.retain(|one| one.verdict != Verdict::Fails || one.is_certain);
        }
        Attempt::Fails(error) => {
            let found = from_error(&error.to_string());
            let fails = |one: &Finding| one.verdict == Verdict::Fails && !one.about.is_empty();
            let is_known = |one: &Finding| fails(one) && overlap(&one.about, &found.about);
            if found.about.is_empty() || !findings.iter().any(is_known) {
                findings.push(found);
            }
        }
        Attempt::NotPossible(why) => {
            let found = format!("not tried out, only looked at: {why}");
            findings.push(Finding::new("", Verdict::Limited, found));
        }
    }
    Ok(())
}

/// What neither the specification nor kan knows, and so has no effect (config.md, Extensibility).
fn unknown_key(key: &str, meant: &[(String, String)]) -> Finding {
    let found = "is not a field of the runtime specification, and has no effect";
    let known = meant.iter().find(|(unknown, _)| unknown == key);
    let advice = known.map_or_else(String::new, |(_, known)| format!("did you mean {known:?}?"));
    Finding::new(key, Verdict::Limited, found).advise(advice)
}

/// Whether one field is the other or a part of it.
fn overlap(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let rest = long.strip_prefix(short);
    rest.is_some_and(|rest| short.is_empty() || matches!(rest.as_bytes(), [] | [b'.' | b'[', ..]))
}

/// Fields that are known to be wrong are looked at no further.
fn on_this_host(bundle: &Bundle, facts: &Facts, findings: &mut Vec<Finding>) {
    let request = create::example_request(bundle, "example");
    let (plan, problems) = plan_create_unsound(&bundle.config, facts, &request);
    add(findings, problems.iter().map(from_problem).collect());
    let mut found: Vec<_> = plan
        .warnings
        .iter()
        .map(|text| Finding::new("", Verdict::Limited, text))
        .collect();
    found.extend(plan.notes.iter().map(|text| Finding {
        verdict: Verdict::Limited,
        ..from_error(text)
    }));
    let root = bundle.config.root.as_ref();
    let root = root.map(|root| bundle.path.join(&root.path));
    let checker = Checker {
        plan: &plan,
        facts,
        paths: ContainerPaths::new(root.unwrap_or_default(), &bundle.path, &bundle.config),
    };
    checker.all(&mut found);
    add(findings, found);
}

/// Adds those that are about other fields.
fn add(findings: &mut Vec<Finding>, found: Vec<Finding>) {
    let known = findings.len();
    for one in found {
        let is_other = |known: &Finding| {
            let is_of_all = known.about.is_empty() || one.about.is_empty();
            is_of_all || !overlap(&known.about, &one.about)
        };
        if findings[..known].iter().all(is_other) {
            findings.push(one);
        }
    }
}

/// Looks at what the steps of a plan will need.
struct Checker<'p> {
    plan: &'p Plan,
    facts: &'p Facts,
    paths: ContainerPaths,
}

impl Checker<'_> {
    fn all(&self, findings: &mut Vec<Finding>) {
        let host = self.plan.host.steps().iter().enumerate();
        findings.extend(host.filter_map(|(index, step)| {
            let (found, advice) = host_step(step)?;
            let field = self.plan.host.field(index);
            let finding = Finding::new(field, Verdict::Fails, found).advise(advice);
            let is_left_out = matches!(
                step,
                HostStep::RunHook(_)
                    | HostStep::MoveNetDevice { .. }
                    | HostStep::SendListener { .. }
                    | HostStep::OpenHookOutput { .. }
            );
            Some(if is_left_out {
                finding.certain()
            } else {
                finding
            })
        }));
        let init = self.plan.init.steps().iter().enumerate();
        findings.extend(init.filter_map(|(index, step)| {
            let (found, advice) = self.init_step(step)?;
            let field = self.plan.init.field(index);
            Some(Finding::new(field, Verdict::Fails, found).advise(advice))
        }));
    }

    /// What stands in the way of a step, and what to do about it.
    fn init_step(&self, step: &InitStep) -> Option<(String, String)> {
        match step {
            InitStep::CloneTree {
                source: TreeSource::Host(path),
                ..
            } => self.source(path),
            InitStep::NewFilesystem(new) => file_system(&new.fstype),
            InitStep::SetLimit {
                resource,
                soft: _,
                hard,
            } => self.limit(*resource, *hard),
            InitStep::Execute(program) => self.program(program),
            InitStep::RunHook(hook) => self.hook(&hook.path, hook.kind == "startContainer"),
            _ => None,
        }
    }

    /// A source may lie in the container's root, below an earlier mount.
    fn source(&self, path: &CStr) -> Option<(String, String)> {
        let path = as_path(path);
        // The cgroup is created with the container.
        if path.exists()
            || path.starts_with("/sys/fs/cgroup")
            || path != self.paths.root() && path.starts_with(self.paths.root())
        {
            return None;
        }
        let found = format!("{}: no such file or directory", path.display());
        Some((found, "create it, or name another one".into()))
    }

    /// A hook that init runs: on the host's root, or in the container's.
    fn hook(&self, path: &CStr, is_in_container: bool) -> Option<(String, String)> {
        let path = as_path(path);
        if !is_in_container {
            return hook(path);
        }
        let why = match self.paths.find(path)? {
            Ok(file) => executable(&file).err()?,
            Err(_) => "no such file or directory in the container",
        };
        Some((format!("{}: {why}", path.display()), HOOK_ADVICE.into()))
    }

    fn limit(&self, resource: u32, hard: u64) -> Option<(String, String)> {
        /// capabilities(7).
        const CAP_SYS_RESOURCE: u64 = 1 << 24;
        let (_, own) = kan_sys::resource::limit(resource).ok()?;
        if hard <= own || self.facts.permitted & CAP_SYS_RESOURCE != 0 {
            return None;
        }
        let found = format!("the hard limit {hard} is above kan's own, {own}");
        let advice = "give kan CAP_SYS_RESOURCE, raise its own limit, or ask for less";
        Some((found, advice.into()))
    }

    fn program(&self, program: &Program) -> Option<(String, String)> {
        let mut refused = None;
        for candidate in &program.candidates {
            let path = as_path(candidate);
            match self.paths.find(path) {
                // What cannot be looked at may be there.
                None => return None,
                Some(Err(_)) => {}
                Some(Ok(file)) => match executable(&file) {
                    Ok(()) => return None,
                    Err(why) => refused = Some(format!("{}: {why}", path.display())),
                },
            }
        }
        let name = program.args.first().map(|name| name.to_string_lossy());
        let name = name.unwrap_or_default();
        let found = refused.unwrap_or_else(|| format!("{name:?} is not in the root file system"));
        let advice = "put it there, or name one that is; PATH in process.env says where it is \
                      looked for";
        Some((found, advice.into()))
    }
}

fn executable(file: &Path) -> std::result::Result<(), &'static str> {
    match std::fs::metadata(file) {
        Ok(about) if about.is_dir() => Err("is a directory"),
        Ok(about) if about.permissions().mode() & 0o111 == 0 => Err("is not executable"),
        _ => Ok(()),
    }
}

fn host_step(step: &HostStep) -> Option<(String, String)> {
    match step {
        HostStep::RunHook(called) => hook(Path::new(&called.path)),
        HostStep::MoveNetDevice {
            name,
            new_name,
            namespace,
        } => {
            let found = net_devices::obstacle(name, new_name, namespace.as_deref())?;
            Some((found, "create the device first, or name another one".into()))
        }
        HostStep::OpenHookOutput { path, .. } if !can_hold_file(Path::new(path)) => {
            let found = format!("{path}: no such file or directory");
            Some((found, "create the directory, or name another file".into()))
        }
        HostStep::SendListener { path, .. } if !is_socket(Path::new(path)) => {
            let found = format!("{path}: no agent listens there");
            Some((found, "start the seccomp agent first".into()))
        }
        HostStep::OpenNamespace { path, .. }
            if Path::new(path).try_exists().is_ok_and(|is| !is) =>
        {
            let found = format!("{path}: no such file or directory");
            Some((
                found,
                "whoever holds the namespace has to be there first".into(),
            ))
        }
        HostStep::Clone { flags, .. } => namespaces(*flags),
        _ => None,
    }
}

const HOOK_ADVICE: &str = "install the program that the hook runs, or remove the hook";

/// A hook on the host.
fn hook(path: &Path) -> Option<(String, String)> {
    let why = match path.try_exists() {
        Ok(true) => executable(path).err()?,
        Ok(false) => "no such file or directory",
        Err(_) => return None,
    };
    Some((format!("{}: {why}", path.display()), HOOK_ADVICE.into()))
}

/// Whether a file is there, or could be created.
fn can_hold_file(path: &Path) -> bool {
    path.exists() || path.parent().is_some_and(Path::is_dir)
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|about| about.file_type().is_socket())
}

fn namespaces(flags: u32) -> Option<(String, String)> {
    let missing: Vec<_> = crate::diagnose::doctor::NAMESPACES
        .iter()
        .filter(|(flag, file)| flags & flag != 0 && !Path::new("/proc/self/ns").join(file).exists())
        .map(|(_, file)| *file)
        .collect();
    if missing.is_empty() {
        return None;
    }
    let found = format!(
        "the kernel has no namespaces of type {}",
        missing.join(", ")
    );
    Some((found, "use a kernel that was built with them".into()))
}

/// What is not there may be a module that is loaded when it is asked for.
fn file_system(fstype: &CStr) -> Option<(String, String)> {
    let name = fstype.to_string_lossy();
    let known = std::fs::read_to_string("/proc/filesystems").ok()?;
    let mut names = known.lines().filter_map(|line| line.split('\t').nth(1));
    if names.any(|one| one == name) || module_exists(&name) {
        return None;
    }
    let found = format!("the kernel has no file system {name:?}");
    Some((found, "load its module, or look for a mistyped type".into()))
}

fn module_exists(name: &str) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let index = Path::new("/lib/modules")
        .join(release.trim())
        .join("modules.dep");
    let index = std::fs::read_to_string(index).unwrap_or_default();
    index.contains(&format!("/{name}.ko"))
}
