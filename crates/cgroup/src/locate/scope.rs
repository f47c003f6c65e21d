//! `linux.cgroupsPath` for systemd: `slice:prefix:name`, as runc reads it. Pure.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::locate::layout::Layout;
use crate::locate::path::CgroupsPath;
use crate::locate::place::{Placement, place};

/// The unit that a container's processes live in, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Its slice, such as `system.slice`.
    pub slice: String,
    /// Its name, such as `kan-web.scope`.
    pub unit: String,
    /// The slice's cgroup: each dash in its name is a level (systemd.slice(5)).
    slice_path: PathBuf,
}

impl Scope {
    /// Takes `linux.cgroupsPath` and the container's id. Where the path is missing or empty it is
    /// as if it were `:kan:ID`; where the slice is empty it is system.slice, or user.slice for a
    /// container of a user's own manager.
    ///
    /// # Errors
    /// [`Error::Path`] where the path has not three parts, or the slice is none.
    pub fn parse(cgroups_path: Option<&str>, id: &str, is_users: bool) -> Result<Self> {
        let given = cgroups_path.filter(|path| !path.is_empty());
        let default = format!(":kan:{id}");
        let text = given.unwrap_or(&default);
        let error = |why| Error::Path {
            path: text.to_owned(),
            why,
        };
        let parts: Vec<&str> = text.split(':').collect();
        let [slice, prefix, name] = parts[..] else {
            return Err(error("is not slice:prefix:name, as systemd wants it"));
        };
        if name.is_empty() || [prefix, name].iter().any(|part| part.contains(['/', '\0'])) {
            return Err(error("names no unit"));
        }
        let slice = match slice {
            "" if is_users => "user.slice",
            "" => "system.slice",
            slice => slice,
        };
        let slice_path = slice_path(slice).ok_or_else(|| error("names no slice"))?;
        Ok(Self {
            slice: slice.to_owned(),
            unit: format!("{prefix}-{name}.scope"),
            slice_path,
        })
    }

    /// The directories of the unit's cgroup, or of one below it. `manager` is the cgroup that a
    /// user's manager rules; empty for the system's.
    ///
    /// # Errors
    /// As [`place`].
    pub fn place(&self, layout: &Layout, manager: &str, below: &str) -> Result<Placement> {
        let path = PathBuf::from("/")
            .join(manager.trim_start_matches('/'))
            .join(&self.slice_path)
            .join(&self.unit)
            .join(below);
        let text = path.to_string_lossy();
        place(layout, &CgroupsPath::parse(Some(&text), &self.unit)?)
    }
}

/// `a-b.slice` lies in `a.slice`; `-.slice` is the root.
fn slice_path(slice: &str) -> Option<PathBuf> {
    let name = slice.strip_suffix(".slice")?;
    if name == "-" {
        return Some(PathBuf::new());
    }
    if name.contains(['/', '\0']) || name.split('-').any(str::is_empty) {
        return None;
    }
    let ends = name.match_indices('-').map(|(at, _)| at);
    let levels = ends.chain([name.len()]);
    Some(
        levels
            .map(|end| format!("{}.slice", &name[..end]))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::layout::{Hierarchy, Version};

    fn unified() -> Layout {
        Layout::Unified(Hierarchy {
            mount: "/sys/fs/cgroup".into(),
            controllers: Vec::new(),
            version: Version::V2,
            own: None,
        })
    }

    fn path(cgroups_path: Option<&str>, is_users: bool, manager: &str, below: &str) -> String {
        let scope = Scope::parse(cgroups_path, "web", is_users).unwrap();
        let placement = scope.place(&unified(), manager, below).unwrap();
        placement.v2().unwrap().path().display().to_string()
    }

    #[test]
    fn dashes_in_a_slice_are_levels() {
        assert_eq!(
            path(Some("a-b-c.slice:libpod:x"), false, "", ""),
            "/sys/fs/cgroup/a.slice/a-b.slice/a-b-c.slice/libpod-x.scope"
        );
        assert_eq!(
            path(Some("-.slice:p:x"), false, "", ""),
            "/sys/fs/cgroup/p-x.scope"
        );
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        assert_eq!(
            path(None, false, "", ""),
            "/sys/fs/cgroup/system.slice/kan-web.scope"
        );
        assert_eq!(
            path(
                Some(""),
                true,
                "/user.slice/user-7.slice/user@7.service",
                ""
            ),
            "/sys/fs/cgroup/user.slice/user-7.slice/user@7.service/user.slice/kan-web.scope"
        );
        assert_eq!(
            path(Some(":p:x"), false, "", "container"),
            "/sys/fs/cgroup/system.slice/p-x.scope/container"
        );
    }

    #[test]
    fn the_units_own_cgroup_is_found_from_below() {
        let scope = Scope::parse(Some("a.slice:p:x"), "web", false).unwrap();
        let below = scope.place(&unified(), "", "inner/most").unwrap();
        let own = scope.place(&unified(), "", "").unwrap();
        assert_eq!(below.up_to(&scope.unit), own);
        assert_eq!(own.up_to(&scope.unit), own);
        assert_eq!(own.up_to("other.scope"), own);
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in [
            "/a/b",
            "a:b",
            "a:b:c:d",
            "a:b:c",
            "a/b.slice:p:x",
            "a--b.slice:p:x",
            "-a.slice:p:x",
            ".slice:p:x",
            "a.slice:p:",
            "a.slice:p:x/y",
        ] {
            assert!(Scope::parse(Some(wrong), "web", false).is_err(), "{wrong}");
        }
    }
}
