//! Two commands for one container at the same time.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::unistd::Pid;
use rustix::process::Pid as RustixPid;

use crate::leftovers::{Snapshot, await_exit, reap};
use crate::outcome::{Fault, Outcome, Verdict, check, fail};
use crate::registers;
use crate::stage::{Config, Done, Stage};
use crate::sweep::{await_status, is_one_line, unchanged};
use crate::tracer::{self, Deed, Ended, Role, Strike, Trace};

const EXISTS: &str = "already exists";

/// The bundle, and the parents of the cgroups, which stay.
fn prepare(stage: &Stage) -> Outcome<Snapshot> {
    let config = stage.config(Config::Small, &["wait"])?;
    stage.make_bundle(&stage.bundle(), &config)?;
    stage.execute(&creation(stage))?.quiet()?;
    stage.kan(&["delete", "--force"])?.quiet()?;
    Ok(stage.place.snapshot())
}

fn creation(stage: &Stage) -> Vec<String> {
    stage.making(&["create"], &stage.bundle(), &stage.id)
}

/// Several `create`s of one id leave one container and an error for each of the others.
pub fn creates_at_once(stage: &Stage) -> Verdict {
    let before = prepare(stage)?;
    let (rounds, rivals) = (20, 3);
    for _ in 0..rounds {
        let words = creation(stage);
        let children: Vec<_> = (0..rivals)
            .map(|_| spawn(&words))
            .collect::<Result<_, _>>()?;
        let ended: Vec<_> = children
            .into_iter()
            .map(Rival::wait)
            .collect::<Result<_, _>>()?;
        let winners = ended.iter().filter(|(code, _)| *code == Some(0)).count();
        let losers = ended
            .iter()
            .filter(|(code, errors)| *code == Some(1) && errors.contains(EXISTS));
        check!(
            (winners, losers.count()) == (1, rivals - 1),
            "{rivals} creates: {ended:?}"
        );
        is_whole(stage)?;
        unchanged(stage, &before)?;
    }
    Ok(format!("{rounds} rounds of {rivals}"))
}

/// The container can be started and deleted.
fn is_whole(stage: &Stage) -> Outcome {
    await_status(stage, "created")?;
    stage.kan(&["start"])?.quiet()?;
    await_status(stage, "running")?;
    stage.kan(&["delete", "--force"])?.quiet()?;
    Ok(())
}

/// A command of which only the end is wanted.
struct Rival {
    child: Child,
    errors: File,
}

fn spawn(words: &[String]) -> Outcome<Rival> {
    let errors = tempfile::tempfile()?;
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let child = command.stderr(errors.try_clone()?).spawn()?;
    Ok(Rival { child, errors })
}

impl Rival {
    fn wait(mut self) -> Outcome<(Option<i32>, String)> {
        let code = self.child.wait()?.code();
        Ok((code, text(&mut self.errors)?))
    }
}

