//! features.md: the document about what a runtime can do.

use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("features::has_what_engines_read", what_engines_read)
            .lacks("crun 1.8", "the command", "want exit code 0")
            .lacks("runc 1.1", "idmap in the document", "idmap"),
        Case::new("features::lists_are_true", lists_are_true).lacks(
            "crun 1.8",
            "the command",
            "want exit code 0",
        ),
        Case::new("features::names_the_newest_specification", newest)
            .only("kan", "the version is kan's own"),
    ]
}

fn document(ctx: &Ctx) -> Result<Value, Fault> {
    let done = ctx.oci(&["features"]).run()?.ok()?;
    Ok(serde_json::from_str(&done.stdout)?)
}

fn strings(document: &Value, pointer: &str) -> Vec<String> {
    let list = document.pointer(pointer).and_then(Value::as_array);
    let all = list.into_iter().flatten().filter_map(Value::as_str);
    all.map(str::to_owned).collect()
}

/// CRI-O wants both versions, `rro` and idmap; docker and containerd show the rest.
fn what_engines_read(ctx: &mut Ctx) -> Outcome {
    let document = document(ctx)?;
    for version in ["/ociVersionMin", "/ociVersionMax"] {
        let text = document.pointer(version).and_then(Value::as_str);
        check!(
            text.is_some_and(|text| text.starts_with("1.")),
            "{version}: {text:?}"
        );
    }
    let options = strings(&document, "/mountOptions");
    for option in ["ro", "rro", "rbind", "rprivate", "nosuid"] {
        check!(
            options.iter().any(|other| other == option),
            "no option {option}: {options:?}"
        );
    }
    for kind in super::hooks::KINDS {
        check!(
            strings(&document, "/hooks")
                .iter()
                .any(|other| other == kind),
            "no hook {kind}"
        );
    }
    for place in [
        "/linux/cgroup/v1",
        "/linux/cgroup/v2",
        "/linux/seccomp/enabled",
        "/linux/mountExtensions/idmap/enabled",
    ] {
        check!(
            document.pointer(place).is_some_and(Value::is_boolean),
            "{place} is missing"
        );
    }
    Ok(())
}

/// "The runtime MUST recognize the elements in this array": each flag, action and architecture
/// of filters is taken.
fn lists_are_true(ctx: &mut Ctx) -> Outcome {
    let document = document(ctx)?;
    let mut bundle = ctx.bundle()?;
    // libseccomp refuses architectures of the other byte order in one filter.
    let is_native = |name: &String| {
        !matches!(
            name.as_str(),
            "SCMP_ARCH_MIPS"
                | "SCMP_ARCH_MIPS64"
                | "SCMP_ARCH_MIPS64N32"
                | "SCMP_ARCH_PPC"
                | "SCMP_ARCH_PPC64"
                | "SCMP_ARCH_S390"
                | "SCMP_ARCH_S390X"
                | "SCMP_ARCH_PARISC"
                | "SCMP_ARCH_PARISC64"
                | "SCMP_ARCH_M68K"
                | "SCMP_ARCH_SHEB"
        )
    };
    let mut architectures = strings(&document, "/linux/seccomp/archs");
    architectures.retain(is_native);
    let actions = strings(&document, "/linux/seccomp/actions");
    let flags = strings(&document, "/linux/seccomp/supportedFlags");
    check!(
        architectures.len() > 6 && actions.len() >= 7,
        "too little: {document}"
    );
    let rules: Vec<_> = actions
        .iter()
        .filter(|action| *action != "SCMP_ACT_NOTIFY" && *action != "SCMP_ACT_ALLOW")
        .zip([
            "acct",
            "swapon",
            "swapoff",
            "reboot",
            "nfsservctl",
            "vserver",
            "quotactl",
            "kexec_load",
        ])
        .map(|(action, name)| json!({"names": [name], "action": action}))
        .collect();
    let flags: Vec<_> = flags
        .iter()
        .filter(|flag| !flag.ends_with("WAIT_KILLABLE_RECV"))
        .collect();
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": architectures,
        "flags": flags,
        "syscalls": rules,
    });
    bundle.set("/linux/seccomp", profile);
    let report = ctx.report(&mut bundle)?;
    report.expect("/seccomp", &json!(2))
}

fn newest(ctx: &mut Ctx) -> Outcome {
    let document = document(ctx)?;
    equal("ociVersionMax", &document["ociVersionMax"], &json!("1.3.0"))?;
    equal(
        "namespaces",
        strings(&document, "/linux/namespaces").len(),
        8,
    )?;
    equal(
        "capabilities",
        strings(&document, "/linux/capabilities").len(),
        41,
    )
}
