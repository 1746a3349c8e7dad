//! How this node connects to other nodes: encrypted and logged in as the protocol of their listener asks.

use std::sync::Arc;

use thalweg_access::sasl::SaslMechanism;
use thalweg_client::{ConnectionOptions, Encryption, SaslConfig};
use thalweg_metadata::config::{BrokerConfigs, ConfigMap};
use tracing::{error, info, warn};

use super::jaas_file::JaasFile;
use super::{KeyMaterial, Own, SecurityError, jaas_key, login_module};
use crate::config::{NodeConfig, SecurityProtocol};
use crate::format::is_alone;

/// How this node connects to a listener of others.
#[derive(Debug)]
pub(crate) struct Outgoing {
    listener: String,
    encryption: Option<(Encryption, KeyMaterial)>,
    sasl: Option<SaslConfig>,
}

/// How this node connects to others.
#[derive(Clone, Debug)]
pub(crate) struct Outgoings {
    /// To brokers: `inter.broker.listener.name`, `sasl.mechanism.inter.broker.protocol`.
    pub(crate) brokers: Arc<Outgoing>,
    /// To controllers: the first of `controller.listener.names`, `sasl.mechanism.controller.protocol`.
    pub(crate) controllers: Arc<Outgoing>,
}

impl Outgoings {
    /// Reads how this node connects to others, and the key material that this needs.
    pub(crate) fn read(config: &NodeConfig, jaas: &JaasFile) -> Result<Self, SecurityError> {
        let network = &config.network;
        let controllers = network.controller_listener_names.first().map(|name| name.to_uppercase()).unwrap_or_default();
        Ok(Self {
            // A controller that is no broker connects to none.
            brokers: match config.roles.broker {
                true => Outgoing::read(
                    config,
                    jaas,
                    &network.inter_broker_listener_name,
                    "sasl.mechanism.inter.broker.protocol",
                )?,
                false => Arc::new(Outgoing::plain(&network.inter_broker_listener_name)),
            },
            controllers: Outgoing::read(config, jaas, &controllers, "sasl.mechanism.controller.protocol")?,
        })
    }

    /// Reads key material again if its settings or files have changed.
    pub(crate) fn refresh(&self, configs: BrokerConfigs<'_>) {
        self.brokers.refresh(configs);
        self.controllers.refresh(configs);
    }
}

impl Outgoing {
    fn plain(listener: &str) -> Self {
        Self { listener: listener.to_owned(), encryption: None, sasl: None }
    }

    /// A node that is the only controller may have no other node to connect to: it starts without a login or key material for
    /// that.
    fn read(
        config: &NodeConfig,
        jaas: &JaasFile,
        listener: &str,
        mechanism_key: &str,
    ) -> Result<Arc<Self>, SecurityError> {
        match Self::read_all(config, jaas, listener, mechanism_key) {
            Ok(outgoing) => Ok(Arc::new(outgoing)),
            Err(why) if is_alone(config) => {
                warn!("this node cannot connect to other nodes, if there are any: {why}");
                Ok(Arc::new(Self::plain(listener)))
            }
            Err(why) => Err(why),
        }
    }

    fn read_all(
        config: &NodeConfig,
        jaas: &JaasFile,
        listener: &str,
        mechanism_key: &str,
    ) -> Result<Self, SecurityError> {
        let none = ConfigMap::new();
        let configs = BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &config.properties };
        let own = Own::new(listener, configs, Some(jaas));
        let protocol = config.network.protocols.get(listener).copied().unwrap_or(SecurityProtocol::Plaintext);
        let fail = |why| SecurityError { listener: listener.to_owned(), why };
        let encryption = match protocol.encrypts() {
            true => Some(encryption(&own).map_err(|why| fail(format!("connections to other nodes: {why}")))?),
            false => None,
        };
        let sasl = match protocol.authenticates() {
            true => Some(sasl(&own, mechanism_key).map_err(fail)?),
            false => None,
        };
        Ok(Self { listener: listener.to_owned(), encryption, sasl })
    }

    /// The name of the listener of others.
    pub(crate) fn listener(&self) -> &str {
        &self.listener
    }

    /// The same connection, as this listener of others wants it.
    pub(crate) fn secure(&self, options: ConnectionOptions) -> ConnectionOptions {
        let encryption = self.encryption.as_ref().map(|(encryption, _)| encryption.clone());
        ConnectionOptions { encryption, sasl: self.sasl.clone(), ..options }
    }

    /// Reads key material again if its settings or files have changed. Material that cannot be used leaves what was there.
    fn refresh(&self, configs: BrokerConfigs<'_>) {
        let Some((encryption, material)) = &self.encryption else { return };
        let own = Own::new(&self.listener, configs, None);
        match material.refresh(&own, |settings| encryption.replace(settings)) {
            Ok(false) => {}
            Ok(true) => info!(listener = %self.listener, "connections to other nodes use the new key material"),
            Err(e) => {
                error!(listener = %self.listener, "the key material of connections to other nodes stays as it was: {e}");
            }
        }
    }
}

fn encryption(own: &Own<'_>) -> Result<(Encryption, KeyMaterial), String> {
    let material = KeyMaterial::read(own).map_err(|e| e.to_string())?;
    let encryption = Encryption::new(&material.settings()).map_err(|e| e.to_string())?;
    Ok((encryption, material))
}

fn sasl(own: &Own<'_>, mechanism_key: &str) -> Result<SaslConfig, String> {
    let name = own.get(mechanism_key).unwrap_or_default();
    let mechanism = SaslMechanism::by_name(&name).ok_or_else(|| {
        format!("{mechanism_key}={name} is not built: use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
    })?;
    let module = login_module(own, mechanism)?;
    let module = module.ok_or_else(|| {
        let key = format!("{}{}", own.prefix, jaas_key(mechanism));
        format!("{key} is not set: it says how this node logs in at others ({mechanism_key}={name})")
    })?;
    let token_url = own.of_mechanism(mechanism, "sasl.oauthbearer.token.endpoint.url").filter(|url| !url.is_empty());
    SaslConfig::from_module(mechanism, &module, token_url.as_deref())
        .map_err(|why| format!("the login of this node at others: {why}"))
}
