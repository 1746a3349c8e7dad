//! The console against a node in this process: its addresses as HTML and as JSON.

mod access;
mod changing;
mod kafdrop;
mod messages;
mod pages;
mod schemas;
mod visit;
