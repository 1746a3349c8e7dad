//! The client against a node in this process.

mod consuming;
mod node;
mod producing;
