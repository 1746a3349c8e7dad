//! What the stories of all modules need, and the simulation.

mod damage;
mod simulation;
pub(crate) mod testbed;
