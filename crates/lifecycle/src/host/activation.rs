//! What a service manager hands over by the environment: sockets that it listens on,
//! sd_listen_fds(3), and where it hears of readiness, sd_notify(3).

use kan_spec::config::{Config, Mount};
use std::ffi::OsString;
use std::path::Path;

/// Where a container finds the socket for sd_notify(3), as with runc.
const NOTIFY_DIRECTORY: &str = "/run/notify";

/// What was handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activation {
    /// `NOTIFY_SOCKET`
    pub notify: Option<OsString>,
    /// `LISTEN_FDS`, as far as it is meant for this process.
    pub descriptors: u32,
    /// `LISTEN_FDNAMES`
    pub names: Option<String>,
}

impl Activation {
    /// Reads this process' environment. Descriptors are meant for the process whose pid
    /// `LISTEN_PID` is; kan's stays the same when it executes its sealed copy.
    #[must_use]
    pub fn from_environment() -> Self {
        let text = |name: &str| std::env::var(name).ok();
        let pid = text("LISTEN_PID").and_then(|pid| pid.parse::<u32>().ok());
        let is_meant = pid.is_some_and(|pid| pid == std::process::id());
        let descriptors = text("LISTEN_FDS").and_then(|count| count.parse().ok());
        Self {
            notify: std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()),
            descriptors: descriptors.filter(|_| is_meant).unwrap_or(0),
            names: text("LISTEN_FDNAMES").filter(|_| is_meant),
        }
    }

    /// Lets the container's process see what it is handed: the environment, and a mount of the
    /// socket's directory.
    pub(crate) fn add_to(&self, config: &mut Config, directory: &Path) {
        let Some(process) = &mut config.process else {
            return;
        };
        if self.descriptors > 0 {
            process.env.push(format!("LISTEN_FDS={}", self.descriptors));
            process.env.push("LISTEN_PID=1".into());
            let names = self.names.iter();
            process
                .env
                .extend(names.map(|names| format!("LISTEN_FDNAMES={names}")));
        }
        if self.notify.is_some() {
            let name = crate::host::notify::SOCKET;
            process
                .env
                .push(format!("NOTIFY_SOCKET={NOTIFY_DIRECTORY}/{name}"));
            config.mounts.push(mount(directory));
        }
    }
}

fn mount(directory: &Path) -> Mount {
    let source = directory.join(crate::host::notify::DIRECTORY);
    let options = ["bind", "nosuid", "noexec", "nodev", "ro"];
    Mount {
        destination: NOTIFY_DIRECTORY.into(),
        r#type: Some("bind".into()),
        source: Some(source.to_string_lossy().into_owned()),
        options: options.map(str::to_owned).into(),
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kan_spec::config::Process;

    #[test]
    fn nothing_handed_over_changes_nothing() {
        let mut config = Config {
            process: Some(Process::default()),
            ..Config::default()
        };
        let before = config.clone();
        Activation::default().add_to(&mut config, Path::new("/run/kan/x"));
        assert_eq!(config, before);
    }

    #[test]
    fn what_is_handed_over_is_in_the_environment() {
        let mut config = Config {
            process: Some(Process::default()),
            ..Config::default()
        };
        let activation = Activation {
            notify: Some("/run/systemd/notify".into()),
            descriptors: 2,
            names: Some("a:b".into()),
        };
        activation.add_to(&mut config, Path::new("/run/kan/x"));
        let env = config.process.unwrap().env;
        assert_eq!(
            env,
            [
                "LISTEN_FDS=2",
                "LISTEN_PID=1",
                "LISTEN_FDNAMES=a:b",
                "NOTIFY_SOCKET=/run/notify/notify.sock"
            ]
        );
        assert_eq!(
            config.mounts[0].source.as_deref(),
            Some("/run/kan/x/notify")
        );
    }
}
