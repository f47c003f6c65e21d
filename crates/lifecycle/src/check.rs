//! `check`: everything that is wrong with a bundle on this host, at once. Nothing is changed.

use crate::container_paths::ContainerPaths;
use crate::finding::{Finding, Verdict};
use crate::{CgroupOptions, Result, create, facts};
use kan_op::init::{Program, TreeSource};
use kan_op::{HostStep, InitStep};
use kan_plan::{Facts, Plan, plan_create_unsound};
use kan_spec::{Bundle, Problem};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
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
            Err(error) => {
                let why = error.to_string();
                findings.push(Finding::new("linux.cgroupsPath", Verdict::Fails, why));
            }
            Ok((facts, _)) => on_this_host(&opened, &facts, &mut findings),
        }
    }
    Ok(Checked {
        file,
        text: opened.text,
        findings,
    })
}

/// Whether what is wrong has a bearing on all the rest, so that nothing true could be said of it.
fn decides_much(problem: &Problem) -> bool {
    ["linux.namespaces", "root"]
        .iter()
        .any(|field| overlap(field, &problem.at))
}

fn from_problem(problem: &Problem) -> Finding {
    Finding::new(&problem.at, Verdict::Fails, &problem.why)
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
            Some(Finding::new(field, Verdict::Fails, found).advise(advice))
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
            _ => None,
        }
    }

    /// A source may lie in the container's root, below an earlier mount.
    fn source(&self, path: &CStr) -> Option<(String, String)> {
        let path = as_path(path);
        if path.exists() || path != self.paths.root() && path.starts_with(self.paths.root()) {
            return None;
        }
        let found = format!("{}: no such file or directory", path.display());
        Some((found, "make it, or name another one".into()))
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

fn as_path(text: &CStr) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(text.to_bytes()))
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
        HostStep::RunHook(hook) => {
            let path = Path::new(&hook.path);
            let why = match path.try_exists() {
                Ok(true) => executable(path).err()?,
                Ok(false) => "no such file or directory",
                Err(_) => return None,
            };
            let found = format!("{}: {why}", hook.path);
            Some((
                found,
                "install what the hook belongs to, or take it out".into(),
            ))
        }
        HostStep::OpenNamespace { path, .. } if !Path::new(path).exists() => {
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

fn namespaces(flags: u32) -> Option<(String, String)> {
    let missing: Vec<_> = crate::doctor::NAMESPACES
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
