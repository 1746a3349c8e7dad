//! Options that many tools share.

use thalweg_client::Peer;

use crate::failure::Failure;
use crate::jopt::{Line, Opt, value};

/// `--bootstrap-server`.
pub const BOOTSTRAP_SERVER: Opt =
    value("bootstrap-server", "server to connect to", "The brokers to begin with, as HOST:PORT[,...].");
/// `--bootstrap-controller`.
pub const BOOTSTRAP_CONTROLLER: Opt =
    value("bootstrap-controller", "controller to connect to", "The controllers to begin with, as HOST:PORT[,...].");
/// `--command-config`.
pub const COMMAND_CONFIG: Opt = value(
    "command-config",
    "command config property file",
    "A properties file for the client, such as security settings.",
);

/// Refuses a `--bootstrap-server` that holds something else than addresses.
///
/// # Errors
/// With Kafka's words.
pub fn valid_servers(line: &Line) -> Result<(), Failure> {
    let servers = line.value("bootstrap-server")?.unwrap_or_default();
    if servers.trim().is_empty() {
        return Err(Failure::Usage("Error while validating the bootstrap address\n".into()));
    }
    if servers.split(',').all(|address| address.parse::<Peer>().is_ok()) {
        return Ok(());
    }
    Err(Failure::Usage("Please provide valid host:port like host1:9091,host2:9092\n".into()))
}
