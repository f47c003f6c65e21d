//! Container ids: runtime.md, "create": the id MUST be unique; what is no id is refused before
//! it can become a path.

use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "ids::letters_digits_and_punctuation",
            letters_digits_and_punctuation,
        ),
        Case::new("ids::one_character", one_character),
        Case::new("ids::empty_is_refused", empty_is_refused),
        Case::new(
            "ids::what_is_no_name_is_refused",
            what_is_no_name_is_refused,
        )
        .deviates(
            "crun",
            "runtime.md does not restrict ids; engines rely on their being safe names",
            "id \"a b\"",
        ),
        Case::new(
            "ids::parent_directory_is_refused",
            parent_directory_is_refused,
        ),
        Case::new("ids::too_long_is_refused", too_long_is_refused),
        Case::new("ids::unknown_is_an_error_for_every_verb", unknown),
        Case::new("ids::unknown_to_ps", unknown_to_ps)
            .deviates(
                "crun",
                "not in the spec; crun has its own command line",
                "exit status: 253",
            )
            .lacks("kan", "ps", "unrecognized subcommand"),
        Case::new("ids::missing_argument_is_an_error", missing_argument),
    ]
}

/// Texts for an id of the wrong form; runc's changed in 1.2.
const WRONG_FORM: [&str; 3] = [
    "invalid container ID format",
    "invalid id format",
    "invalid container id format",
];

fn letters_digits_and_punctuation(ctx: &mut Ctx) -> Outcome {
    ctx.id.push_str("_a.B+9");
    let bundle = ctx.bundle()?;
    ctx.create(&bundle)?;
    ctx.expect_status("created")
}

fn one_character(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/linux/cgroupsPath", json!(format!("/{}", ctx.id)))
        .save()?;
    ctx.oci(&["create", "--bundle"])
        .arg(&bundle.dir)
        .arg("x")
        .run()?
        .ok()?;
    let state = ctx.oci(&["state", "x"]).run()?.ok()?;
    ctx.oci(&["delete", "x"]).run()?.ok()?;
    check!(
        state.stdout.contains("\"x\""),
        "state does not name it: {}",
        state.stdout
    );
    Ok(())
}

/// Tries to create a container of that id and checks that it is refused without a trace.
fn refused(ctx: &Ctx, bundle: &Bundle, id: &str, texts: &[&str]) -> Outcome {
    bundle.save()?;
    ctx.oci(&["create", "--bundle"])
        .arg(&bundle.dir)
        .arg(id)
        .run()?
        .refuses(texts)?;
    let made: Vec<_> = match std::fs::read_dir(ctx.state_dir()) {
        Ok(entries) => entries.flatten().map(|e| e.path()).collect(),
        Err(_) => Vec::new(),
    };
    check!(made.is_empty(), "refusing {id:?} left {made:?}");
    Ok(())
}

fn empty_is_refused(ctx: &mut Ctx) -> Outcome {
    refused(ctx, &ctx.bundle()?, "", &["container id cannot be empty"])
}

fn what_is_no_name_is_refused(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    for id in ["a b", "a/b", "/abc", "a\nb", "aé", "a;b", "a:b", "..", "%"] {
        refused(ctx, &bundle, id, &WRONG_FORM)
            .map_err(|why| Fault::Failed(format!("id {id:?}: {why}")))?;
    }
    Ok(())
}

fn parent_directory_is_refused(ctx: &mut Ctx) -> Outcome {
    refused(ctx, &ctx.bundle()?, "../victim", &WRONG_FORM)?;
    check!(
        !ctx.dir.join("victim").exists(),
        "made a directory beside its state directory"
    );
    Ok(())
}

/// runc allows 1024 characters, but a file name ends at 255 (NAME_MAX).
fn too_long_is_refused(ctx: &mut Ctx) -> Outcome {
    refused(ctx, &ctx.bundle()?, &"x".repeat(2000), &[""])?;
    ctx.oci(&["state", &"x".repeat(2000)]).run()?.refuses(&[""])
}

fn unknown(ctx: &mut Ctx) -> Outcome {
    for verb in ["state", "start", "kill", "delete", "pause", "resume"] {
        ctx.verb(&[verb])?.refuses(&["container does not exist"])?;
    }
    Ok(())
}

fn unknown_to_ps(ctx: &mut Ctx) -> Outcome {
    ctx.verb(&["ps"])?.refuses(&["container does not exist"])
}

fn missing_argument(ctx: &mut Ctx) -> Outcome {
    for verb in ["create", "state", "start", "kill", "delete"] {
        let done = ctx.oci(&[verb]).run()?;
        check!(
            done.status.code().is_some_and(|c| c != 0),
            "{verb} without an id succeeds"
        );
        check!(
            !done.stderr.trim().is_empty(),
            "{verb} without an id says nothing"
        );
    }
    Ok(())
}
