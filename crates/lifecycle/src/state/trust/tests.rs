use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

const OTHER: u32 = 4321;

fn of(uid: u32) -> Trust {
    let overflow = || None;
    Trust { uid, overflow }
}

/// A directory below /tmp, which is sticky and everybody's.
struct Scene(PathBuf);

impl Scene {
    fn new(name: &str) -> Self {
        Self(crate::os::directory::scratch(&format!("trust-{name}")))
    }

    fn directory(&self, name: &str, mode: u32, owner: u32) -> &Self {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap();
        chown(&path, Some(owner), None).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        self
    }

    fn link(&self, name: &str, target: &str, owner: u32) -> &Self {
        let path = self.0.join(name);
        symlink(target, &path).unwrap();
        std::os::unix::fs::lchown(&path, Some(owner), None).unwrap();
        self
    }

    /// What is wrong with a path, or the directory that it led to.
    fn resolve(&self, trust: Trust, name: &str) -> std::result::Result<PathBuf, String> {
        let found = trust.resolve(&self.0.join(name), true);
        let found = found.map_err(|error| match error {
            Error::Untrusted { path, why } => {
                let path = path.strip_prefix(&self.0).unwrap_or(&path).display();
                format!("{path}: {why}")
            }
            other => other.to_string(),
        })?;
        let path = found.unwrap().path().to_owned();
        Ok(path.strip_prefix(&self.0).unwrap_or(&path).to_owned())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
#[ignore = "needs root"]
fn each_component_belongs_to_whom_kan_trusts() {
    let scene = Scene::new("components");
    scene
        .directory("own", 0o755, 0)
        .directory("own/private", 0o700, 0)
        .directory("open", 0o777, 0)
        .directory("open/x", 0o700, 0)
        .directory("group", 0o775, 0)
        .directory("sticky", 0o1777, 0)
        .directory("sticky/own", 0o700, 0)
        .directory("sticky/other", 0o755, OTHER)
        .directory("sticky/other/own", 0o700, 0)
        .directory("other", 0o755, OTHER)
        .link("link", "own/private", 0)
        .link("absolute", "/", 0)
        .link("up", "own/../sticky/own", 0)
        .link("own/relative", "../sticky", 0)
        .link("of-other", "own", OTHER)
        .link("to-other", "other", 0)
        .link("around", "around", 0);
    let good = [
        ("own", "own"),
        ("own/private/new/deep", "own/private/new/deep"),
        ("sticky", "sticky"),
        ("sticky/own", "sticky/own"),
        ("sticky/new", "sticky/new"),
        ("link/", "own/private"),
        ("link/../private", "own/private"),
        ("absolute", "/"),
        ("up", "sticky/own"),
        ("own/relative/own", "sticky/own"),
    ];
    for (path, expected) in good {
        assert_eq!(scene.resolve(of(0), path), Ok(expected.into()), "{path}");
    }
    let owner = "owned by uid 4321, expected root";
    let bad = [
        ("open", "open: writable by other users (mode 0777)".into()),
        ("open/x", "open: writable by other users (mode 0777)".into()),
        (
            "open/new",
            "open: writable by other users (mode 0777)".into(),
        ),
        ("group", "group: writable by other users (mode 0775)".into()),
        ("other", format!("other: {owner}")),
        ("sticky/other", format!("sticky/other: {owner}")),
        ("sticky/other/own", format!("sticky/other: {owner}")),
        ("of-other", format!("of-other: a symbolic link {owner}")),
        ("to-other", format!("other: {owner}")),
    ];
    for (path, expected) in bad {
        assert_eq!(scene.resolve(of(0), path), Err(expected), "{path}");
    }
    assert!(!scene.0.join("open/new").exists());
    let error = scene.resolve(of(0), "around").unwrap_err();
    assert!(
        error.ends_with("too many symbolic links encountered"),
        "{error}"
    );
}

#[test]
#[ignore = "needs root"]
fn a_user_trusts_root_and_themself() {
    let scene = Scene::new("users");
    scene
        .directory("root", 0o755, 0)
        .directory("user", 0o700, OTHER)
        .directory("third", 0o755, 65534)
        .link("link", "user", OTHER);
    for path in ["root", "user", "link"] {
        assert!(scene.resolve(of(OTHER), path).is_ok(), "{path}");
    }
    let error = scene.resolve(of(OTHER), "third").unwrap_err();
    assert_eq!(
        error,
        "third: owned by uid 65534, expected root or uid 4321"
    );
    // In a user namespace, where the host's root is not mapped.
    let overflow = || Some(65534);
    let mapped = Trust { uid: 0, overflow };
    assert!(scene.resolve(mapped, "third").is_ok());
    assert!(scene.resolve(mapped, "user").is_err());
}

#[test]
fn what_is_missing_is_created_for_kan_alone_or_reported() {
    let scene = Scene::new("missing");
    let trust = Trust::of_this_process();
    let path = scene.0.join("a/b");
    assert!(trust.resolve(&path, false).unwrap().is_none());
    assert!(!scene.0.join("a").exists());
    assert_eq!(trust.resolve(&path, true).unwrap().unwrap().path(), path);
    for made in [&scene.0.join("a"), &path] {
        let mode = fs::metadata(made).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
    fs::write(scene.0.join("file"), "").unwrap();
    let error = trust.resolve(&scene.0.join("file/x"), true).unwrap_err();
    assert!(error.to_string().ends_with("not a directory"), "{error}");
}

#[test]
fn in_the_first_user_namespace_nobody_is_nobody() {
    if is_in_first_user_namespace() {
        assert_eq!(overflow_uid(), None);
    } else {
        assert!(overflow_uid().is_some());
    }
}
