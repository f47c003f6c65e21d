//! Where a path of the container lies on the host, before there is a container. For advice alone:
//! what is found is never used to act, so it does no harm that somebody may change it meanwhile.

use kan_spec::config::Config;
use std::path::{Component, Path, PathBuf};

/// The most symbolic links on the way, as in path_resolution(7).
const MOST_LINKS: usize = 40;

/// The container's root file system and what will be mounted on it.
pub(crate) struct ContainerPaths {
    root: PathBuf,
    /// Destination, and the source of a bind mount.
    mounts: Vec<(PathBuf, Option<PathBuf>)>,
}

impl ContainerPaths {
    pub(crate) fn new(root: PathBuf, bundle: &Path, config: &Config) -> Self {
        let mounts = config.mounts.iter().map(|mount| {
            let mut options = mount.options.iter();
            let is_bind = mount.r#type.as_deref() == Some("bind")
                || options.any(|option| option == "bind" || option == "rbind");
            let source = mount.source.as_ref().filter(|_| is_bind);
            let destination = Path::new("/").join(&mount.destination);
            (destination, source.map(|source| bundle.join(source)))
        });
        let mounts = mounts.collect();
        Self { root, mounts }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The file on the host; the error if it is missing; `None` if that can't be known.
    pub(crate) fn find(&self, path: &Path) -> Option<std::io::Result<PathBuf>> {
        let mut left: Vec<PathBuf> = parts(path);
        let mut here = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == Path::new("..") {
                here.pop();
                continue;
            }
            let next = here.join(&part);
            let file = self.on_host(&next)?;
            let about = match std::fs::symlink_metadata(&file) {
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return None,
                Err(error) => return Some(Err(error)),
                Ok(about) => about,
            };
            if !about.is_symlink() {
                here = next;
                continue;
            }
            links += 1;
            let target = std::fs::read_link(&file)
                .ok()
                .filter(|_| links <= MOST_LINKS)?;
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            left.extend(parts(&target));
        }
        self.on_host(&here).map(Ok)
    }

    /// Later mounts cover earlier ones. What a new file system holds is not known.
    fn on_host(&self, path: &Path) -> Option<PathBuf> {
        let mut covering = self.mounts.iter().rev();
        let found = covering.find_map(|(at, source)| Some((path.strip_prefix(at).ok()?, source)));
        match found {
            None => Some(self.root.join(path.strip_prefix("/").unwrap_or(path))),
            Some((below, Some(source))) if below.as_os_str().is_empty() => Some(source.clone()),
            Some((below, Some(source))) => Some(source.join(below)),
            Some((below, None)) if below.as_os_str().is_empty() => {
                Some(self.root.join(path.strip_prefix("/").unwrap_or(path)))
                    .filter(|at| at.is_dir())
            }
            Some((_, None)) => None,
        }
    }
}

/// The names of a path, the last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kan_spec::config::Mount;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_bind_mounts_are_followed() {
        let top = std::env::temp_dir().join(format!("kan-paths-{}", std::process::id()));
        let (root, usr) = (top.join("root"), top.join("usr"));
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::create_dir_all(usr.join("bin")).unwrap();
        std::fs::write(usr.join("bin/sh"), "").unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink("/../../bin/sh", root.join("etc/shell")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let mount = |destination: &str, r#type: &str, source: &Path| Mount {
            destination: destination.into(),
            r#type: Some(r#type.into()),
            source: Some(source.to_str().unwrap().into()),
            ..Mount::default()
        };
        let config = Config {
            mounts: vec![
                mount("/usr", "bind", &usr),
                mount("/tmp", "tmpfs", Path::new("tmpfs")),
            ],
            ..Config::default()
        };
        let paths = ContainerPaths::new(root, Path::new("/"), &config);
        let find = |path: &str| paths.find(Path::new(path));
        for path in ["/usr/bin/sh", "/bin/sh", "/etc/shell"] {
            assert_eq!(find(path).unwrap().unwrap(), usr.join("bin/sh"), "{path}");
        }
        assert!(find("/bin/none").unwrap().is_err());
        assert!(find("/tmp/anything").is_none());
        assert!(find("/loop").is_none());
        std::fs::remove_dir_all(&top).unwrap();
    }
}
