//! A cluster for the tests of all files, and random requests against it.

pub mod cluster;
mod simulation;
