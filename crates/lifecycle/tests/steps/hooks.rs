//! Hooks that kan runs, and where the output of init's goes.

use crate::harness::{Test, tests};
use crate::scene::{Scene, clone, mode, with_scene};
use kan_op::host::HostHook;
use kan_op::init::{InitHook, Stream};
use kan_op::{HostStep, InitStep, Slot, Sync};
use std::time::Instant;

pub const TESTS: [Test; 3] = tests![
    a_hook_gets_the_state,
    a_hook_that_fails_or_takes_too_long_is_an_error,
    the_output_of_inits_hooks_arrives,
];

fn hook(scene: &Scene, script: &str, timeout: Option<u64>) -> HostStep {
    HostStep::RunHook(HostHook {
        kind: "createRuntime",
        index: 3,
        path: "/bin/sh".into(),
        args: vec!["sh".into(), "-c".into(), script.into()],
        env: vec![format!("OUT={}", scene.text("out"))],
        timeout,
        stdout: None,
        stderr: None,
    })
}

fn a_hook_gets_the_state() {
    with_scene(|scene| {
        let run = hook(scene, r#"cat >"$OUT""#, None);
        scene.perform([run], |_| ()).unwrap();
        let state = std::fs::read_to_string(scene.path("out")).unwrap();
        assert!(
            state.contains(r#""id":"c""#) && state.contains("creating"),
            "{state}"
        );
    });
}

fn a_hook_that_fails_or_takes_too_long_is_an_error() {
    with_scene(|scene| {
        let fails = hook(scene, "echo broken >&2; exit 7", None);
        let error = scene.perform([fails], |_| ()).unwrap_err();
        for part in ["createRuntime hook #3", "exit status 7", "broken"] {
            assert!(error.contains(part), "{error}");
        }
        let begin = Instant::now();
        let hangs = hook(scene, "exec sleep 30", Some(1));
        let error = scene.perform([hangs], |_| ()).unwrap_err();
        assert!(error.contains("timeout of 1s"), "{error}");
        assert!(begin.elapsed().as_secs() < 20);
    });
}

fn in_init(script: &std::ffi::CStr, stdout: Stream, stderr: Stream) -> InitStep {
    InitStep::RunHook(InitHook {
        kind: "createContainer",
        index: 0,
        path: c"/bin/sh".into(),
        args: vec![c"sh".into(), c"-c".into(), script.into()],
        env: Vec::new(),
        with_home: false,
        in_root: false,
        state_before: b"{\"pid\":".to_vec(),
        state_after: b"}".to_vec(),
        timeout: None,
        stdout,
        stderr,
    })
}

fn the_output_of_inits_hooks_arrives() {
    with_scene(|scene| {
        let output = Stream::Into(Slot::HookOutput);
        scene.init_steps = vec![
            in_init(c"echo out", output, Stream::Into(Slot::HookErrors)),
            InitStep::Tell(Sync::Ready),
            InitStep::Wait(Sync::Saved),
        ];
        let path = scene.text("log");
        let steps = || {
            let open = HostStep::OpenHookOutput {
                slot: Slot::HookOutput,
                path: path.clone(),
            };
            [
                open,
                HostStep::MakeHookPipe,
                clone(0),
                HostStep::Wait(Sync::Ready),
            ]
        };
        scene.perform(steps(), |_| ()).unwrap();
        scene.perform(steps(), |_| ()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "out\nout\n");
        assert_eq!(mode(path.as_ref()), 0o600);
        // What a hook that fails says comes through the pipe into the error.
        let errors = Stream::Into(Slot::HookErrors);
        scene.init_steps[0] = in_init(c"echo broken >&2; exit 7", Stream::Null, errors);
        let error = scene.perform(steps(), |_| ()).unwrap_err();
        assert!(
            error.contains("exit status 7") && error.contains("broken"),
            "{error}"
        );
    });
}
