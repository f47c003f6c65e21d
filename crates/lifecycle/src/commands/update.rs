//! `update`: other limits for a container that is there.

mod classes;
pub(crate) mod request;

use crate::commands::update::classes::Classes;
use crate::commands::update::request::Update;
use crate::host::cgroups::of_placement;
use crate::os::waiting;
use crate::state::container::Container;
use crate::state::record::Record;
use crate::{Error, Result, Store};
use kan_cgroup::Placement;
use kan_op::Limits;
use kan_op::host::DeviceRule;
use kan_op::unit::Property;
use kan_plan::{
    Planned, Present, device_rules, plan_limits, unit_device_properties, unit_properties,
};
use kan_spec::config::Resources;
use kan_spec::state::Status;
use serde_json::Value;

/// Changes the limits of a container to what an update says; what it does not speak of stays. All
/// of it is done, or nothing. What a user should know comes back.
///
/// # Errors
/// [`Error::Unknown`]; [`Error::Status`] for a container that has stopped; everything in the
/// document that can't be honoured; the first value that the kernel refuses, by field.
pub fn update(store: &Store, id: &str, update: &Update) -> Result<Vec<String>> {
    waiting::take_over()?;
    let _locked = store.lock(id)?;
    let container = store.find(id)?;
    let record = match (&container.record, container.status()?) {
        (Some(record), status) if status != Status::Stopped => record,
        _ => return Err(Error::Status("container not running".into())),
    };
    let given = kan_spec::resources::parse(&update.document)?.value;
    let classes = Classes::plan(&container, record, update)?;
    let change = Change::plan(&container, record, &given)?;
    let text = merged_config(&container, update)?;
    let directory = &container.directory;
    let fresh = "config.json.new";
    directory.write_private(fresh, &text)?;
    let made = classes.remember(directory).and_then(|()| {
        let keep = || directory.rename(fresh, "config.json");
        change.make(record, &classes, keep)
    });
    if let Err(error) = made {
        let _ = directory.remove(fresh);
        classes.forget(record, directory);
        return Err(error);
    }
    Ok(change.planned.warnings)
}

/// What is to be done.
struct Change {
    planned: Planned,
    /// The device rules until now and from now on, if there are others.
    devices: Option<[Vec<DeviceRule>; 2]>,
}

impl Change {
    fn plan(container: &Container, record: &Record, given: &Resources) -> Result<Self> {
        let cgroups = of_placement(&record.cgroups);
        let present = present(&record.cgroups);
        let planned = plan_limits("", given, &cgroups, &present).map_err(Error::Plan)?;
        let devices = if given.devices.is_empty() {
            None
        } else {
            let config = container.config()?;
            let listed = config.linux.and_then(|linux| linux.resources);
            let until_now = device_rules("", &listed.unwrap_or_default().devices);
            let from_now_on = device_rules("", &given.devices);
            let both = [
                until_now.map_err(Error::Plan)?,
                from_now_on.map_err(Error::Plan)?,
            ];
            // Engines repeat what is in force; others may have added to it meanwhile.
            Some(both).filter(|[old, new]| old != new)
        };
        Ok(Self { planned, devices })
    }

    fn make(
        &self,
        record: &Record,
        classes: &Classes,
        keep: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let cgroups = &record.cgroups;
        match &record.unit {
            Some(unit) => {
                let tell = |properties: &[Property]| unit.change(properties);
                self.make_in_unit(cgroups, &tell, classes, keep)
            }
            None => self.write(cgroups, || {
                let changed = classes.change(cgroups)?;
                keep().inspect_err(|_| changed.take_back())
            }),
        }
    }

    /// systemd writes the files too, from the properties, and rounds some values: so they are
    /// written before, when a value that the kernel refuses still changes nothing, and after.
    fn make_in_unit(
        &self,
        cgroups: &Placement,
        tell: &dyn Fn(&[Property]) -> Result<()>,
        classes: &Classes,
        keep: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let limits = self.planned.limits.iter().map(|(_, limits)| limits);
        let before: Vec<Limits> = limits.clone().map(kan_cgroup::present).collect();
        let [old, new] = [0, 1].map(|at| {
            let rules = self.devices.as_ref().map(|both| &both[at]);
            rules.map_or_else(Vec::new, |rules| unit_device_properties(rules))
        });
        let properties = [unit_properties(limits), new].concat();
        let mut changed = None;
        let mut is_told = false;
        let made = self
            .write(cgroups, || {
                changed = Some(classes.change(cgroups)?);
                tell(&properties).map(|()| is_told = true)
            })
            .and_then(|()| self.write(cgroups, keep));
        // Failures here would hide the first one.
        if made.is_err() && is_told {
            let _ = tell(&[unit_properties(&before), old].concat());
            let _ = before.iter().try_for_each(kan_cgroup::limit);
        }
        if let (Err(_), Some(changed)) = (&made, changed) {
            changed.take_back();
        }
        made
    }

