//! `spec`: a config.json to start from.

use crate::ExitCode;
use crate::args::shapes::{bundle, bundle_arg, flag, has};
use crate::verb::{Call, Count, Outcome, Verb, failure};

pub(super) const VERB: Verb = Verb {
    name: "spec",
    about: "write a default config.json",
    examples: &["kan spec --bundle /containers/web", "kan spec --rootless"],
    count: Count::Exactly(0),
    // A global flag of this name has a value, crun's and runc's of this command has none.
    args: |command| command.args([bundle_arg(), flag("rootless", "for a user who is not root")]),
    run,
};

/// Whether this host has cgroup v2 alone, cgroups(7).
fn is_unified() -> bool {
    const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
    let opened = kan_sys::file::open(c"/sys/fs/cgroup", kan_sys::file::O_PATH, 0);
    let magic = opened.and_then(kan_sys::mount::filesystem_magic);
    magic.is_ok_and(|magic| magic == CGROUP2_SUPER_MAGIC)
}

fn run(call: &Call<'_>) -> Outcome {
    let text = if has(call.matches, "rootless") {
        use kan_sys::credentials::{effective_gid, effective_uid};
        let (uid, gid) = (effective_uid(), effective_gid());
        kan_spec::rootless_config(uid, gid)
    } else {
        kan_spec::default_config()
    };
    let text = if is_unified() {
        text
    } else {
        kan_spec::without_cgroup_namespace(&text)
    };
    let file = bundle(call.matches).join("config.json");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    let opened = kan_sys::start::with_callers_umask(|| options.open(&file));
    let written = opened.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(failure("File config.json exists. Remove it first"))
        }
        Err(error) => Err(failure(format!(
            "create {}: {}",
            file.display(),
            kan_lifecycle::io_error_text(&error)
        ))),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}
