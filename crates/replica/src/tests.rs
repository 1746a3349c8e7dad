//! Several brokers at once, simulated.

mod simulation;
