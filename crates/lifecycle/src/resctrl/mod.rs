//! Intel RDT through resctrl: Documentation/filesystems/resctrl.rst.

pub(crate) mod stats;

use crate::error::with;
use crate::{Error, Result};
use kan_op::host::ResctrlGroup;
use kan_plan::Resctrl;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The host's resctrl, if it is mounted.
pub(crate) fn find() -> Result<Option<Resctrl>> {
    let path = "/proc/self/mountinfo";
    let text = std::fs::read_to_string(path).map_err(with("read", Path::new(path)))?;
    Ok(text.lines().find_map(mount_point).map(at))
}

/// The mount point in a line of mountinfo, if the mount is of resctrl.
pub(crate) fn mount_point(line: &str) -> Option<&str> {
    let (mount, file_system) = line.split_once(" - ")?;
    let is_resctrl = file_system.split(' ').next() == Some("resctrl");
    mount.split(' ').nth(4).filter(|_| is_resctrl)
}

/// What the tree at `root` can do.
pub(crate) fn at(root: &str) -> Resctrl {
    let has = |name: &str| Path::new(root).join("info").join(name).is_dir();
    Resctrl {
        root: root.to_owned(),
        allocates_cache: has("L3") || has("L3CODE"),
        allocates_bandwidth: has("MB"),
        monitors: has("L3_MON"),
    }
}

/// Makes a group, or takes the one that is there, and writes its schemata.
pub(crate) fn make(group: &ResctrlGroup) -> Result<()> {
    let path = Path::new(&group.path);
    let is_there = path.is_dir();
    if group.must_exist && !is_there {
        let why = format!(
            "{}: no such class of service, and no schema to create one",
            group.path
        );
        return Err(Error::Step(why));
    }
    if is_there && group.is_shared {
        compare(path, &group.schemata)?;
    } else {
        make_directory(path)?;
        write_schemata(path, &group.schemata)?;
    }
    match &group.monitor {
        Some(monitor) => make_directory(Path::new(monitor)),
        None => Ok(()),
    }
}

/// Gives a group other schemata, also one that others share: it is they who are asked for. One that
/// is not there is made. Lines before one that the kernel refuses are taken back.
pub(crate) fn change(group: &ResctrlGroup) -> Result<()> {
    let path = Path::new(&group.path);
    make_directory(path)?;
    let before = std::fs::read_to_string(path.join("schemata"));
    write_schemata(path, &group.schemata).inspect_err(|_| {
        if let Ok(before) = before {
            let _ = write(&path.join("schemata"), &before);
        }
    })
}

/// Gives a group the schemata that it had.
pub(crate) fn restore(group: &ResctrlGroup, schemata: &str) -> Result<()> {
    write(&Path::new(&group.path).join("schemata"), schemata)
}

/// Moves a process into each group, from the most general one.
pub(crate) fn join(groups: &[String], pid: i32) -> Result<()> {
    let mut tasks = groups.iter().map(|group| Path::new(group).join("tasks"));
    tasks.try_for_each(|file| write(&file, &pid.to_string()))
}

/// Removes groups, from the most special one; one that is gone is no error.
pub(crate) fn remove(groups: &[String]) -> Result<()> {
    for group in groups {
        match std::fs::remove_dir(group) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // Elsewhere than in resctrl the files do not go with their directory.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                std::fs::remove_dir_all(group).map_err(with("remove", Path::new(group)))?;
            }
            other => other.map_err(with("remove", Path::new(group)))?,
        }
    }
    Ok(())
}

fn make_directory(path: &Path) -> Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(with("create", path)),
    }
}

