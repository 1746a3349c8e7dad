//! The key material of a listener: read at start, and replaced while the node runs where that is allowed (KIP-226).

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_access::principal_mapping::PrincipalMapping;
use thalweg_network::Encryption;
use thalweg_tls::{ListenerMaterial, Peers, TlsError, TlsSettings};

use super::{KeyMaterial, Own};

/// How a listener encrypts.
pub(super) struct Tls {
    pub(super) encryption: Arc<Encryption>,
    /// `ssl.principal.mapping.rules`
    pub(super) mapping: PrincipalMapping,
    peers: Peers,
    material: KeyMaterial,
    in_use: Mutex<ListenerMaterial>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    pub(super) fn read(own: &Own<'_>, peers: Peers) -> Result<Self, String> {
        let material = KeyMaterial::read(own).map_err(|e| e.to_string())?;
        let rules = own.get("ssl.principal.mapping.rules").unwrap_or_else(|| "DEFAULT".to_owned());
        let mapping = PrincipalMapping::parse(&rules).map_err(|e| e.to_string())?;
        let in_use = ListenerMaterial::read(&material.settings(), peers).map_err(|e| e.to_string())?;
        let encryption = Encryption::new(in_use.server());
        Ok(Self { encryption, mapping, peers, material, in_use: Mutex::new(in_use) })
    }

    /// Uses other key material if the settings or their files have changed. Says whether it did.
    pub(super) fn refresh(&self, own: &Own<'_>) -> Result<bool, TlsError> {
        self.material.refresh(own, |settings| {
            let new = self.read_replacement(settings)?;
            self.encryption.replace(new.server());
            *self.in_use.lock() = new;
            Ok(())
        })
    }

    /// Whether the listener could encrypt as these settings say, in the words of Kafka's exceptions. Settings that have not
    /// changed are not looked at, whatever happened to their files.
    pub(super) fn check(&self, own: &Own<'_>) -> Result<(), String> {
        let settings = TlsSettings::read(|key| own.get(key)).map_err(|e| in_words_of_java(&e, None))?;
        if settings == self.material.settings() {
            return Ok(());
        }
        self.read_replacement(&settings).map(drop).map_err(|e| in_words_of_java(&e, Some(&settings)))
    }

    fn read_replacement(&self, settings: &TlsSettings) -> Result<ListenerMaterial, TlsError> {
        let new = ListenerMaterial::read(settings, self.peers)?;
        new.replaces(&self.in_use.lock())?;
        Ok(new)
    }
}

/// Why key material is refused: the exception that Kafka's message names, and the reason, which Kafka leaves to its log.
fn in_words_of_java(error: &TlsError, settings: Option<&TlsSettings>) -> String {
    let exception = match error {
        TlsError::Setting(_) => "org.apache.kafka.common.errors.InvalidConfigurationException: ".to_owned(),
        TlsError::Mismatch(_) => "org.apache.kafka.common.config.ConfigException: ".to_owned(),
        TlsError::Handshake(_) => "javax.net.ssl.SSLHandshakeException: ".to_owned(),
        TlsError::Read { .. } | TlsError::Material { .. } | TlsError::Rustls(_) => {
            match settings.and_then(TlsSettings::keystore) {
                Some((path, kind)) => format!(
                    "org.apache.kafka.common.KafkaException: Failed to load SSL keystore {} of type {kind}: ",
                    path.display()
                ),
                None => "org.apache.kafka.common.errors.InvalidConfigurationException: Invalid PEM keystore configs: "
                    .to_owned(),
            }
        }
    };
    format!("Validation of dynamic config update of SSLFactory failed: {exception}{error}")
}
