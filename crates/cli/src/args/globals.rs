//! The flags of every command.

use crate::args::shapes::{flag, path};
use crate::log::{Destination, Format, Level};
use clap::{Arg, ArgAction, ArgMatches};
use kan_lifecycle::{CgroupManager, CgroupOptions};
use std::path::PathBuf;

/// What was given.
#[derive(Clone, Debug)]
pub(crate) struct Globals {
    pub(crate) root: PathBuf,
    /// Whether `--root` was given: one that is named and is not there is an error of `list`.
    pub(crate) root_is_given: bool,
    pub(crate) log: Option<Destination>,
    pub(crate) log_format: Format,
    /// What is logged: this and all that is graver.
    pub(crate) log_level: Level,
    pub(crate) trace: Option<PathBuf>,
    /// crun's `--cgroup-manager`, runc's `--systemd-cgroup` and `--rootless`.
    pub(crate) cgroups: CgroupOptions,
}

impl Globals {
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
        let root = path("root");
        let level = matches.get_one("log-level").copied();
        let debug = matches.get_flag("debug").then_some(Level::Debug);
        let systemd = matches.get_flag("systemd-cgroup");
        let manager = matches.get_one("cgroup-manager").copied();
        Self {
            root_is_given: root.is_some(),
            root: root.unwrap_or_else(kan_lifecycle::default_root),
            log: matches.get_one("log").cloned(),
            log_format: matches.get_one("log-format").copied().unwrap_or_default(),
            log_level: debug.or(level).unwrap_or_default(),
            trace: path("trace"),
            cgroups: CgroupOptions {
                manager: match manager {
                    Some(manager) => manager,
                    None if systemd => CgroupManager::Systemd,
                    None => CgroupManager::Cgroupfs,
                },
                rootless: matches.get_one("rootless").copied().flatten(),
            },
        }
    }
}

/// What clap calls those that all commands take.
pub(super) const HEADING: &str = "Options of every command";

/// Their declarations.
pub(super) fn all() -> [Arg; 12] {
    [
        path(
            "root",
            "DIR",
            "directory of the containers' state [/run/kan, or $XDG_RUNTIME_DIR/kan]",
        ),
        Arg::new("log")
            .long("log")
            .value_name("FILE")
            .value_parser(Destination::parse)
            .help("append errors and warnings to a file, or send them to journald: or syslog:"),
        Arg::new("log-format")
            .long("log-format")
            .value_name("FORMAT")
            .value_parser(Format::parse)
            .help("text or json"),
        Arg::new("log-level")
            .long("log-level")
            .value_name("LEVEL")
            .value_parser(Level::parse)
            .help("error, warning, info or debug"),
        flag("debug", "log debug messages"),
        path(
            "trace",
            "FILE",
            "write a Chrome trace of every step (opens in Perfetto)",
        ),
        flag("systemd-cgroup", "let systemd create cgroups"),
        Arg::new("cgroup-manager")
            .long("cgroup-manager")
            .value_name("MANAGER")
            .value_parser(cgroup_manager)
            .help("who creates cgroups: cgroupfs, systemd or disabled"),
        Arg::new("rootless")
            .long("rootless")
            .value_name("BOOL")
            .value_parser(rootless)
            .help("ignore cgroup operations that need root: true, false or auto"),
        path("criu", "FILE", "not used").hide(true),
        Arg::new("help")
            .long("help")
            .short('h')
            .action(ArgAction::Help)
            .help("print this help"),
        Arg::new("version")
            .long("version")
            .short('v')
            .action(ArgAction::Version)
            .help("print the version"),
    ]
    .map(|arg| {
        // `spec` has a `--rootless` of its own.
        let is_own = arg.get_id() == "version" || arg.get_id() == "rootless";
        let heading = if is_own { None } else { Some(HEADING) };
        arg.global(!is_own).help_heading(heading)
    })
}

fn cgroup_manager(text: &str) -> Result<CgroupManager, String> {
    match text {
        "cgroupfs" => Ok(CgroupManager::Cgroupfs),
        "systemd" => Ok(CgroupManager::Systemd),
        "disabled" => Ok(CgroupManager::Disabled),
        _ => Err("expected cgroupfs, systemd or disabled".into()),
    }
}

/// As Go reads a boolean, strconv.ParseBool, which is what callers write by.
fn rootless(text: &str) -> Result<Option<bool>, String> {
    match text {
        "auto" => Ok(None),
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
        _ => Err("expected true, false or auto".into()),
    }
}
