//! Intel RDT in `update`: other schemata for the container's class of service.

use crate::commands::update::request::Update;
use crate::os::directory::Directory;
use crate::state::container::Container;
use crate::state::record::Record;
use crate::{Error, Result, resctrl};
use kan_cgroup::Placement;
use kan_op::host::ResctrlGroup;
use kan_plan::{Resctrl, resctrl_group, resctrl_own_groups};
use kan_spec::config::Config;
use std::path::Path;

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    group: Option<ResctrlGroup>,
    /// The container's record, if it gets a group only now.
    record: Option<Record>,
}

impl Classes {
    pub(crate) fn plan(container: &Container, record: &Record, update: &Update) -> Result<Self> {
        if update.l3_cache_schema.is_none() && update.mem_bw_schema.is_none() {
            return Ok(Self::default());
        }
        let resctrl = resctrl::find()?;
        check(resctrl.as_ref(), update)?;
        let Some(resctrl) = resctrl else {
            return Ok(Self::default());
        };
        Ok(Self::on(&resctrl, container.config()?, record, update))
    }

    fn on(resctrl: &Resctrl, mut config: Config, record: &Record, update: &Update) -> Self {
        let linux = config.linux.get_or_insert_default();
        let is_new = linux.intel_rdt.is_none();
        let rdt = linux.intel_rdt.get_or_insert_default();
        rdt.schemata.clear();
        rdt.l3_cache_schema.clone_from(&update.l3_cache_schema);
        rdt.mem_bw_schema.clone_from(&update.mem_bw_schema);
        let group = resctrl_group(rdt, resctrl, &record.id);
        let record = is_new.then(|| Record {
            resctrl: resctrl_own_groups(&config, resctrl, &record.id),
            ..record.clone()
        });
        Self {
            group: Some(group),
            record,
        }
    }

    /// A group that is made now goes with the container: that is written down before.
    pub(crate) fn remember(&self, directory: &Directory) -> Result<()> {
        let record = self.record.as_ref();
        record.map_or(Ok(()), |record| record.save(directory))
    }

    /// The record is as it was, when nothing came of the group.
    pub(crate) fn forget(&self, record: &Record, directory: &Directory) {
        if self.record.is_some() {
            // Its failure would hide what went wrong before.
            let _ = record.save(directory);
        }
    }

    /// Writes the schemata; into a group that is new all of the container's processes are moved.
    pub(crate) fn change(&self, placement: &Placement) -> Result<Changed<'_>> {
        let Some(group) = &self.group else {
            return Ok(Changed(None));
        };
        let before = std::fs::read_to_string(Path::new(&group.path).join("schemata")).ok();
        resctrl::change(group)?;
        let changed = Changed(Some((group, before)));
        if self.record.is_none() {
            return Ok(changed);
        }
        match self.move_into(group, placement) {
            Ok(()) => Ok(changed),
            Err(error) => {
                changed.take_back();
                Err(error)
            }
        }
    }

    fn move_into(&self, group: &ResctrlGroup, placement: &Placement) -> Result<()> {
        for pid in kan_cgroup::processes(placement)? {
            let pid = pid.as_raw_nonzero().get();
            resctrl::join(std::slice::from_ref(&group.path), pid)?;
        }
        Ok(())
    }
}

/// A class that was changed, and its schemata before; none where it is new.
pub(crate) struct Changed<'c>(Option<(&'c ResctrlGroup, Option<String>)>);

impl Changed<'_> {
    /// Who was in a group that is removed belongs to the one above again, resctrl.rst. A failure
    /// would hide the first one.
    pub(crate) fn take_back(self) {
        let Some((group, before)) = self.0 else {
            return;
        };
        let _ = match before {
            Some(schemata) => resctrl::restore(group, &schemata),
            None => resctrl::remove(std::slice::from_ref(&group.path)),
        };
    }
}