/// All lines by one write, so that the kernel takes or refuses each, and says which in
/// `info/last_cmd_status`.
fn write_schemata(path: &Path, lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    write(&path.join("schemata"), &(lines.join("\n") + "\n")).map_err(|error| {
        let root = path.parent().unwrap_or(path);
        let said = std::fs::read_to_string(root.join("info/last_cmd_status"));
        let said = said.unwrap_or_default();
        Error::Step(
            format!("{error}: {}", said.trim())
                .trim_end_matches([' ', ':'])
                .to_owned(),
        )
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).open(path);
    let mut file = opened.map_err(with("open", path))?;
    file.write_all(text.as_bytes()).map_err(with("write", path))
}

/// "If the directory exists, the runtime MUST compare the values": what is asked for must be
/// what others, who share the class, rely on.
fn compare(path: &Path, lines: &[String]) -> Result<()> {
    let file = path.join("schemata");
    let present = match lines.is_empty() {
        true => return Ok(()),
        false => std::fs::read_to_string(&file).map_err(with("read", &file))?,
    };
    let present: Vec<_> = present.lines().flat_map(values).collect();
    for line in lines {
        let is_there = |value| present.contains(value);
        if !values(line).iter().all(is_there) {
            let why = format!("{line} is not in {} of the existing class", file.display());
            return Err(Error::Step(why));
        }
    }
    Ok(())
}

/// The settings in a line such as `L3:0=7f0;1=1f`: resource, domain, value. Masks are hexadecimal
/// numbers, with or without zeros in front.
fn values(line: &str) -> Vec<(String, String, String)> {
    let Some((resource, settings)) = line.split_once(':') else {
        return Vec::new();
    };
    let resource = resource.trim();
    let setting = |text: &str| {
        let (domain, value) = text.split_once('=')?;
        let value = value.trim();
        let mask = u64::from_str_radix(value, 16)
            .ok()
            .filter(|_| resource != "MB");
        let value = mask.map_or_else(|| value.to_owned(), |mask| format!("{mask:x}"));
        Some((resource.to_owned(), domain.trim().to_owned(), value))
    };
    settings.split(';').filter_map(setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A tree like resctrl's, whose files do not act.
    struct Tree(std::path::PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("kan-resctrl-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            for directory in [
                "info/L3",
                "info/MB",
                "info/L3_MON",
                "mon_groups",
                "shared/mon_groups",
            ] {
                fs::create_dir_all(path.join(directory)).unwrap();
            }
            fs::write(
                path.join("shared/schemata"),
                "    L3:0=00ff;1=0f\n    MB:0=20;1=100\n",
            )
            .unwrap();
            Self(path)
        }

        fn path(&self, name: &str) -> String {
            self.0.join(name).to_string_lossy().into_owned()
        }

        fn group(&self, name: &str, schemata: &[&str]) -> ResctrlGroup {
            ResctrlGroup {
                path: self.path(name),
                must_exist: false,
                is_shared: false,
                schemata: schemata.iter().map(|&line| line.to_owned()).collect(),
                monitor: None,
            }
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap()
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_group_of_its_own_is_made_joined_and_removed() {
        let tree = Tree::new("own");
        let group = tree.group("c1", &["L3:0=f", "MB:0=50"]);
        make(&group).unwrap();
        assert_eq!(tree.read("c1/schemata"), "L3:0=f\nMB:0=50\n");
        join(std::slice::from_ref(&group.path), 42).unwrap();
        assert_eq!(tree.read("c1/tasks"), "42");
        remove(std::slice::from_ref(&group.path)).unwrap();
        assert!(!tree.0.join("c1").exists());
        remove(&[group.path]).unwrap();
    }

    #[test]
    fn a_group_gets_other_schemata_whoever_shares_it() {
        let tree = Tree::new("change");
        let shared = ResctrlGroup {
            is_shared: true,
            ..tree.group("shared", &["L3:0=f"])
        };
        change(&shared).unwrap();
        assert_eq!(tree.read("shared/schemata"), "L3:0=f\n");
        change(&tree.group("new", &["MB:0=70"])).unwrap();
        assert_eq!(tree.read("new/schemata"), "MB:0=70\n");
    }

    #[test]
    fn monitoring_has_a_group_in_the_class() {
        let tree = Tree::new("monitor");
        let mut group = tree.group("shared", &[]);
        (group.must_exist, group.is_shared) = (true, true);
        group.monitor = Some(tree.path("shared/mon_groups/c1"));
        make(&group).unwrap();
        join(&[group.path, tree.path("shared/mon_groups/c1")], 7).unwrap();
        assert_eq!(
            (
                tree.read("shared/tasks"),
                tree.read("shared/mon_groups/c1/tasks")
            ),
            ("7".into(), "7".into())
        );
    }

    #[test]
    fn a_class_that_others_share_is_compared_and_not_changed() {
        let tree = Tree::new("shared");
        let shared = |lines: &[&str]| ResctrlGroup {
            is_shared: true,
            ..tree.group("shared", lines)
        };
        for fits in [&["L3:0=ff"][..], &["L3:1=0f;0=00ff", "MB:1=100"], &[]] {
            make(&shared(fits)).unwrap();
        }
        for other in ["L3:0=f", "L3:2=ff", "MB:0=ff", "L2:0=ff"] {
            let error = make(&shared(&[other])).unwrap_err().to_string();
            assert!(
                error.starts_with(other) && error.contains("existing class"),
                "{error}"
            );
        }
        assert!(tree.read("shared/schemata").starts_with("    L3:0=00ff"));
    }

    #[test]
    fn a_class_without_a_schema_must_be_there() {
        let tree = Tree::new("missing");
        let group = ResctrlGroup {
            must_exist: true,
            is_shared: true,
            ..tree.group("nowhere", &[])
        };
        assert!(
            make(&group)
                .unwrap_err()
                .to_string()
                .contains("no such class of service")
        );
        assert!(!tree.0.join("nowhere").exists());
    }

    #[test]
    fn what_a_tree_can_do_is_in_its_info() {
        let tree = Tree::new("facts");
        let root = tree.path("");
        let all = at(root.trim_end_matches('/'));
        assert!(all.allocates_cache && all.allocates_bandwidth && all.monitors);
        fs::remove_dir(tree.0.join("info/MB")).unwrap();
        assert!(!at(&root).allocates_bandwidth);
    }

    #[test]
    fn the_mount_is_found_by_its_type() {
        let line = "42 35 0:37 / /sys/fs/resctrl rw,relatime shared:16 - resctrl resctrl rw";
        assert_eq!(mount_point(line), Some("/sys/fs/resctrl"));
        assert_eq!(mount_point(&line.replace("- resctrl", "- tmpfs")), None);
    }
}
