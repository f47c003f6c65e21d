//! `--pid-file`: the pid of what was made, for whoever started kan.

use crate::Result;
use crate::error::with;
use kan_sys::start::with_callers_umask;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// Written beside the target and renamed, so that a reader never sees half a number. The file beside
/// is made anew and nothing else: in a directory that others may write to, a link could wait
/// there (proc(5), protected_symlinks, is not on everywhere).
pub(crate) fn write(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.{}", std::process::id()));
    // What is left of a kan with this pid that was killed.
    let _ = std::fs::remove_file(&fresh);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = with_callers_umask(|| options.open(&fresh)).map_err(with("create", &fresh))?;
    file.write_all(pid.to_string().as_bytes())
        .map_err(with("write", &fresh))?;
    std::fs::rename(&fresh, path).map_err(with("write", path))
}

#[cfg(test)]
mod tests {
    use super::write;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_link_is_followed() {
        let own = std::process::id();
        let directory = std::env::temp_dir().join(format!("kan-pid-file-{own}"));
        std::fs::create_dir_all(&directory).unwrap();
        let (decoy, target) = (directory.join("decoy"), directory.join("pid"));
        std::fs::write(&decoy, "decoy").unwrap();
        symlink(&decoy, &target).unwrap();
        symlink(&decoy, directory.join(format!(".pid.{own}"))).unwrap();
        write(&target, 7).unwrap();
        assert_eq!(std::fs::read_to_string(&decoy).unwrap(), "decoy");
        assert!(target.symlink_metadata().unwrap().is_file());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "7");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
