//! config.md, Mounts: mapped ids, where the source of a bind mount lies among the container's own mounts.

use std::fs;

use super::mount_options::{NO_IDMAP, bind_mapped, expect_owner, look, volume};
use super::mounts::bind;
use super::user_namespace::range;
use crate::harness::prelude::*;

const LISTED_ORDER: &str = "config.md, Mounts: in the listed order";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "mapped_ids::source_in_an_earlier_mount",
            mapped_in_an_earlier_mount,
        )
        .deviates("runc 1.1", NO_IDMAP, "uid: got")
        .deviates("crun 1.8", LISTED_ORDER, "No such file"),
        Case::new(
            "mapped_ids::earlier_mount_in_the_source",
            mapped_with_an_earlier_mount,
        )
        .deviates("runc 1.1", NO_IDMAP, "uid: got")
        .deviates("crun 1.8", LISTED_ORDER, "uid: got"),
        Case::new("mapped_ids::are_not_mapped_again", mapped_twice)
            .deviates("runc 1.1", NO_IDMAP, "exit status: 0")
            .deviates(
                "crun 1.8",
                "runtime.md, Errors: as if the operation were never attempted",
                "left behind",
            ),
    ]
}

/// A bind mount of a directory of the host's at /top/data, and one of `source` in the container's root
/// with mapped ids.
fn bundle_with_data(ctx: &Ctx, name: &str, source: &str, option: &str) -> Result<Bundle, Fault> {
    let (mut bundle, dir) = (ctx.bundle_named(name)?, volume(ctx, 5, 6)?);
    bind(&mut bundle, &dir, "/top/data", &["bind"]);
    let source = bundle.inside(source);
    let map = || json!([range(0, 1000, 10)]);
    bind_mapped(&mut bundle, &source, option, map(), map());
    Ok(bundle)
}

/// "The runtime MUST mount entries in the listed order": what an earlier one brings can be the source
/// of a later one, and covers what the image has there.
fn mapped_in_an_earlier_mount(ctx: &mut Ctx) -> Outcome {
    for (option, hidden) in [("idmap", false), ("ridmap", true)] {
        let mut bundle = bundle_with_data(ctx, option, "top/data", option)?;
        if hidden {
            fs::create_dir_all(bundle.inside("top/data"))?;
            fs::write(bundle.inside("top/data/hidden"), "text")?;
        }
        let paths = ["/volume/file", "/volume/hidden", "/top/data/file"];
        let seen = look(ctx, &mut bundle, &paths)?;
        expect_owner(&seen, "/volume/file", 1005, 1006)?;
        expect_owner(&seen, "/top/data/file", 5, 6)?;
        seen.expect("/~1volume~1hidden/read", &json!("missing"))?;
        ctx.verb(&["delete", "--force"])?;
    }
    Ok(())
}

/// A recursive one takes the earlier mounts below its source along, and `ridmap` maps their ids.
fn mapped_with_an_earlier_mount(ctx: &mut Ctx) -> Outcome {
    for (option, uid) in [("idmap", 5), ("ridmap", 1005)] {
        let mut bundle = bundle_with_data(ctx, option, "top", option)?;
        fs::create_dir_all(bundle.inside("top"))?;
        let seen = look(ctx, &mut bundle, &["/volume/data/file"])?;
        expect_owner(&seen, "/volume/data/file", uid, uid + 1)?;
        ctx.verb(&["delete", "--force"])?;
    }
    Ok(())
}

/// mount_setattr(2): the ids of a mount are mapped once.
fn mapped_twice(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_data(ctx, "twice", "top/data", "idmap")?;
    let map = || json!([range(0, 2000, 10)]);
    let at = bundle.config["mounts"].as_array().map_or(0, Vec::len) - 2;
    bundle.set(&format!("/mounts/{at}/uidMappings"), map());
    bundle.set(&format!("/mounts/{at}/gidMappings"), map());
    ctx.try_create(&bundle)?.refuses(&["not permitted"])?;
    ctx.expect_nothing_left()
}
