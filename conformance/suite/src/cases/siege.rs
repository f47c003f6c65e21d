//! A container with an attacker in it, which goes for every process that the runtime lets appear in its
//! pid namespace: `probe reach`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Stdio;

use crate::harness::command::Done;
use crate::harness::container::text;
use crate::harness::prelude::*;

/// What the attacker looks for.
pub struct Trap {
    /// The canaries.
    pub words: Vec<String>,
    secret: String,
    /// A directory whose name is one.
    pub dir: String,
}

impl Trap {
    /// Canaries in the environment of the runtime, in its command line, and in parts of the config
    /// that the program is not given; and a file beside the root file system.
    fn set(ctx: &Ctx, bundle: &mut Bundle) -> Result<Self, Fault> {
        let canary = |name: &str| format!("canary-of-{name}-{}", ctx.id);
        let dir = ctx.dir.join(canary("argv"));
        fs::create_dir_all(&dir)?;
        let secret = ctx.dir.join("secret");
        fs::write(&secret, "of the host")?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o644))?;
        let source = ctx.dir.join(canary("mount"));
        fs::create_dir_all(&source)?;
        let mount = json!({"destination": "/mnt", "type": "bind", "source": text(&source)?,
            "options": ["bind"]});
        let hook = json!([{"path": "/bin/true", "env": [format!("X={}", canary("hook"))]}]);
        bundle
            .set("/mounts/-", mount)
            .set("/annotations", json!({"org.example": canary("annotation")}))
            .set("/hooks/poststop", hook);
        let names = ["environment", "argv", "mount", "hook", "annotation"];
        Ok(Self {
            words: names.map(canary).into(),
            secret: text(&secret)?.to_owned(),
            dir: text(&dir)?.to_owned(),
        })
    }

    pub fn environment(&self) -> &str {
        &self.words[0]
    }

    /// By the name of one of the canaries.
    pub fn pid_file(&self) -> String {
        format!("{}/pid", self.dir)
    }

    /// Words for the attacker. The host's namespaces may not be seen.
    fn words(&self, bundle: &Bundle, wants: &Wants<'_>) -> Result<Vec<String>, Fault> {
        let capabilities = capabilities(bundle) | wants.capabilities;
        let mut words = vec![
            format!("secret={}", self.secret),
            format!("capabilities={capabilities:x}"),
        ];
        let is_known = |word: &&String| wants.has_hooks && word.contains("annotation");
        for word in self.words.iter().filter(|word| !is_known(word)) {
            words.push(format!("word={}", word.chars().rev().collect::<String>()));
        }
        for root in wants.roots {
            let found = fs::metadata(root.rootfs())?;
            words.push(format!("root={}:{}", found.dev(), found.ino()));
        }
        for kind in ["mnt", "uts", "ipc", "net", "pid"] {
            let link = fs::read_link(format!("/proc/self/ns/{kind}"))?;
            words.push(format!("namespace={}", link.display()));
        }
        if wants.has_hooks {
            words.push("hooks=1".into());
        }
        if wants.stops {
            words.push("stops=1".into());
        }
        Ok(words)
    }
}

/// How the attacker goes about it, and what is no finding.
pub struct Wants<'a> {
    /// What it does to a process.
    pub manner: &'a str,
    /// Containers whose root may be seen.
    pub roots: &'a [&'a Bundle],
    /// Beside those of the config.
    pub capabilities: u64,
    /// Whether hooks of startContainer run, which are given the annotations.
    pub has_hooks: bool,
    /// Whether processes may be stopped: runc, for one, does not end then.
    pub stops: bool,
}

impl Default for Wants<'_> {
    fn default() -> Self {
        Self {
            manner: "look",
            roots: &[],
            capabilities: 0,
            has_hooks: false,
            stops: false,
        }
    }
}

/// Those of the config that it uses, capabilities(7).
fn capabilities(bundle: &Bundle) -> u64 {
    let all = [
        ("CAP_KILL", 5),
        ("CAP_NET_BIND_SERVICE", 10),
        ("CAP_SYS_PTRACE", 19),
        ("CAP_AUDIT_WRITE", 29),
    ];
    let named = bundle.config["process"]["capabilities"]["bounding"].to_string();
    all.iter()
        .filter(|(name, _)| named.contains(name))
        .fold(0, |set, (_, bit)| set | 1 << bit)
}

/// A container with an attacker in it.
pub struct Siege {
    /// What is set for it.
    pub trap: Trap,
    attacker: Done,
    /// Its container's.
    pub bundle: Bundle,
}

impl Siege {
    pub fn lay(ctx: &Ctx, bundle: Bundle) -> Result<Self, Fault> {
        Self::lay_with(ctx, bundle, &Wants::default())
    }

    pub fn lay_with(ctx: &Ctx, mut bundle: Bundle, wants: &Wants<'_>) -> Result<Self, Fault> {
        let trap = Trap::set(ctx, &mut bundle)?;
        for set in ["bounding", "effective", "permitted"] {
            let set = format!("/process/capabilities/{set}/-");
            bundle.set(&set, json!("CAP_SYS_PTRACE"));
        }
        let wants = &Wants {
            stops: ctx.runtime().name == "kan",
            ..*wants
        };
        let words = trap.words(&bundle, wants)?;
        let mut args = vec!["reach", wants.manner];
        args.extend(words.iter().map(String::as_str));
        bundle.probe(&args);
        let attacker = ctx.launch(&bundle)?;
        attacker.wait_for("ready")?;
        Ok(Self {
            trap,
            attacker,
            bundle,
        })
    }

    /// `exec` of a program that ends at once, again and again.
    pub fn exec(&self, ctx: &Ctx, rounds: u32, options: &[&str]) -> Outcome {
        let pid_file = self.trap.pid_file();
        let mut all = vec!["--pid-file", &pid_file];
        all.extend(options);
        for _ in 0..rounds {
            let exec = ctx.exec(&all, &["/probe", "exit", "0"]);
            let exec = exec.env("KAN_CANARY", self.trap.environment());
            let null = || Stdio::null();
            exec.streams(null(), null(), null()).run()?.ok()?;
        }
        Ok(())
    }

    /// Ends the attacker: it has found nothing, and was there in time.
    pub fn raise(self, ctx: &Ctx, at_least: u32) -> Outcome {
        let (found, before) = self.ended(ctx)?;
        check!(found.is_empty(), "reached: {}", found.join("; "));
        check!(
            before >= at_least,
            "only {before} processes were caught before execve, not {at_least}"
        );
        Ok(())
    }

    /// What it has found, and how many processes it caught before they executed their program.
    pub fn ended(&self, ctx: &Ctx) -> Result<(Vec<String>, u32), Fault> {
        ctx.kill("TERM")?.ok()?;
        self.attacker.wait_for("done")?;
        let said = self.attacker.stdout_now()?;
        let lines = || said.lines();
        let found = lines().filter_map(|line| line.strip_prefix("found "));
        let before = lines().find_map(|line| line.split_once("before execve "));
        let before = before.and_then(|(_, rest)| rest.split(',').next());
        Ok((
            found.map(str::to_owned).collect(),
            before.unwrap_or("0").parse()?,
        ))
    }
}
