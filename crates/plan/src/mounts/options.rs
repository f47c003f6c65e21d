//! `mounts[].options`: config.md, Linux mount options; mount(8).

use crate::mounts::data;
use linux_raw_sys::general::{
    MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME, MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE,
};

/// What one option asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Attributes of the mount: set and cleared.
    Attribute { set: u32, clear: u32 },
    /// Likewise, of the mount and all below it.
    Recursive { set: u32, clear: u32 },
    /// The mount's propagation, of all below it too if so.
    Propagation { flag: u32, recursive: bool },
    /// A flag of the file system itself, fsconfig(2).
    Superblock(&'static str),
    /// Copies a tree instead of mounting a new file system.
    Bind { recursive: bool },
    /// What kan does with the mount itself.
    Extra(Extra),
    /// What Linux does anyway.
    Default,
}

/// Options that are no flags of the kernel's mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    /// What is mounted at the destination already changes.
    Remount,
    /// MS_I_VERSION of mount(2).
    InodeVersion,
    /// The ids of the files are mapped; of those in mounts below too if so.
    MapIds {
        /// `ridmap`
        recursive: bool,
    },
    /// What the mount covers is copied into it.
    CopyUp,
    /// A source that is a symbolic link is made anew, not mounted: crun.
    CopyLink,
    /// A source that is a symbolic link is mounted itself: crun.
    SourceLink,
    /// A destination that is a symbolic link is mounted on itself: crun.
    DestinationLink,
}

/// `atime` values exclude each other, so that setting one clears the field.
const fn atime(set: u32) -> Meaning {
    Meaning::Attribute {
        set,
        clear: MOUNT_ATTR__ATIME,
    }
}

const fn on(set: u32) -> Meaning {
    Meaning::Attribute { set, clear: 0 }
}

const fn off(clear: u32) -> Meaning {
    Meaning::Attribute { set: 0, clear }
}

const fn propagation(flag: u32, recursive: bool) -> Meaning {
    Meaning::Propagation { flag, recursive }
}

/// Every option that is not left to the file system.
const TABLE: [(&str, Meaning); 47] = [
    ("defaults", Meaning::Default),
    ("ro", on(MOUNT_ATTR_RDONLY)),
    ("rw", off(MOUNT_ATTR_RDONLY)),
    ("nosuid", on(MOUNT_ATTR_NOSUID)),
    ("suid", off(MOUNT_ATTR_NOSUID)),
    ("nodev", on(MOUNT_ATTR_NODEV)),
    ("dev", off(MOUNT_ATTR_NODEV)),
    ("noexec", on(MOUNT_ATTR_NOEXEC)),
    ("exec", off(MOUNT_ATTR_NOEXEC)),
    ("nosymfollow", on(MOUNT_ATTR_NOSYMFOLLOW)),
    ("symfollow", off(MOUNT_ATTR_NOSYMFOLLOW)),
    ("nodiratime", on(MOUNT_ATTR_NODIRATIME)),
    ("diratime", off(MOUNT_ATTR_NODIRATIME)),
    ("noatime", atime(MOUNT_ATTR_NOATIME)),
    ("strictatime", atime(MOUNT_ATTR_STRICTATIME)),
    ("atime", atime(0)),
    ("relatime", atime(0)),
    ("norelatime", atime(0)),
    ("nostrictatime", atime(0)),
    ("shared", propagation(MS_SHARED, false)),
    ("rshared", propagation(MS_SHARED, true)),
    ("slave", propagation(MS_SLAVE, false)),
    ("rslave", propagation(MS_SLAVE, true)),
    ("private", propagation(MS_PRIVATE, false)),
    ("rprivate", propagation(MS_PRIVATE, true)),
    ("unbindable", propagation(MS_UNBINDABLE, false)),
    ("runbindable", propagation(MS_UNBINDABLE, true)),
    ("bind", Meaning::Bind { recursive: false }),
    ("rbind", Meaning::Bind { recursive: true }),
    ("sync", Meaning::Superblock("sync")),
    ("dirsync", Meaning::Superblock("dirsync")),
    ("lazytime", Meaning::Superblock("lazytime")),
    ("mand", Meaning::Superblock("mand")),
    ("async", Meaning::Default),
    ("nolazytime", Meaning::Default),
    ("nomand", Meaning::Default),
    ("loud", Meaning::Default),
    ("silent", Meaning::Default),
    ("noiversion", Meaning::Default),
    ("iversion", Meaning::Extra(Extra::InodeVersion)),
    ("remount", Meaning::Extra(Extra::Remount)),
    ("idmap", Meaning::Extra(Extra::MapIds { recursive: false })),
    ("ridmap", Meaning::Extra(Extra::MapIds { recursive: true })),
    ("tmpcopyup", Meaning::Extra(Extra::CopyUp)),
    ("copy-symlink", Meaning::Extra(Extra::CopyLink)),
    ("src-nofollow", Meaning::Extra(Extra::SourceLink)),
    ("dest-nofollow", Meaning::Extra(Extra::DestinationLink)),
];

