//! The DC's duties, pure: when to schedule, which actions to send, when to abort and re-plan.
