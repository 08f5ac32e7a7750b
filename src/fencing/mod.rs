//! Fence agents: topology, the stdin protocol, results as certificates.
