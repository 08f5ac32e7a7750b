//! The daemon: wiring, start, stop, reload, signals.
