//! systemd's manager: org.freedesktop.systemd1(5).

use crate::address::{self, Address};
use crate::connection::Connection;
use crate::message::{Call, Received};
use crate::{Error, Result};
use kan_op::unit::{Property, Value};
use std::path::{Path, PathBuf};

/// Which manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The system's, process 1.
    System,
    /// That of the user with this id (`systemd --user`).
    User(u32),
}

/// A connection to a manager.
#[derive(Debug)]
pub struct Manager {
    connection: Connection,
}

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const BUS: &str = "org.freedesktop.DBus";
const MATCH: &str = "type='signal',sender='org.freedesktop.systemd1',\
    path='/org/freedesktop/systemd1',interface='org.freedesktop.systemd1.Manager',\
    member='JobRemoved'";

/// Whether systemd is what this host was booted with: sd_booted(3).
#[must_use]
pub fn is_running() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

impl Manager {
    /// Connects to the manager itself, as systemctl(1) does, or where it cannot be reached so to
    /// the bus it is on.
    ///
    /// # Errors
    /// [`Error::NoSocket`], or the connection's own.
    pub fn connect(whose: Whose) -> Result<Self> {
        let runtime = runtime_directory(whose);
        let private = runtime.join("systemd/private");
        if private.exists()
            && let Ok(connection) = Connection::open(&Address::Path(private.clone()))
        {
            // Without a bus in between, systemd sends its signals to everybody.
            return Ok(Self { connection });
        }
        let address = bus_address(whose, &runtime);
        if let Address::Path(path) = &address
            && !path.exists()
        {
            return Err(Error::NoSocket(vec![private, path.clone()]));
        }
        Self::over_bus(&address)
    }

    /// A bus wants a greeting, and tells only what was asked for.
    fn over_bus(address: &Address) -> Result<Self> {
        let mut connection = Connection::open(address)?;
        let mut ask = |member, body: &[Value]| {
            connection.call(&Call {
                destination: BUS,
                path: "/org/freedesktop/DBus",
                interface: BUS,
                member,
                body,
            })
        };
        ask("Hello", &[])?;
        ask("AddMatch", &[text(MATCH)])?;
        let mut manager = Self { connection };
        manager.call("Subscribe", &[])?;
        Ok(manager)
    }

    fn call(&mut self, member: &str, body: &[Value]) -> Result<Received> {
        self.connection.call(&Call {
            destination: NAME,
            path: PATH,
            interface: MANAGER,
            member,
            body,
        })
    }

    /// Starts a transient unit and waits until it is there. What a unit of this name left behind
    /// when it failed is swept away first.
    ///
    /// # Errors
    /// systemd's, or [`Error::Job`].
    pub fn start(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        let no_others = Value::array("(sa(sv))", Vec::new());
        let body = [text(unit), text("fail"), list(properties), no_others];
        let started = match self.call("StartTransientUnit", &body) {
            Err(error) if error.is("UnitExists") => {
                self.reset_failed(unit)?;
                self.call("StartTransientUnit", &body)
            }
            other => other,
        };
        match self.finish("start", unit, &started?) {
            Ok(()) => Ok(()),
            Err(error) => {
                let _ = self.reset_failed(unit);
                Err(error)
            }
        }
    }

    /// Stops a unit, waits until it is gone, and lets systemd forget that it failed, if it did. A
    /// unit that is not there is no error.
    ///
    /// # Errors
    /// systemd's.
    pub fn stop(&mut self, unit: &str) -> Result<()> {
        match self.call("StopUnit", &[text(unit), text("replace")]) {
            Err(error) if error.is("NoSuchUnit") => return Ok(()),
            Err(error) => return Err(error),
            // However the job ended: what counts is whether the unit is still there.
            Ok(job) => match self.finish("stop", unit, &job) {
                Err(Error::Job { .. }) | Ok(()) => {}
                Err(error) => return Err(error),
            },
        }
        self.reset_failed(unit)
    }

    /// Lets systemd forget a unit that has failed. A unit that is not there is no error.
    fn reset_failed(&mut self, unit: &str) -> Result<()> {
        match self.call("ResetFailedUnit", &[text(unit)]) {
            Err(error) if error.is("NoSuchUnit") => Ok(()),
            other => other.map(drop),
        }
    }

    /// Changes properties of a running unit, until it ends.
    ///
    /// # Errors
    /// systemd's.
    pub fn set_properties(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        let body = [text(unit), Value::Bool(true), list(properties)];
        self.call("SetUnitProperties", &body).map(drop)
    }

    /// Moves a process into a unit's cgroup, or one below it (`/NAME`): for a user who may not
    /// write where the process comes from. Since systemd 238.
    ///
    /// # Errors
    /// systemd's.
    pub fn attach(&mut self, unit: &str, below: &str, pid: u32) -> Result<()> {
        let pids = Value::array("u", vec![Value::Uint32(pid)]);
        let body = [text(unit), text(below), pids];
        self.call("AttachProcessesToUnit", &body).map(drop)
    }

    /// The cgroup that the manager rules, such as `/user.slice/user-1000.slice/user@1000.service`;
    /// empty for the system's.
    ///
    /// # Errors
    /// systemd's.
    pub fn control_group(&mut self) -> Result<String> {
        let reply = self.connection.call(&Call {
            destination: NAME,
            path: PATH,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            body: &[text(MANAGER), text("ControlGroup")],
        })?;
        let texts = reply.texts()?;
        let found = texts.first().copied();
        found
            .map(str::to_owned)
            .ok_or(Error::Protocol("the manager's ControlGroup"))
    }

    /// Waits for the end of the job that a call has made. The signal may have come before the
    /// reply that names the job.
    fn finish(&mut self, verb: &'static str, unit: &str, reply: &Received) -> Result<()> {
        let texts = reply.texts()?;
        let job = texts
            .first()
            .ok_or(Error::Protocol("a reply without a job"))?;
        self.connection.renew();
        loop {
            let signal = self.connection.signal()?;
            if signal.member != "JobRemoved" {
                continue;
            }
            // u id, o job, s unit, s result.
            match signal.texts()?[..] {
                [path, _, "done"] if path == *job => return Ok(()),
                [path, _, result] if path == *job => {
                    return Err(Error::Job {
                        verb,
                        unit: unit.into(),
                        result: result.into(),
                    });
                }
                _ => {}
            }
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// `a(sv)`
fn list(properties: &[Property]) -> Value {
    let pair = |property: &Property| {
        let value = Value::Variant(Box::new(property.value.clone()));
        Value::Struct(vec![text(&property.name), value])
    };
    Value::array("(sv)", properties.iter().map(pair).collect())
}

/// Where a manager keeps its sockets.
fn runtime_directory(whose: Whose) -> PathBuf {
    match whose {
        Whose::System => "/run".into(),
        Whose::User(uid) => std::env::var_os("XDG_RUNTIME_DIR")
            .filter(|dir| !dir.is_empty())
            .map_or_else(|| format!("/run/user/{uid}").into(), PathBuf::from),
    }
}

/// The address that the environment names, or the usual place.
fn bus_address(whose: Whose, runtime: &Path) -> Address {
    let (variable, usual) = match whose {
        Whose::System => ("DBUS_SYSTEM_BUS_ADDRESS", "dbus/system_bus_socket"),
        Whose::User(_) => ("DBUS_SESSION_BUS_ADDRESS", "bus"),
    };
    let named = std::env::var(variable).ok();
    named
        .and_then(|list| address::parse(&list))
        .unwrap_or_else(|| Address::Path(runtime.join(usual)))
}
