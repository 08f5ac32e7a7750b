//! A cluster on one machine, from namespaces: for demos, tests and benches.
