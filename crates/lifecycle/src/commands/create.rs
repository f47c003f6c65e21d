//! `create` and `run`.

use crate::error::during;
use crate::host::Host;
use crate::host::cgroups::Home;
use crate::host::descriptors;
use crate::host::facts;
use crate::host::notify::Relay;
use crate::host::terminal::foreground::{Foreground, size_terminal};
use crate::os::waiting;
use crate::state::record::{LaterHook, Record};
use crate::{Activation, CgroupOptions, Error, Result, Store, Timeline, check_id};
use kan_plan::{Attachment, Plan, Request, plan_create};
use kan_spec::Bundle;
use kan_spec::config::NamespaceType;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

/// What the command line says of a new container.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// The id.
    pub id: String,
    /// `--bundle`
    pub bundle: PathBuf,
    /// `--config`: another file in place of the bundle's config.json.
    pub config: Option<PathBuf>,
    /// `--pid-file`
    pub pid_file: Option<PathBuf>,
    /// `--console-socket`
    pub console_socket: Option<PathBuf>,
    /// `--pidfd-socket`
    pub pidfd_socket: Option<PathBuf>,
    /// `--preserve-fds`
    pub preserve_fds: u32,
    /// What a service manager hands over.
    pub activation: Activation,
    /// Who makes the cgroup.
    pub cgroups: CgroupOptions,
    /// `--no-pivot`
    pub no_pivot: bool,
    /// `--no-new-keyring`
    pub no_new_keyring: bool,
    /// `run --detach`
    pub detach: bool,
    /// `run --keep`
    pub keep: bool,
    /// `run --no-subreaper`
    pub no_subreaper: bool,
}

impl CreateOptions {
    pub(crate) fn request(&self, bundle: &Path, wait_for_start: bool) -> Request {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let detached = wait_for_start || self.detach;
        Request {
            id: self.id.clone(),
            bundle: bundle.to_string_lossy().into_owned(),
            wait_for_start,
            attachment: if detached {
                Attachment::Detached
            } else {
                Attachment::Foreground
            },
            pid_file: self.pid_file.as_ref().map(text),
            console_socket: self.console_socket.as_ref().map(text),
            pidfd_socket: self.pidfd_socket.as_ref().map(text),
            notify: self.activation.notify.is_some(),
            preserve_fds: self
                .activation
                .descriptors
                .saturating_add(self.preserve_fds),
            no_pivot: self.no_pivot,
            new_keyring: !self.no_new_keyring,
        }
    }
}

/// A bundle that was read, and what will be made of it.
struct Prepared {
    /// Neither this nor the plan is ever freed: kan ends soon, and until then their pages are shared
    /// with its child, and would be copied to be given back.
    bundle: ManuallyDrop<Bundle>,
    plan: ManuallyDrop<Plan>,
    record: Record,
}

fn prepare(
    store: &Store,
    options: &CreateOptions,
    wait_for_start: bool,
    timeline: &mut Timeline,
) -> Result<Prepared> {
    check_id(&options.id)?;
    let warning = descriptors::check(options.activation.descriptors, options.preserve_fds)?;
    timeline.warnings.extend(warning);
    let config = options.config.as_deref();
    let opened = timeline.phase("read the bundle", || Bundle::open(&options.bundle, config));
    let mut bundle = opened?;
    options
        .activation
        .add_to(&mut bundle.config, &store.path_of(&options.id));
    if !wait_for_start && !options.detach {
        size_terminal(&mut bundle.config);
    }
    let gathered = timeline.phase("look at the host", || {
        facts::gather(&bundle.config, &options.id, options.cgroups)
    });
    let (facts, home) = gathered?;
    let request = options.request(&bundle.path, wait_for_start);
    let planned = timeline.phase("plan", || plan_create(&bundle.config, &facts, &request));
    let mut plan = planned.map_err(Error::Plan)?;
    timeline.warnings.append(&mut plan.warnings);
    timeline.notes.append(&mut plan.notes);
    timeline.ignored.clone_from(&bundle.ignored);
    let mut record = record(options, &bundle, home, facts.uid)?;
    if let Some(resctrl) = &facts.resctrl {
        record.resctrl = kan_plan::resctrl_own_groups(&bundle.config, resctrl, &options.id);
    }
    Ok(Prepared {
        bundle: ManuallyDrop::new(bundle),
        plan: ManuallyDrop::new(plan),
        record,
    })
}

/// The plan that `create` would carry out on this host. Nothing is changed, and no privilege is
/// needed.
///
/// # Errors
/// Whatever in the bundle can't be read or planned.
pub fn plan_only(
    bundle: &Path,
    config: Option<&Path>,
    id: &str,
    cgroups: CgroupOptions,
) -> Result<Plan> {
    check_id(id)?;
    let bundle = Bundle::open(bundle, config)?;
    let (mut facts, _) = facts::gather(&bundle.config, id, cgroups)?;
    if bundle.config.namespace(NamespaceType::User).is_none() {
        // Only root can carry this out, so it is root's plan, whoever asks for it.
        facts.permitted = u64::MAX;
        facts.is_rootless = false;
    }
    let request = example_request(&bundle, id);
    plan_create(&bundle.config, &facts, &request).map_err(Error::Plan)
}

