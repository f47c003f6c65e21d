//! `run`: create and start.

use super::create::{making, options};
use super::timed::{record, seal, timeline, warn};
use crate::ExitCode;
use crate::args::shapes::flag;
use crate::verb::{Call, Count, Outcome, Verb};

pub(super) const VERB: Verb = Verb {
    name: "run",
    about: "create and start a container",
    examples: &[
        "kan run --bundle bundles/hello hello",
        "kan run --detach --pid-file /run/web.pid --bundle /containers/web web",
    ],
    count: Count::Exactly(1),
    args: |command| {
        making(command).args([
            flag("detach", "return once the container runs").short('d'),
            flag("keep", "do not delete the container when it exits"),
            flag(
                "no-subreaper",
                "do not become the subreaper of the container's processes",
            ),
        ])
    },
    run,
};

fn run(call: &Call<'_>) -> Outcome {
    seal(call)?;
    let options = options(call)?;
    let mut timeline = timeline(call);
    let warn = |timeline: &_| warn(call, timeline);
    let ran = kan_lifecycle::run(&call.store, &options, &mut timeline, warn);
    let recorded = record(call, &timeline);
    let code = u8::try_from(ran?).unwrap_or(u8::MAX);
    for warning in &timeline.late_warnings {
        call.log.warning(warning);
    }
    recorded.map(|()| ExitCode::from(code))
}
