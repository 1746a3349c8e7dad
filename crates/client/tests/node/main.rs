//! The client against a node in this process.

mod consuming;
mod grouping;
mod node;
mod producing;
mod sharing;
