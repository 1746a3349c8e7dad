//! Where a node listens, and what it tells others to connect to.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::properties::Properties;
use super::{Refused, RefusedKind};

/// How a listener encrypts and authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Neither.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL in clear text.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// Kafka's number, in registrations of nodes.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }

    /// Whether it is over TLS.
    #[must_use]
    pub fn encrypts(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether clients log in by SASL.
    #[must_use]
    pub fn authenticates(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];
        all.into_iter().find(|protocol| protocol.name() == name.to_uppercase())
    }
}

/// One address with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, in upper case.
    pub name: String,
    /// How it encrypts and authenticates.
    pub protocol: SecurityProtocol,
    /// The host, without brackets; `None` is every interface.
    pub host: Option<String>,
    /// The port; 0 is one that is free.
    pub port: u16,
}

/// All listeners of a node, in the order in which they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listeners {
    pub(super) all: Vec<Listener>,
    /// What was written as `advertised.listeners`, or all listeners.
    pub(super) advertised: Vec<Listener>,
    pub(super) advertised_is_set: bool,
    pub(super) controller_names: Vec<String>,
    pub(super) inter_broker_name: String,
    /// Every known listener name and its protocol.
    pub(super) protocols: BTreeMap<String, SecurityProtocol>,
}

impl Listeners {
    pub(super) fn read(properties: &Properties) -> Result<Self, Refused> {
        let controller_names = properties.list("controller.listener.names");
        let protocols = protocols(properties, &controller_names)?;
        let all = endpoints(&properties.list("listeners"), &protocols, Ports::Distinct)?;
        let advertised = match properties.optional_list("advertised.listeners") {
            Some(list) => endpoints(&list, &protocols, Ports::Any)?,
            None => all.clone(),
        };
        Ok(Self {
            inter_broker_name: inter_broker_name(properties, &protocols)?,
            advertised_is_set: properties.value("advertised.listeners").is_some(),
            all,
            advertised,
            controller_names,
            protocols,
        })
    }
}

fn protocol(name: &str, config: &str) -> Result<SecurityProtocol, Refused> {
    SecurityProtocol::from_name(name)
        .ok_or_else(|| Refused::config(format!("Invalid security protocol `{name}` defined in {config}")))
}

/// `listener.security.protocol.map`. Where it is not written and nothing is to be encrypted, controller listeners are
/// plain.
fn protocols(
    properties: &Properties,
    controller_names: &[String],
) -> Result<BTreeMap<String, SecurityProtocol>, Refused> {
    const KEY: &str = "listener.security.protocol.map";
    let mut map = BTreeMap::new();
    for pair in properties.string(KEY).split(',').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.rsplit_once(':') else {
            return Err(Refused::illegal(format!(
                "Error parsing configuration property '{KEY}': begin 0, end -1, length {}",
                pair.trim().len()
            )));
        };
        map.insert(name.trim().to_uppercase(), protocol(value.trim(), KEY)?);
    }
    if properties.is_set(KEY) {
        return Ok(map);
    }
    let secured = |name: &str| matches!(name, "SSL" | "SASL_SSL" | "SASL_PLAINTEXT");
    let mut any_secured = controller_names.iter().any(|name| secured(name));
    for listener in properties.list("listeners") {
        let Some((name, _)) = listener.split_once(':') else {
            let message = format!("Unable to parse a listener name from {listener}");
            return Err(Refused { kind: RefusedKind::Kafka, message });
        };
        any_secured |= secured(&name.to_uppercase());
    }
    if !any_secured {
        for name in controller_names.iter().filter(|name| *name != "PLAINTEXT") {
            map.insert(name.clone(), SecurityProtocol::Plaintext);
        }
    }
    Ok(map)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ports {
    /// Two listeners may share a port only as IPv4 and IPv6.
    Distinct,
    /// Advertised addresses may be those of a proxy.
    Any,
}

