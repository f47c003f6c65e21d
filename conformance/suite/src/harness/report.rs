//! The probe's report, with the questions that cases ask of it.

use serde_json::Value;

use super::outcome::{Fault, Outcome, equal, fail};

/// What the probe saw.
#[derive(Debug)]
pub struct Report(pub Value);

impl Report {
    /// Reads the probe's line.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match serde_json::from_str(text) {
            Ok(value @ Value::Object(_)) => Ok(Self(value)),
            _ => fail!("not a report: {text:?}"),
        }
    }

    /// A value by JSON pointer, null if it is not there.
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Fails unless the value at a JSON pointer is this one.
    ///
    /// # Errors
    /// If it is another.
    pub fn expect(&self, pointer: &str, want: &Value) -> Outcome {
        equal(pointer, self.at(pointer), want)
    }

    /// The strings of an array.
    pub fn strings(&self, pointer: &str) -> Vec<&str> {
        let list = self
            .at(pointer)
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        list.iter().filter_map(Value::as_str).collect()
    }

    /// The topmost mount at a mount point.
    ///
    /// # Errors
    /// If there is none.
    pub fn mount(&self, point: &str) -> Result<&Value, Fault> {
        let table = self
            .at("/mounts")
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        match table.iter().rev().find(|m| m["mount_point"] == point) {
            Some(mount) => Ok(mount),
            None => fail!("nothing is mounted on {point}"),
        }
    }

    /// Numbers of the open descriptors.
    pub fn open_fds(&self) -> Vec<i64> {
        let list = self
            .at("/fds")
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        list.iter().filter_map(|fd| fd["fd"].as_i64()).collect()
    }

    /// One entry of /dev by its path below it.
    ///
    /// # Errors
    /// If there is none.
    pub fn device(&self, name: &str) -> Result<&Value, Fault> {
        match self.0["dev"].get(name) {
            Some(device) => Ok(device),
            None => fail!("/dev/{name} is missing"),
        }
    }
}