/// runc's words.
fn check(resctrl: Option<&Resctrl>, update: &Update) -> Result<()> {
    let why = if update.l3_cache_schema.is_some() && !resctrl.is_some_and(|r| r.allocates_cache) {
        "Intel RDT/CAT: l3 cache schema is not enabled"
    } else if update.mem_bw_schema.is_some() && !resctrl.is_some_and(|r| r.allocates_bandwidth) {
        "Intel RDT/MBA: memory bandwidth schema is not enabled"
    } else {
        return Ok(());
    };
    Err(Error::Status(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(config: &str) -> Classes {
        let config = kan_spec::parse_config(config.as_bytes()).unwrap().value;
        let record = serde_json::json!({
            "version": 1, "oci_version": "1.3.0", "id": "c", "bundle": "/b", "rootfs": "/b/r",
            "created": "", "owner": 0, "annotations": {}, "cgroups": [], "init": null,
        });
        let resctrl = Resctrl {
            root: "/sys/fs/resctrl".into(),
            allocates_cache: true,
            allocates_bandwidth: true,
            monitors: false,
        };
        let update = Update {
            l3_cache_schema: Some("L3:0=f".into()),
            ..Update::default()
        };
        Classes::on(
            &resctrl,
            config,
            &serde_json::from_value(record).unwrap(),
            &update,
        )
    }

    #[test]
    fn a_class_of_the_config_is_changed_and_belongs_to_whom_it_did() {
        let classes = planned(
            r#"{"ociVersion": "1.3.0", "root": {"path": "r"}, "linux": {"intelRdt": {"closID": "gold", "memBwSchema": "MB:0=9"}}}"#,
        );
        let group = classes.group.unwrap();
        assert_eq!(group.path, "/sys/fs/resctrl/gold");
        assert_eq!(group.schemata, ["L3:0=f"]);
        assert!(classes.record.is_none());
    }

    #[test]
    fn a_container_without_a_class_gets_one_that_goes_with_it() {
        let classes = planned(r#"{"ociVersion": "1.3.0", "root": {"path": "r"}}"#);
        assert_eq!(classes.group.unwrap().path, "/sys/fs/resctrl/c");
        assert_eq!(classes.record.unwrap().resctrl, ["/sys/fs/resctrl/c"]);
    }

    #[test]
    fn a_host_without_it_is_told_as_runc_tells_it() {
        let l3 = Update {
            l3_cache_schema: Some("L3:0=f".into()),
            ..Update::default()
        };
        let error = check(None, &l3).unwrap_err().to_string();
        assert_eq!(error, "Intel RDT/CAT: l3 cache schema is not enabled");
        let bandwidth = Update {
            mem_bw_schema: Some("MB:0=9".into()),
            ..Update::default()
        };
        let error = check(None, &bandwidth).unwrap_err().to_string();
        assert_eq!(
            error,
            "Intel RDT/MBA: memory bandwidth schema is not enabled"
        );
        assert!(check(None, &Update::default()).is_ok());
    }

    #[test]
    fn a_change_is_taken_back() {
        let dir = std::env::temp_dir().join(format!("kan-classes-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let schemata = dir.join("schemata");
        std::fs::write(&schemata, "L3:0=ff\n").unwrap();
        let mut classes = planned(r#"{"ociVersion": "1.3.0", "root": {"path": "r"}}"#);
        classes.record = None;
        let group = classes.group.as_mut().unwrap();
        group.path = dir.to_string_lossy().into_owned();
        let changed = classes.change(&Placement::default()).unwrap();
        assert!(
            std::fs::read_to_string(&schemata)
                .unwrap()
                .contains("L3:0=f\n")
        );
        changed.take_back();
        assert_eq!(std::fs::read_to_string(&schemata).unwrap(), "L3:0=ff\n");
        std::fs::remove_dir_all(&dir).unwrap();
        // One that is made for it goes again.
        let changed = classes.change(&Placement::default());
        if let Ok(changed) = changed {
            changed.take_back();
        }
        assert!(!dir.exists());
    }
}
