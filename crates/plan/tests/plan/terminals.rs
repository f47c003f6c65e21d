//! Who translates newlines, and with what umask hooks run.

use super::{config, plan, request};
use kan_op::InitStep;
use kan_plan::{Attachment, Facts, Request, plan_exec};
use kan_spec::config::{Hook, Hooks};

fn newlines(steps: &[InitStep]) -> Vec<bool> {
    let of = |step: &InitStep| match step {
        InitStep::OpenTerminal { newlines, .. } => Some(*newlines),
        _ => None,
    };
    steps.iter().filter_map(of).collect()
}

#[test]
fn only_in_the_foreground_kans_own_terminal_translates() {
    let config = config(|config| config.process.as_mut().unwrap().terminal = true);
    let facts = Facts::example("c");
    let foreground = Request {
        attachment: Attachment::Foreground,
        console_socket: None,
        wait_for_start: false,
        ..request()
    };
    for (request, want) in [(request(), true), (foreground, false)] {
        let created = plan(&config, &facts, &request);
        assert_eq!(newlines(created.init.steps()), [want]);
        let executed = plan_exec(&config, &facts, &request).unwrap();
        assert_eq!(newlines(executed.init.steps()), [want]);
    }
}

#[test]
fn a_hook_in_the_container_has_the_umask_of_a_new_process() {
    let hook = Hook {
        path: "/hook".into(),
        ..Hook::default()
    };
    let config = config(|config| {
        config.hooks = Some(Hooks {
            create_container: vec![hook],
            ..Hooks::default()
        });
    });
    let plan = plan(&config, &Facts::example("c"), &request());
    let before = plan
        .init
        .steps()
        .iter()
        .take_while(|step| !matches!(step, InitStep::RunHook(_)));
    let last = before.filter_map(|step| match step {
        InitStep::SetUmask(mask) => Some(*mask),
        _ => None,
    });
    assert_eq!(last.last(), Some(0o022));
}
