//! config.md: the document, root, mounts and hooks.

use super::rules::{absolute, not_empty, uts_name};
use super::{Cursor, Object, linux, sysctl};
use crate::config::{Config, Hook, Hooks, Linux, Mount, NamespaceType, Root};
use crate::version;

impl Object for Config {
    // `root` is required on Linux; `process` only from `start` on.
    const REQUIRED: &'static [&'static str] = &["ociVersion", "root"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "ociVersion" => at.fill(&mut self.oci_version).rule(version::supported),
            "root" => at.fill(&mut self.root),
            "mounts" => at.fill(&mut self.mounts),
            "process" => at.fill(&mut self.process),
            "hostname" => at.fill(&mut self.hostname).rule(uts_name),
            "domainname" => at.fill(&mut self.domainname).rule(uts_name),
            "hooks" => at.fill(&mut self.hooks),
            "annotations" => at.fill(&mut self.annotations),
            "linux" => at.fill(&mut self.linux),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        if self.annotations.iter().any(|(key, _)| key.is_empty()) {
            at.key("annotations")
                .key("")
                .problem("a key must not be empty");
        }
        let linux = at.key("linux");
        if linux.may_have_keys() && linux.key("namespaces").sound() {
            check_namespaces(self, at);
        }
    }
}

/// What can only be set in a namespace of the container's own, new or joined.
fn check_namespaces(config: &Config, at: &Cursor<'_>) {
    let unset = Linux::default();
    let (linux, inside) = (config.linux.as_ref().unwrap_or(&unset), at.key("linux"));
    let needs = |given: bool, key: &Cursor<'_>, kind: NamespaceType| {
        if given && key.sound() && linux.namespace(kind).is_none() {
            key.problem(format!("needs a namespace of type {kind}"));
        }
    };
    needs(
        config.hostname.is_some(),
        &at.key("hostname"),
        NamespaceType::Uts,
    );
    needs(
        config.domainname.is_some(),
        &at.key("domainname"),
        NamespaceType::Uts,
    );
    for (key, given, kind) in linux::in_namespace(linux) {
        needs(given, &inside.key(key), kind);
    }
    let names = linux.sysctl.iter().map(|(name, _)| name.as_str());
    inside
        .key("sysctl")
        .each_key(names, |name| sysctl::namespaced(name, linux));
}

impl Object for Root {
    const REQUIRED: &'static [&'static str] = &["path"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "path" => at.fill(&mut self.path).rule(not_empty),
            "readonly" => at.fill(&mut self.readonly),
            _ => return false,
        };
        true
    }
}

impl Object for Mount {
    const REQUIRED: &'static [&'static str] = &["destination"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            // A relative destination is deprecated but allowed on Linux.
            "destination" => at.fill(&mut self.destination).rule(not_empty),
            "type" => at.fill(&mut self.r#type),
            "source" => at.fill(&mut self.source),
            "options" => at.fill(&mut self.options),
            "uidMappings" => at.fill(&mut self.uid_mappings),
            "gidMappings" => at.fill(&mut self.gid_mappings),
            _ => return false,
        };
        true
    }

    fn check(&self, at: &Cursor<'_>) {
        linux::check_mappings(&self.uid_mappings, &at.key("uidMappings"));
        linux::check_mappings(&self.gid_mappings, &at.key("gidMappings"));
        match (self.uid_mappings.is_empty(), self.gid_mappings.is_empty()) {
            (true, false) => at.key("gidMappings").problem("needs uidMappings too"),
            (false, true) => at.key("uidMappings").problem("needs gidMappings too"),
            _ => {}
        }
    }
}

impl Object for Hooks {
    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "prestart" => at.fill(&mut self.prestart),
            "createRuntime" => at.fill(&mut self.create_runtime),
            "createContainer" => at.fill(&mut self.create_container),
            "startContainer" => at.fill(&mut self.start_container),
            "poststart" => at.fill(&mut self.poststart),
            "poststop" => at.fill(&mut self.poststop),
            _ => return false,
        };
        true
    }
}

impl Object for Hook {
    const REQUIRED: &'static [&'static str] = &["path"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        match key {
            "path" => at.fill(&mut self.path).rule(absolute),
            "args" => at.fill(&mut self.args),
            "env" => at.fill(&mut self.env),
            "timeout" => at.fill(&mut self.timeout).range(1, i64::MAX.into()),
            _ => return false,
        };
        true
    }
}
