//! The instruction set between planner and interpreters: steps, slots, sync points.
