//! Reads an OCI bundle's config.json: every problem at once, each with its position.

pub mod config;
