//! Stories of single transactional ids, and a seeded simulation of many.

mod simulation;
mod stories;
mod testbed;
