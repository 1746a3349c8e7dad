//! The console beside a node: where it is, and what it may do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thalweg_broker::Node;
use thalweg_broker::config::{ConsoleAccess, NodeConfig, SecurityProtocol};
use thalweg_console::{Console, Settings, VitalsSource, Writes};
use thalweg_http::Server;
use tracing::{info, warn};

/// Where the metrics and the console of a node are that is told nothing.
const PORT: u16 = 9404;

/// A console that a node is to have once it serves.
pub(super) struct Offer {
    access: Option<ConsoleAccess>,
    /// Which of the listeners for clients has neither encryption nor passwords, by its place.
    plain: usize,
}

/// Lets a node that is told nothing about HTTP have it for this machine: at its usual port, or at one that is free.
pub(super) async fn offer(config: &mut NodeConfig) {
    if config.network.http_listen.is_some() || config.network.console == Some(ConsoleAccess::Off) {
        return;
    }
    let host = Ipv4Addr::LOCALHOST.to_string();
    let is_free = Server::bind(&host, PORT).await.is_ok();
    config.network.http_listen = Some((host, if is_free { PORT } else { 0 }));
}

impl Offer {
    /// What a node's configuration says of a console; `None` if it is to have none.
    pub(super) fn of(config: &NodeConfig) -> Option<Self> {
        let network = &config.network;
        network.http_listen.as_ref()?;
        if network.console == Some(ConsoleAccess::Off) || !config.roles.broker {
            return None;
        }
        let plain = network.broker_listeners().position(|it| it.protocol == SecurityProtocol::Plaintext);
        if plain.is_none() {
            info!(
                "there is no console beside the metrics, for no listener is PLAINTEXT: run thalweg console with --command-config"
            );
        }
        Some(Self { access: network.console, plain: plain? })
    }

    /// Opens the console of a node that serves; gives its address.
    pub(super) fn open(self, node: &Node) -> Option<String> {
        let local = node.http_address()?;
        let by_default = if local.ip().is_loopback() { ConsoleAccess::On } else { ConsoleAccess::Off };
        let writes = match self.access.unwrap_or(by_default) {
            ConsoleAccess::On => Writes::ALL,
            ConsoleAccess::ReadOnly => Writes::NONE,
            ConsoleAccess::Off => {
                info!(
                    "there is no console at thalweg.http.listen, since other machines reach it: thalweg.console=read-only \
                     or thalweg.console=on shows records to all of them"
                );
                return None;
            }
        };
        let servers = node.bootstrap_servers();
        let client = [("bootstrap.servers", servers.split(',').nth(self.plain)?.to_owned())].into_iter().collect();
        let mut settings = Settings::new(client, local.ip());
        settings.writes = writes;
        let vitals = node.vitals();
        settings.vitals = Some(VitalsSource::new(move || vitals.read()));
        match Console::new(settings) {
            Ok(console) => node.answer_http_with(console.handler()),
            Err(e) => {
                warn!(error = %e, "there is no console");
                return None;
            }
        }
        Some(format!("http://{}/", reachable(local)))
    }
}

/// An address at which this machine reaches what listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
