//! Command lines, one module per personality. Talk to the daemon through `ipc` only.