fn meaning(option: &str) -> Option<Meaning> {
    let found = TABLE.iter().find(|(name, _)| *name == option);
    found
        .map(|(_, meaning)| *meaning)
        .or_else(|| recursive_meaning(option))
}

/// `rro`, `rnosuid` and so on: the attribute, for the mount and all below it.
fn recursive_meaning(option: &str) -> Option<Meaning> {
    let name = option.strip_prefix('r')?;
    match TABLE.iter().find(|(other, _)| *other == name)?.1 {
        Meaning::Attribute { set, clear } => Some(Meaning::Recursive { set, clear }),
        _ => None,
    }
}

/// The names of all options that kan itself carries out, sorted: for `kan features`.
pub(crate) fn known() -> Vec<String> {
    let plain = TABLE.iter().map(|(name, _)| (*name).to_owned());
    let below = TABLE.iter().map(|(name, _)| format!("r{name}"));
    let mut names: Vec<_> = plain
        .chain(below)
        .filter(|name| meaning(name).is_some())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A list of options, sorted by what they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Attributes to set on the mount.
    pub(crate) set: u32,
    /// Attributes to clear.
    pub(crate) clear: u32,
    /// Attributes to set on the mount and all below it.
    pub(crate) set_below: u32,
    /// Attributes to clear likewise.
    pub(crate) clear_below: u32,
    /// Propagation changes in their order: flag, and whether it is recursive.
    pub(crate) propagation: Vec<(u32, bool)>,
    /// `bind`; true if `rbind` is among the options as well, wherever it stands.
    pub(crate) bind: Option<bool>,
    /// Parameters of the filesystem itself: option index, key, value.
    pub(crate) data: Vec<(usize, String, Option<String>)>,
    /// What kan does with the mount itself: option index and which.
    pub(crate) extras: Vec<(usize, Extra)>,
}

impl Options {
    /// Sorts the options of a mount of type `fstype`; a later one overrides an earlier one.
    pub(crate) fn parse(options: &[String], fstype: &str) -> Self {
        let mut parsed = Self::default();
        for (index, option) in options.iter().enumerate() {
            parsed.take(index, option, fstype);
        }
        parsed
    }

    /// Whether one of the options is this.
    pub(crate) fn has(&self, wanted: Extra) -> bool {
        self.extras.iter().any(|(_, extra)| *extra == wanted)
    }

    /// Whether `idmap` or `ridmap` is among the options; the latter if so.
    pub(crate) fn maps_ids(&self) -> Option<bool> {
        self.extras.iter().rev().find_map(|(_, extra)| match extra {
            Extra::MapIds { recursive } => Some(*recursive),
            _ => None,
        })
    }