fn text(file: &mut File) -> Outcome<String> {
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Runs `words` and, while it stands at one of its calls, something else: how it ended and what it
/// wrote. `None` if the call did not come.
fn interrupted(words: &[String], index: usize, deed: Deed<'_>) -> Outcome<(Trace, String)> {
    let mut errors = tempfile::tempfile()?;
    let strike = Strike {
        role: Role::Host,
        index,
        unless: |_| false,
        deed,
    };
    let trace = tracer::run(
        words,
        &File::options().write(true).open("/dev/null")?,
        &errors,
        Some(strike),
    )?;
    let errors = text(&mut errors)?;
    Ok((trace, errors))
}

/// One `create` inside another, at every third of its calls: either the inner or the outer one
/// makes the container, and the loser leaves the winner's alone.
pub fn create_within_create(stage: &Stage) -> Verdict {
    let before = prepare(stage)?;
    within(
        stage,
        &before,
        &creation(stage),
        3,
        |trace, errors, inner| {
            let outer = trace.ended == Ended::Exited(0);
            let loser = if outer { &inner.stderr } else { errors };
            check!(
                outer != inner.status.success() && loser.contains(EXISTS),
                "outer {:?} {errors:?}, inner {} {:?}",
                trace.ended,
                inner.status,
                inner.stderr
            );
            is_whole(stage)
        },
    )
}

/// A `create` inside a `delete`, at each of its calls: it is refused, or its container is there afterwards.
pub fn create_within_delete(stage: &Stage) -> Verdict {
    let before = prepare(stage)?;
    let delete = stage.words(&["delete", "--force"], Some(&stage.id));
    within(stage, &before, &delete, 1, |trace, errors, inner| {
        check!(
            trace.ended == Ended::Exited(0),
            "delete: {:?} {errors:?}",
            trace.ended
        );
        if inner.status.success() {
            return is_whole(stage);
        }
        check!(inner.stderr.contains(EXISTS), "create: {:?}", inner.stderr);
        Ok(())
    })
}

/// Walks over the calls of `outer`, with a whole `create` at some of them.
fn within(
    stage: &Stage,
    before: &Snapshot,
    outer: &[String],
    stride: usize,
    judge: impl Fn(&Trace, &str, &Done) -> Outcome,
) -> Verdict {
    let (mut points, mut won) = (0, 0);
    for index in (0..).step_by(stride) {
        if outer.contains(&"delete".into()) {
            stage.execute(&creation(stage))?.quiet()?;
        }
        let mut inner = None;
        let mut look = |_: Pid| inner = Some(stage.execute_beside(&creation(stage)));
        let (trace, errors) = interrupted(outer, index, Deed::Look(&mut look))?;
        let Some(inner) = inner.transpose()? else {
            stage.kan(&["delete", "--force"])?.quiet()?;
            break;
        };
        let call = trace.struck.map_or("?", registers::name);
        let at = |Fault(why)| Fault(format!("call {index}, {call}: {why}"));
        judge(&trace, &errors, &inner).map_err(at)?;
        unchanged(stage, before).map_err(at)?;
        points += 1;
        won += usize::from(inner.status.success());
    }
    // After a delete has let go of the id only a call or two are left to be within.
    let may_lose = outer.contains(&"delete".into());
    check!(
        points > 10 && (won > 0 || may_lose) && won < points,
        "{won} of {points} inner creates won"
    );
    Ok(format!("{points} calls, the inner create won {won} times"))
}

/// `delete --force` begun inside of a `create`: it waits for the lock, or is too early or too late.
/// Either way there is a whole container afterwards or nothing.
pub fn delete_within_create(stage: &Stage) -> Verdict {
    let before = prepare(stage)?;
    let (mut points, mut survived) = (0, 0);
    for index in (0..).step_by(11) {
        let delete = stage.words(&["delete", "--force"], Some(&stage.id));
        let mut rival = None;
        let mut look = |_: Pid| {
            rival = Some(spawn(&delete).inspect(|rival| rival.give(Duration::from_millis(100))));
        };
        let (trace, errors) = interrupted(&creation(stage), index, Deed::Look(&mut look))?;
        let Some(rival) = rival.transpose()? else {
            stage.kan(&["delete", "--force"])?.quiet()?;
            break;
        };
        let call = trace.struck.map_or("?", registers::name);
        // The tracer may have collected its exit code.
        rival.give(Duration::from_secs(10));
        reap();
        let at = |Fault(why)| Fault(format!("call {index}, {call}: {why}"));
        match trace.ended {
            Ended::Exited(0) => {}
            Ended::Exited(1) => is_one_line(&errors).map_err(at)?,
            ended => fail!("call {index}, {call}: create: {ended:?}: {errors}"),
        }
        if stage.kan(&["state"])?.status.success() {
            is_whole(stage).map_err(at)?;
            survived += 1;
        }
        unchanged(stage, &before).map_err(at)?;
        points += 1;
    }
    Ok(format!(
        "{points} calls, the container survived {survived} times"
    ))
}

impl Rival {
    /// Lets it run for a while, or to its end.
    fn give(&self, time: Duration) {
        await_exit(RustixPid::from_child(&self.child), time);
    }
}

/// The first argument of a process that runs kan and halts it for a while at one of its calls.
pub const SLOW: &str = "--slow";

/// `--slow INDEX COMMAND…`: the last line on stderr is how it ended.
///
/// # Errors
/// If it can't be traced.
pub fn slow(words: &[String]) -> Outcome<String> {
    let mut halt = |_: Pid| std::thread::sleep(HALT);
    let (trace, errors) = interrupted(&words[1..], words[0].parse()?, Deed::Look(&mut halt))?;
    Ok(format!("{errors}{:?}", trace.ended))
}

const HALT: Duration = Duration::from_millis(600);

/// A `delete` that waited for the lock of a container that is gone must not take for it the one
/// that is being made in its place.
pub fn late_delete_spares_the_next_container(stage: &Stage) -> Verdict {
    let before = prepare(stage)?;
    let (create, delete) = (creation(stage), stage.words(&["delete"], Some(&stage.id)));
    // The next call is the first that writes into the locked directory.
    let made = position(&create, "flock")? + 1;
    let lock = position(&delete, "flock")?;
    stage.execute(&create)?.quiet()?;
    let mut next = None;
    let mut look = |_: Pid| next = Some(replace(stage, made));
    let (trace, errors) = interrupted(&delete, lock, Deed::Look(&mut look))?;
    let Some(mut next) = next.transpose()? else {
        fail!("delete has no call {lock}");
    };
    next.give(Duration::from_secs(10));
    let created = text(&mut next.errors)?;
    check!(
        created == format!("{:?}\n", Ended::Exited(0)),
        "an older delete disturbed a create: {created:?}; the delete: {:?} {errors:?}",
        trace.ended
    );
    stage.kan(&["delete", "--force"])?.quiet()?;
    unchanged(stage, &before)?;
    Ok(format!("delete: {:?} {:?}", trace.ended, errors.trim_end()))
}

/// Deletes the container and begins another, which halts as soon as it has its lock.
fn replace(stage: &Stage, made: usize) -> Outcome<Rival> {
    let delete = stage.words(&["delete", "--force"], Some(&stage.id));
    stage.execute_beside(&delete)?.quiet()?;
    let own = std::env::current_exe()?.to_string_lossy().into_owned();
    let mut words = vec![own, SLOW.into(), made.to_string()];
    words.extend(creation(stage));
    let rival = spawn(&words)?;
    let directory = stage.state_dir().join(&stage.id);
    while !directory.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // Time for the lock, well within the halt.
    rival.give(HALT / 3);
    Ok(rival)
}

/// Where in a command, which is carried out, a call comes for the first time.
fn position(words: &[String], call: &str) -> Outcome<usize> {
    let null = File::options().write(true).open("/dev/null")?;
    let trace = tracer::run(words, &null, &null, None)?;
    let mut names = trace.calls[Role::Host as usize]
        .iter()
        .map(|call| registers::name(*call));
    match names.position(|name| name == call) {
        Some(index) => Ok(index),
        None => fail!("no {call} in {}", words.join(" ")),
    }
}
