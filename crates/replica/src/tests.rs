//! Several brokers at once, simulated.

pub(crate) mod simulation;
