//! The only doors to the world: network, files, time, randomness, tasks and signals.
//!
//! Everything that a node does to its surroundings goes through here. Built with `--cfg sim`, the same doors lead into
//! turmoil, a simulated network and clock, and to a simulated disk that loses what was not synced when its host crashes. So
//! the very broker that ships runs in the simulator. `clippy.toml` forbids the other ways out.

#![cfg_attr(not(sim), allow(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod closing;
#[cfg(sim)]
pub mod disk;
#[cfg(sim)]
pub mod faults;
pub mod fs;
#[cfg(sim)]
pub mod machine;
pub mod net;
#[cfg(sim)]
pub mod power;
pub mod process;
pub mod random;
pub mod task;
#[cfg(not(sim))]
pub mod terminal;
pub mod time;
pub mod watch;
