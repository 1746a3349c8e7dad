//! Options that many tools share.

use thalweg_client::Peer;

use crate::argparse;
use crate::failure::Failure;
use crate::jopt::{Line, Opt, value};
use crate::out::Out;

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

/// `--output`, which Kafka's tools do not have.
pub const OUTPUT: Opt =
    value(argparse::OUTPUT.name, "text|json", "The form of what --describe and --list print. Default: text.");

/// Lets a tool print as `--output` says.
///
/// # Errors
/// When it says something else than `text` or `json`.
pub fn set_output(form: Option<&str>, out: &mut Out) -> Result<(), String> {
    match form {
        None | Some("text") => Ok(()),
        Some("json") => {
            out.begin_json();
            Ok(())
        }
        Some(other) => Err(format!("--output {other}: it is text or json")),
    }
}

/// Refuses a `--bootstrap-server` that holds something else than addresses.
///
/// # Errors
/// With Kafka's words.
pub fn valid_servers(line: &Line) -> Result<(), Failure> {
    let servers = line.value("bootstrap-server")?.unwrap_or_default();
    if servers.trim().is_empty() {
        return Err(Failure::Usage("Error while validating the bootstrap address\n".into()));
    }
    valid_addresses(servers.split(','))
}

/// Refuses what is no `HOST:PORT`.
///
/// # Errors
/// With Kafka's words.
pub fn valid_addresses<'a>(mut addresses: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    if addresses.all(|address| address.parse::<Peer>().is_ok()) {
        return Ok(());
    }
    Err(Failure::Usage("Please provide valid host:port like host1:9091,host2:9092\n".into()))
}

/// Refuses an option beside its older name.
///
/// # Errors
/// With Kafka's words.
pub fn exclusive(line: &Line, old: &str, new: &str) -> Result<(), Failure> {
    if line.has(old) && line.has(new) {
        return Err(Failure::Usage(format!("Options --{old} and --{new} cannot be specified together.")));
    }
    Ok(())
}

/// Warns of the older name of an option.
pub fn warn_deprecated(line: &Line, old: &str, new: &str, out: &mut Out) {
    if line.has(old) {
        out.line(format_args!(
            "Option --{old} is deprecated and will be removed in a future version. Use --{new} instead."
        ));
    }
}