/// What `create` with no further flags would be asked for.
pub(crate) fn example_options(bundle: &Bundle, id: &str, cgroups: CgroupOptions) -> CreateOptions {
    CreateOptions {
        id: id.to_owned(),
        bundle: bundle.path.clone(),
        config: None,
        pid_file: None,
        console_socket: None,
        pidfd_socket: None,
        preserve_fds: 0,
        activation: Activation::default(),
        cgroups,
        no_pivot: false,
        no_new_keyring: false,
        detach: false,
        keep: false,
        no_subreaper: false,
    }
}

/// What `create` would be asked for without flags.
pub(crate) fn example_request(bundle: &Bundle, id: &str) -> Request {
    let terminal = bundle
        .config
        .process
        .as_ref()
        .is_some_and(|process| process.terminal);
    Request {
        id: id.to_owned(),
        bundle: bundle.path.to_string_lossy().into_owned(),
        wait_for_start: true,
        attachment: Attachment::Detached,
        pid_file: None,
        console_socket: terminal.then(|| "SOCKET".to_owned()),
        pidfd_socket: None,
        notify: false,
        preserve_fds: 0,
        no_pivot: false,
        new_keyring: true,
    }
}

pub(crate) fn record(
    options: &CreateOptions,
    bundle: &Bundle,
    home: Home,
    owner: u32,
) -> Result<Record> {
    let root = bundle.config.root.as_ref().map_or("", |root| &root.path);
    let (poststart, poststop) = kan_plan::later_hooks(&bundle.config);
    let rootfs = bundle.path.join(root);
    let has_mounts = bundle.config.namespace(NamespaceType::Mount).is_some();
    let covered = if has_mounts {
        None
    } else {
        Some(Record::mount_at(&rootfs)?)
    };
    Ok(Record {
        version: Record::VERSION,
        oci_version: bundle.config.oci_version.clone(),
        id: options.id.clone(),
        bundle: bundle.path.clone(),
        rootfs,
        covered,
        created: humantime::format_rfc3339_nanos(std::time::SystemTime::now()).to_string(),
        owner,
        annotations: bundle.config.annotations.iter().cloned().collect(),
        cgroups: home.placement,
        unit: home.unit,
        init: None,
        init_name: None,
        own_keyring: !options.no_new_keyring,
        resctrl: Vec::new(),
        user_namespace: None,
        joined: Vec::new(),
        without_process: bundle.config.process.is_none(),
        shares_pids: kan_plan::shares_pids(&bundle.config),
        has_start_hooks: bundle
            .config
            .hooks
            .as_ref()
            .is_some_and(|hooks| !hooks.start_container.is_empty()),
        poststart: poststart.into_iter().map(LaterHook::new).collect(),
        poststop: poststop.into_iter().map(LaterHook::new).collect(),
    })
}

/// Makes a container that waits for `start`.
///
/// # Errors
/// Whatever stands in the way, by field; nothing is left behind then.
pub fn create(store: &Store, options: &CreateOptions, timeline: &mut Timeline) -> Result<()> {
    let Prepared {
        bundle,
        plan,
        record,
    } = prepare(store, options, true, timeline)?;
    waiting::take_over()?;
    let mut host = Host::new(&plan, store, record, &bundle.text, timeline.is_wanted())?;
    let made = host.perform_all(timeline);
    host.add_init_to(timeline);
    made.and_then(|()| waiting::check("init"))?;
    host.finish();
    Ok(())
}

/// Makes and starts a container, and unless it is detached stays until it ends: its exit code,
/// 128 + n for signal n. `started` is called once its program runs.
///
/// # Errors
/// As [`create`].
pub fn run(
    store: &Store,
    options: &CreateOptions,
    timeline: &mut Timeline,
    started: impl FnOnce(&Timeline),
) -> Result<i32> {
    let Prepared {
        bundle,
        plan,
        record,
    } = prepare(store, options, false, timeline)?;
    waiting::take_over()?;
    let foreground = if options.detach {
        None
    } else {
        Some(Foreground::prepare(!options.no_subreaper)?)
    };
    let mut host = Host::new(&plan, store, record, &bundle.text, timeline.is_wanted())?;
    host.manager.clone_from(&options.activation.notify);
    let made = host.perform_all(timeline);
    let made = made.and_then(|()| timeline.phase("wait for exec", || host.wait_for_exec()));
    host.add_init_to(timeline);
    made.and_then(|()| host.run_poststart())?;
    let relay = host.relay.as_ref();
    timeline.warnings.extend(relay.and_then(Relay::warning));
    started(timeline);
    let (console, relay) = (host.console.take(), host.relay.take());
    let init = host.record.init;
    // Never closed, as kan ends soon after it.
    let child = ManuallyDrop::new(host.finish());
    let Some((foreground, child)) = foreground.zip(child.as_ref()) else {
        return match (relay, &*child) {
            (Some(relay), Some(child)) => relay.until_ready(child.pid, &child.pidfd).map(|()| 0),
            _ => Ok(0),
        };
    };
    let ended = foreground.stay(child, console, relay);
    if !options.keep {
        let failed =
            crate::commands::delete::remove_stopped(store, &options.id, init, ended.is_ok())?;
        let failed = failed.iter().map(ToString::to_string);
        timeline.late_warnings.extend(failed);
    }
    Ok(ended.map_err(during("wait for the container"))?.code())
}