    fn write(&self, placement: &Placement, then: impl FnOnce() -> Result<()>) -> Result<()> {
        let replace = |rules: &[DeviceRule]| kan_cgroup::replace_devices(placement, rules);
        if let Some([_, new]) = &self.devices {
            replace(new).map_err(|error| Error::devices("devices: ", &error))?;
        }
        let limits: Vec<&Limits> = self.planned.limits.iter().map(|(_, one)| one).collect();
        kan_cgroup::update(limits, then).inspect_err(|_| {
            if let Some([old, _]) = &self.devices {
                // Its own failure would hide the first one.
                let _ = replace(old);
            }
        })
    }
}

/// On cgroup v2 the values that others are told together with.
fn present(placement: &Placement) -> Present {
    let mut present = Present::default();
    let Some(dir) = placement.v2().map(kan_cgroup::Directory::path) else {
        return present;
    };
    let read = |file: &str| std::fs::read_to_string(dir.join(file)).ok();
    if let Some((quota, period)) = read("cpu.max")
        .as_deref()
        .and_then(|max| max.trim_end().split_once(' '))
    {
        present.quota = quota.to_owned();
        present.period = period.parse().unwrap_or(present.period);
    }
    present.memory = read("memory.max").and_then(|max| match max.trim_end() {
        "max" => Some(-1),
        number => number.parse().ok(),
    });
    present
}

/// The container's config with the new values in it, for whoever makes the container anew.
fn merged_config(container: &Container, update: &Update) -> Result<Vec<u8>> {
    let text = container.config_text()?;
    let broken = |error: serde_json::Error| Error::BadState {
        path: container.directory.path_of("config.json"),
        why: error.to_string(),
    };
    let mut config: Value = serde_json::from_slice(&text).map_err(broken)?;
    let given = serde_json::from_slice(&update.document).map_err(broken)?;
    merge(&mut config["linux"]["resources"], given);
    for (key, schema) in [
        ("l3CacheSchema", &update.l3_cache_schema),
        ("memBwSchema", &update.mem_bw_schema),
    ] {
        if let Some(schema) = schema {
            config["linux"]["intelRdt"][key] = Value::from(schema.as_str());
        }
    }
    serde_json::to_vec(&config).map_err(broken)
}

/// Objects are merged; any other value takes the place of the old one.
fn merge(old: &mut Value, new: Value) {
    match (old, new) {
        (_, Value::Null) => {}
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                merge(old.entry(key).or_insert(Value::Null), value);
            }
        }
        (old, new) => *old = new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kan_op::host::CgroupDirectory;
    use kan_op::{IfMissing, Setting};
    use serde_json::json;
    use std::cell::RefCell;

    #[test]
    fn what_is_not_spoken_of_stays() {
        let mut old =
            json!({"cpu": {"shares": 5, "cpus": "0"}, "pids": {"limit": 1}, "devices": [1, 2]});
        merge(
            &mut old,
            json!({"cpu": {"shares": 6}, "devices": [3], "memory": {"limit": 7}, "pids": null}),
        );
        let new = json!({"cpu": {"shares": 6, "cpus": "0"}, "pids": {"limit": 1}, "devices": [3],
                         "memory": {"limit": 7}});
        assert_eq!(old, new);
    }

    /// A cgroup of ordinary files, and an update of its memory.max.
    fn scene(name: &str) -> (std::path::PathBuf, Change) {
        let dir = std::env::temp_dir().join(format!("kan-update-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("memory.max"), "max\n").unwrap();
        let limits = Limits {
            controller: "memory".into(),
            directory: CgroupDirectory {
                mount: dir.to_string_lossy().into_owned(),
                path: String::new(),
            },
            is_v2: true,
            settings: vec![Setting {
                field: "memory.limit".into(),
                file: "memory.max".into(),
                value: "4096".into(),
                if_missing: IfMissing::Fail,
                above: None,
            }],
        };
        let planned = Planned {
            limits: vec![("memory".into(), limits)],
            ..Planned::default()
        };
        let devices = None;
        (dir, Change { planned, devices })
    }

    /// The unit has the old properties again, and so has the cgroup.
    #[test]
    fn what_fails_after_systemd_has_changed_the_unit_is_taken_back() {
        let (dir, change) = scene("unit");
        let told = RefCell::new(Vec::new());
        let tell = |properties: &[Property]| {
            told.borrow_mut().extend_from_slice(properties);
            // As systemd does, from the properties.
            std::fs::write(dir.join("memory.max"), "8192\n").unwrap();
            Ok(())
        };
        let keep = || Err(Error::Step("no".into()));
        let placement = Placement::default();
        let failed = change.make_in_unit(&placement, &tell, &Classes::default(), keep);
        assert_eq!(failed.unwrap_err().to_string(), "no");
        let told: Vec<_> = told.borrow().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0].contains("4096") && !told[1].contains("4096"),
            "{told:?}"
        );
        let now = std::fs::read_to_string(dir.join("memory.max")).unwrap();
        assert_eq!(&now[..3], "max");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
