//! Control groups: where a container goes, its limits, its processes.
