//! Executes the init half of a plan inside the child: no allocation, no spec.
