use super::super::model::{Asked, NUMBERS, Random, allowed, every_access, rules};
use super::*;
use rustix::time::{ClockId, clock_gettime};

/// The controller as the kernel has it (security/device_cgroup.c), fed with the lines that it is
/// to be written.
struct Controller {
    allows: bool,
    exceptions: Vec<DeviceRule>,
}

impl Controller {
    fn of(list: &List) -> Self {
        let lines = list.exceptions.iter().map(|e| format!("allow {e}"));
        Self {
            allows: list.allows,
            exceptions: lines.map(|line| super::super::model::rule(&line)).collect(),
        }
    }

    fn allowed(&self, asked: &Asked) -> bool {
        let mut of_device = self.exceptions.iter().filter(|e| {
            (e.kind == DeviceKind::Block) == asked.block
                && e.major.is_none_or(|major| major == asked.major)
                && e.minor.is_none_or(|minor| minor == asked.minor)
        });
        match self.allows {
            true => of_device.all(|e| access(e) & asked.access == 0),
            false => of_device.any(|e| asked.access & !access(e) == 0),
        }
    }
}

/// What the kernel asks about; v1 has no device with the number of its wildcard.
fn asked_of_v1() -> impl Iterator<Item = Asked> {
    every_access().filter(|asked| {
        [1, 2, 4, 6].contains(&asked.access) && asked.major != u32::MAX && asked.minor != u32::MAX
    })
}

fn agrees(rules: &[DeviceRule], list: &List) {
    let controller = Controller::of(list);
    for asked in asked_of_v1() {
        let wanted = allowed(rules, &asked);
        assert_eq!(
            controller.allowed(&asked),
            wanted,
            "{asked:?} {rules:#?} {list:#?}"
        );
    }
}

#[test]
fn the_list_agrees_with_the_model_on_random_rules() {
    let mut random = Random(3, &NUMBERS);
    let mut expressible = 0;
    for _ in 0..4_000 {
        let rules = random.rules();
        if let Ok(list) = list(&rules) {
            expressible += 1;
            agrees(&rules, &list);
        }
    }
    assert!(expressible > 1_600, "{expressible}");
}

/// A wildcard that is denied first: most lists of engines are like that, and all are expressible
/// if no later rule denies.
#[test]
fn lists_of_allowed_devices_are_always_expressible() {
    let mut random = Random(4, &NUMBERS);
    for _ in 0..5_000 {
        let mut list_of_allowed = rules(&["deny a *:* rwm"]);
        for mut rule in random.rules() {
            rule.allow = true;
            list_of_allowed.push(rule);
        }
        agrees(&list_of_allowed, &list(&list_of_allowed).unwrap());
    }
}

fn lines(list: &List) -> (bool, Vec<String>) {
    let lines = list.exceptions.iter().map(ToString::to_string);
    (list.allows, lines.collect())
}

fn written(texts: &[&str]) -> (bool, Vec<String>) {
    lines(&list(&rules(texts)).unwrap())
}

fn expected(allows: bool, lines: &[&str]) -> (bool, Vec<String>) {
    (allows, lines.iter().map(ToString::to_string).collect())
}

#[test]
fn engines_lists_become_what_runc_writes() {
    let docker = written(&[
        "deny a *:* rwm",
        "allow c 1:3 rwm",
        "allow c 1:5 rwm",
        "deny c 10:229 rwm",
        "allow c *:* m",
        "allow c 1:5 rwm",
        "allow c 136:* rwm",
    ]);
    let lines = ["c 1:3 rwm", "c *:* m", "c 1:5 rwm", "c 136:* rwm"];
    assert_eq!(docker, expected(false, &lines));
}

#[test]
fn the_default_follows_from_the_rules() {
    assert_eq!(written(&[]), expected(true, &[]));
    assert_eq!(
        written(&["deny c 10:200 w"]),
        expected(true, &["c 10:200 w"])
    );
    assert_eq!(written(&["deny c *:* rwm"]), expected(true, &["c *:* rwm"]));
    let one_kind = written(&["deny c *:* rwm", "allow c 1:3 rw"]);
    assert_eq!(one_kind, expected(false, &["b *:* rwm", "c 1:3 rw"]));
    let one_access = written(&["deny a *:* rw"]);
    assert_eq!(one_access, expected(false, &["c *:* m", "b *:* m"]));
    let undone = written(&["deny a *:* rwm", "allow a *:* rwm"]);
    assert_eq!(undone, expected(true, &[]));
}

#[test]
fn devices_of_two_rules_can_be_opened_for_both() {
    let list = written(&["deny a *:* rwm", "allow c 1:* r", "allow c *:3 w"]);
    assert_eq!(list, expected(false, &["c 1:* r", "c *:3 w", "c 1:3 rw"]));
}

#[test]
fn a_hole_in_a_wildcard_is_refused_with_both_rules() {
    let text = |texts: &[&str]| list(&rules(texts)).unwrap_err().to_string();
    assert_eq!(
        text(&["deny a *:* rwm", "allow c 1:* rwm", "deny c 1:3 w"]),
        "cgroup v1 cannot express the rule `deny c 1:3 w`, which overrides a part of `allow c 1:* rwm`"
    );
    assert_eq!(
        text(&["deny b 8:* rwm", "allow b 8:1 r"]),
        "cgroup v1 cannot express the rule `allow b 8:1 r`, which overrides a part of `deny b 8:* rwm`"
    );
}

#[test]
fn a_hole_that_later_rules_fill_is_none() {
    let filled = written(&[
        "deny a *:* rwm",
        "allow c 1:* r",
        "deny c *:3 r",
        "allow c 1:3 r",
    ]);
    assert_eq!(filled, expected(false, &["c 1:* r", "c 1:3 r"]));
}

/// 4294967295 is how the kernel keeps a wildcard.
#[test]
fn the_highest_number_is_not_taken_for_a_wildcard() {
    let list = written(&[
        "deny a *:* rwm",
        "allow c 4294967295:3 rwm",
        "allow b 8:4294967295 r",
    ]);
    assert_eq!(list, expected(false, &[]));
}

/// Each takes minutes where every rule is compared with every other one.
#[test]
fn a_long_list_is_gone_through_once() {
    let many = |text: fn(u32) -> String| -> Vec<DeviceRule> {
        let all = (0..10_000).map(|n| super::super::model::rule(&text(n)));
        all.collect()
    };
    for (rules, count) in [
        // Devices one by one, by turns.
        (
            many(|n| {
                format!(
                    "{} c {}:{n} rwm",
                    ["allow", "deny"][n as usize % 2],
                    n % 999
                )
            }),
            5_000,
        ),
        // Rows and columns that share no access.
        (
            many(|n| match n % 2 {
                0 => format!("allow c {n}:* r"),
                _ => format!("deny c *:{n} m"),
            }),
            5_000,
        ),
        // Reading of one and writing of another.
        (
            many(|n| format!("allow b 7:{n} {}", ["r", "w"][n as usize % 2])),
            0,
        ),
        // The same again and again.
        (
            many(|n| format!("{} c 1:3 rwm", ["allow", "deny"][n as usize % 2])),
            1,
        ),
    ] {
        let list = list(&rules).unwrap();
        assert_eq!(list.exceptions.len(), count);
        super::super::filter::program(&rules);
    }
    // Of this thread, however much else goes on: about three, and without optimisation.
    let used = clock_gettime(ClockId::ThreadCPUTime).tv_sec;
    assert!(used < 12, "{used} s");
}
