//! Whole answers of a node on a temporary directory, as Apache Kafka 4.3.1 gives them: each was compared with the
//! example `compare`.

mod client;
mod configuring;
mod contributed;
mod controllers;
mod describing;
mod disks;
mod fetching;
mod groups;
mod logging_in;
mod moving;
mod producing;
mod quorum;
mod restarting;
mod security;
mod sharing;
mod telemetry;
mod transactions;
mod turns;
mod watching;
