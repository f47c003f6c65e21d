//! What `update` is asked for.

/// What `update` is to change.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// A resources document, as `linux.resources` of config.json.
    pub document: Vec<u8>,
    /// `--l3-cache-schema`: lines of the resctrl group's `schemata`.
    pub l3_cache_schema: Option<String>,
    /// `--mem-bw-schema`: likewise, of memory bandwidth.
    pub mem_bw_schema: Option<String>,
}
