//! Stories about one replica, and seeded simulations of several.

mod cluster;
mod simulation;
mod stories;