    fn take(&mut self, index: usize, option: &str, fstype: &str) {
        match meaning(option) {
            Some(Meaning::Attribute { set, clear }) => {
                self.set = self.set & !clear | set;
                self.clear = self.clear & !set | clear;
            }
            Some(Meaning::Recursive { set, clear }) => {
                self.set_below = self.set_below & !clear | set;
                self.clear_below = self.clear_below & !set | clear;
            }
            Some(Meaning::Propagation { flag, recursive }) => {
                self.propagation.push((flag, recursive));
            }
            // MS_BIND and MS_REC of mount(2) add up: CRI-O appends `bind` to every volume.
            Some(Meaning::Bind { recursive }) => {
                self.bind = Some(recursive || self.bind == Some(true));
            }
            Some(Meaning::Superblock(flag)) => self.data.push((index, flag.into(), None)),
            Some(Meaning::Default) => {}
            Some(Meaning::Extra(extra)) => self.extras.push((index, extra)),
            None => {
                let words = data::split(option, fstype).into_iter();
                let parameters = words.map(data::parameter);
                self.data
                    .extend(parameters.map(|(key, value)| (index, key, value)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Options {
        Options::parse(
            &options
                .iter()
                .map(|&option| option.to_owned())
                .collect::<Vec<_>>(),
            "tmpfs",
        )
    }

    #[test]
    fn a_later_option_overrides_an_earlier_one() {
        assert_eq!(parse(&["ro", "rw"]).set, 0);
        assert_eq!(parse(&["rw", "ro"]).set, MOUNT_ATTR_RDONLY);
        assert_eq!(
            parse(&["noatime", "strictatime"]).set,
            MOUNT_ATTR_STRICTATIME
        );
    }

    #[test]
    fn an_r_in_front_reaches_below() {
        assert_eq!(parse(&["rro"]).set_below, MOUNT_ATTR_RDONLY);
        assert_eq!(parse(&["rro"]).set, 0);
        assert_eq!(parse(&["rsuid"]).clear_below, MOUNT_ATTR_NOSUID);
        assert_eq!(
            parse(&["relatime"]),
            Options {
                clear: MOUNT_ATTR__ATIME,
                ..Options::default()
            }
        );
        assert_eq!(parse(&["rrelatime"]).clear_below, MOUNT_ATTR__ATIME);
    }

    #[test]
    fn the_known_ones_are_those_that_are_carried_out() {
        let known = known();
        let has = |name: &str| known.iter().any(|other| other == name);
        assert!(
            [
                "ro",
                "rro",
                "rnosymfollow",
                "runbindable",
                "relatime",
                "rrelatime"
            ]
            .into_iter()
            .all(has)
        );
        assert!(
            !["rbogus", "rrbind", "rlazytime", "mode=755"]
                .into_iter()
                .any(has)
        );
        assert!(known.iter().all(|name| {
            Options::parse(std::slice::from_ref(name), "tmpfs")
                .data
                .iter()
                .all(|(_, key, _)| key == name)
        }));
    }

    #[test]
    fn bind_and_rbind_add_up() {
        assert_eq!(parse(&["bind"]).bind, Some(false));
        assert_eq!(parse(&["rbind", "rprivate", "rw", "bind"]).bind, Some(true));
        assert_eq!(parse(&["bind", "rbind"]).bind, Some(true));
    }

    #[test]
    fn an_option_may_hold_several_parameters() {
        let data = parse(&["ro", "size=1m,mode=755,,noswap"]).data;
        let of = |key: &str, value: Option<&str>| (1, key.to_owned(), value.map(str::to_owned));
        let wanted = [
            of("size", Some("1m")),
            of("mode", Some("755")),
            of("noswap", None),
        ];
        assert_eq!(data, wanted);
    }

    #[test]
    fn an_empty_option_is_nothing() {
        let parsed = parse(&["", "mode=755", ""]);
        assert_eq!(parsed.data, [(1, "mode".into(), Some("755".into()))]);
    }

    #[test]
    fn what_is_no_option_of_the_mount_goes_to_the_file_system() {
        let data = parse(&["nosuid", "mode=755", "newinstance"]).data;
        assert_eq!(data[0], (1, "mode".into(), Some("755".into())));
        assert_eq!(data[1], (2, "newinstance".into(), None));
    }
}
