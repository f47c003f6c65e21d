//! The state document: runtime.md, State.

use serde::{Serialize, Serializer};

use crate::json;

/// What `state` prints, and what hooks and the seccomp agent are told.
///
/// oci-spec's type is not used because its annotations have no order and it lacks what runc adds:
/// `rootfs`, `created` and `owner`, which engines read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// `ociVersion`: the version of the specification that the document follows.
    pub oci_version: String,
    /// `id`: the container's.
    pub id: String,
    /// `pid`: of the container's init, as the reader sees it; 0 once it has stopped.
    pub pid: i32,
    /// `status`
    pub status: Status,
    /// `bundle`: absolute path of the bundle.
    pub bundle: String,
    /// `rootfs`: absolute path of the root filesystem (runc's addition).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<String>,
    /// `created`: RFC 3339 in UTC, with nanoseconds (runc's addition).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// `annotations`: as in config.json.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_object")]
    pub annotations: Vec<(String, String)>,
    /// `owner`: the name of the user who made the container (runc's addition).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Where in its life a container is (runtime.md, State).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `create` is at work.
    Creating,
    /// `create` is done, `start` has not been called.
    Created,
    /// The process runs.
    Running,
    /// The process has ended.
    Stopped,
    /// The cgroup is frozen (runc's addition).
    Paused,
}

impl Status {
    /// The word in the document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
        }
    }
}

impl State {
    /// The document as `state` prints it: two spaces for each level, no newline at the end.
    #[must_use]
    pub fn pretty(&self) -> String {
        json::pretty(self, "  ")
    }

    /// The document in one line, as hooks and the seccomp agent get it.
    #[must_use]
    pub fn compact(&self) -> String {
        // Nothing in it can fail to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What the seccomp agent is told: config-linux.md, Container Process State.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerProcessState {
    /// `ociVersion`: the version of the specification that the document follows.
    pub oci_version: String,
    /// `fds`: the names of the descriptors that come along, in their order.
    pub fds: Vec<&'static str>,
    /// `pid`: of the process that is filtered, as the agent sees it.
    pub pid: i32,
    /// `metadata`: `linux.seccomp.listenerMetadata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// `state`: of the container.
    pub state: State,
}

impl ContainerProcessState {
    /// The listener's name in `fds`.
    pub const SECCOMP_FD: &'static str = "seccompFd";

    /// The document in one line.
    #[must_use]
    pub fn compact(&self) -> String {
        // Nothing in it can fail to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn as_object<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}
