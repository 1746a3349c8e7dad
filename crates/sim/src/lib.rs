//! The very node that ships, run in one thread on a simulated network, clock and disk.
//!
//! Built with `--cfg sim`, [`thalweg_sys`] is turmoil: a host that crashes loses every byte and every name that was not
//! synced. A seed determines all of it: what is found once is found again. `cargo xtask sim` runs these tests,
//! `THALWEG_SEED=n cargo xtask sim` one seed.

pub mod client;
#[cfg(sim)]
pub mod cluster;
pub mod history;
#[cfg(sim)]
pub mod story;
#[cfg(sim)]
pub mod world;