fn endpoints(
    list: &[String],
    protocols: &BTreeMap<String, SecurityProtocol>,
    ports: Ports,
) -> Result<Vec<Listener>, Refused> {
    let shown = format!("[{}]", list.join(", "));
    let refuse = |why: String| Refused::illegal(format!("Error creating broker listeners from '{shown}': {why}"));
    let mut listeners: Vec<Listener> = Vec::with_capacity(list.len());
    for entry in list {
        listeners.push(endpoint(entry, protocols).map_err(refuse)?);
    }
    for (i, listener) in listeners.iter().enumerate() {
        if listeners[..i].iter().any(|other| other.name == listener.name) {
            return Err(refuse(format!("Each listener must have a different name, listeners: {shown}")));
        }
    }
    if ports == Ports::Distinct {
        distinct_ports(&listeners, &shown).map_err(refuse)?;
    }
    Ok(listeners)
}

/// `NAME://host:port`, with brackets around the host if you like.
fn endpoint(entry: &str, protocols: &BTreeMap<String, SecurityProtocol>) -> Result<Listener, String> {
    let parts = || {
        let (name, address) = entry.rsplit_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        let host = host.strip_prefix('[').unwrap_or(host);
        let host = host.strip_suffix(']').unwrap_or(host);
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '.' | '_' | ':');
        let digits = port.strip_prefix('-').unwrap_or(port);
        let valid = host.chars().all(letter) && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        valid.then_some((name, host, port))
    };
    let Some((name, host, port)) = parts() else {
        return Err(format!("Unable to parse {entry} to a broker endpoint"));
    };
    if port.parse::<i32>().is_err() {
        return Err(format!("For input string: \"{port}\""));
    }
    let name = name.to_uppercase();
    let Some(&protocol) = protocols.get(&name) else {
        return Err(format!("No security protocol defined for listener {name}"));
    };
    // Kafka takes such a port here, and fails when it listens.
    let port = port.parse().map_err(|_| format!("{port} is no port"))?;
    Ok(Listener { name, protocol, host: (!host.is_empty()).then(|| host.to_owned()), port })
}

fn distinct_ports(listeners: &[Listener], shown: &str) -> Result<(), String> {
    let mut by_port: BTreeMap<u16, Vec<&Listener>> = BTreeMap::new();
    for listener in listeners.iter().filter(|listener| listener.port != 0) {
        by_port.entry(listener.port).or_default().push(listener);
    }
    for (port, same) in by_port.into_iter().filter(|(_, same)| same.len() > 1) {
        let host = |listener: &&Listener| listener.host.clone().unwrap_or_default();
        let v4 = same.iter().filter(|l| host(l).parse::<Ipv4Addr>().is_ok()).count();
        let v6 = same.iter().filter(|l| host(l).parse::<Ipv6Addr>().is_ok()).count();
        let named = same.len() - v4 - v6;
        if named > 1 {
            return Err(format!("Each listener must have a different port, listeners: {shown}"));
        }
        if v4 + v6 == 2 && (v4 != 1 || named > 0) {
            return Err(format!(
                "If you have two listeners on the same port then one needs to be IPv4 and the other IPv6, \
                 listeners: {shown}, port: {port}"
            ));
        }
        if v4 + v6 != 2 {
            return Err(format!(
                "Each listener must have a different port unless exactly one listener has an IPv4 address and the \
                 other IPv6 address, listeners: {shown}, port: {port}"
            ));
        }
    }
    Ok(())
}

fn inter_broker_name(
    properties: &Properties,
    protocols: &BTreeMap<String, SecurityProtocol>,
) -> Result<String, Refused> {
    let (name_key, protocol_key) = ("inter.broker.listener.name", "security.inter.broker.protocol");
    let Some(name) = properties.optional_string(name_key) else {
        return Ok(protocol(&properties.string(protocol_key), protocol_key)?.name().to_owned());
    };
    if properties.is_set(protocol_key) {
        return Err(Refused::config(format!("Only one of {name_key} and {protocol_key} should be set.")));
    }
    let name = name.to_uppercase();
    if !protocols.contains_key(&name) {
        return Err(Refused::config(format!(
            "Listener with name {name} defined in {name_key} not found in listener.security.protocol.map."
        )));
    }
    Ok(name)
}
