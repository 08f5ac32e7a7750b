//! The CIB on the replicated log: every node applies the same changes in the same order.
