//! Turns a config, facts about the host and a request into a plan. Pure.
