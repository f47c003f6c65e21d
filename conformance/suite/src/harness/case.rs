//! A case: its name, its body, and the runtimes that are known to be wrong about it.

use super::container::Ctx;
use super::outcome::{Fault, Outcome, fail, skip};
use super::runtime::Runtime;

/// A runtime that is known to fail a case, and by which rule that is wrong.
pub struct Deviation {
    /// `name` or `name version-prefix`, as `--version` prints them.
    pub runtime: &'static str,
    /// The sentence of the specification, or the published vulnerability, that it contradicts.
    pub rule: &'static str,
    /// A part of the failure, so that a failure of another kind is still a failure.
    pub symptom: &'static str,
}

/// One thing that every runtime must do.
pub struct Case {
    /// `section::what_is_true`.
    pub name: &'static str,
    /// Panics and faults are failures.
    pub body: fn(&mut Ctx) -> Outcome,
    /// Documented deviations; on those runtimes the case must fail, and in that way.
    pub deviations: Vec<Deviation>,
    /// What a runtime under construction does not have yet, and how that shows.
    pub lacks: Vec<Deviation>,
    /// If not empty, the runtimes to which the case applies, and why not to others.
    pub only: Option<(&'static str, &'static str)>,
}

impl Case {
    /// A case for every runtime.
    pub const fn new(name: &'static str, body: fn(&mut Ctx) -> Outcome) -> Self {
        Self {
            name,
            body,
            deviations: Vec::new(),
            lacks: Vec::new(),
            only: None,
        }
    }

    /// Adds a documented deviation: which runtime, against which rule, and how it shows.
    #[must_use]
    pub fn deviates(
        mut self,
        runtime: &'static str,
        rule: &'static str,
        symptom: &'static str,
    ) -> Self {
        self.deviations.push(Deviation {
            runtime,
            rule,
            symptom,
        });
        self
    }

    /// Names a part that a runtime under construction does not have yet: the case is skipped
    /// where it fails for that, and judged as any other as soon as it does not.
    #[must_use]
    pub fn lacks(
        mut self,
        runtime: &'static str,
        part: &'static str,
        symptom: &'static str,
    ) -> Self {
        self.lacks.push(Deviation {
            runtime,
            rule: part,
            symptom,
        });
        self
    }

    /// Restricts the case to one runtime, whose own promise it checks.
    #[must_use]
    pub const fn only(mut self, runtime: &'static str, reason: &'static str) -> Self {
        self.only = Some((runtime, reason));
        self
    }

    /// Judges what the body answered, in the light of what is known about the runtime.
    ///
    /// # Errors
    /// The fault to report: the body's own, or that a documented deviation was not seen.
    pub fn judge(&self, runtime: &Runtime, outcome: Outcome) -> Outcome {
        if let Err(Fault::Failed(why)) = &outcome {
            let mut lacking = self.lacks.iter().filter(|l| runtime.matches(l.runtime));
            if let Some(part) = lacking.find(|l| why.contains(l.symptom)) {
                skip!("{} does not have {} yet", part.runtime, part.rule);
            }
        }
        let Some(known) = self.deviations.iter().find(|d| runtime.matches(d.runtime)) else {
            return outcome;
        };
        match outcome {
            Err(Fault::Failed(why)) if why.contains(known.symptom) => Ok(()),
            Err(Fault::Failed(why)) => fail!(
                "{} is known to deviate ({}), but not like this; expected {:?} in:\n{why}",
                known.runtime,
                known.rule,
                known.symptom
            ),
            Err(skipped) => Err(skipped),
            Ok(()) => fail!(
                "{} no longer deviates here; remove the mark: {}",
                known.runtime,
                known.rule
            ),
        }
    }
}
