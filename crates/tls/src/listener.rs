//! The key material of a listener, and whether other material may take its place while the listener runs (KIP-226).

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use crate::name::{Names, names};
use crate::{TlsError, TlsSettings};

/// What the nodes of a cluster reach a listener by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Clients only.
    Clients,
    /// Other nodes too, by the same key material: old and new material must be trusted by each other.
    Nodes,
}

/// The key material of a listener, ready for use.
#[derive(Clone, Debug)]
pub struct ListenerMaterial {
    server: Arc<ServerConfig>,
    /// What another node with the same settings connects with, if nodes do.
    peer: Option<Arc<ClientConfig>>,
    names: Names,
    has_truststore: bool,
    allows_other_subject: bool,
    allows_fewer_names: bool,
}

impl ListenerMaterial {
    /// Reads the key material that `settings` name.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or it does not fit together.
    pub fn read(settings: &TlsSettings, peers: Peers) -> Result<Self, TlsError> {
        let (server, certificate) = settings.server_and_certificate()?;
        let peer = match peers {
            Peers::Clients => None,
            Peers::Nodes => Some(settings.clone().without_host_verification().client()?),
        };
        Ok(Self {
            server,
            peer,
            names: names_of(&certificate)?,
            has_truststore: settings.has_truststore(),
            allows_other_subject: settings.allows_other_subject,
            allows_fewer_names: settings.allows_fewer_names,
        })
    }

    /// What the listener encrypts with.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Whether this material may take the place of `old`: it names the same subject and at least the same alternative names,
    /// unless `ssl.allow.dn.changes` or `ssl.allow.san.changes` say otherwise, and nodes with the one and nodes with the other
    /// trust each other.
    ///
    /// # Errors
    /// Why not, in Kafka's words.
    pub fn replaces(&self, old: &Self) -> Result<(), TlsError> {
        let (was, is) = (&old.names, &self.names);
        if !self.allows_other_subject && !was.subject.eq_ignore_ascii_case(&is.subject) {
            return Err(TlsError::Mismatch(format!(
                "Keystore DistinguishedName does not match:  existing={{DN={}}}, new={{DN={}}}",
                was.subject, is.subject
            )));
        }
        if !self.allows_fewer_names && !was.alternative.is_subset(&is.alternative) {
            let list = |names: &Names| names.alternative.iter().cloned().collect::<Vec<_>>().join(", ");
            return Err(TlsError::Mismatch(format!(
                "Keystore SubjectAltNames do not match:  existing={{SAN=[{}]}}, new={{SAN=[{}]}}",
                list(was),
                list(is)
            )));
        }
        if self.has_truststore && !old.has_truststore {
            let text = "Cannot add SSL truststore to an existing listener for which no truststore was configured.";
            return Err(TlsError::Mismatch(text.to_owned()));
        }
        if let (Some(peer), Some(old_peer)) = (&self.peer, &old.peer) {
            shake_hands(old_peer, &self.server)?;
            shake_hands(peer, &old.server)?;
        }
        Ok(())
    }
}

fn names_of(certificate: &CertificateDer<'_>) -> Result<Names, TlsError> {
    names(certificate).ok_or_else(|| TlsError::Material {
        what: "the certificate of the keystore".to_owned(),
        why: "it is malformed".to_owned(),
    })
}

/// Has a client and a server shake hands in memory.
fn shake_hands(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<(), TlsError> {
    // More rounds than any handshake has.
    const ROUNDS_MAX: usize = 16;
    let unnamed = ServerName::try_from("localhost").map_err(|e| rustls::Error::General(e.to_string()))?;
    let mut client = ClientConnection::new(Arc::clone(client), unnamed)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    let in_memory = |e: std::io::Error| rustls::Error::General(e.to_string());
    for _ in 0..ROUNDS_MAX {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).map_err(in_memory)?;
        }
        let mut unread = &wire[..];
        while !unread.is_empty() {
            server.read_tls(&mut unread).map_err(in_memory)?;
            server.process_new_packets().map_err(TlsError::Handshake)?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).map_err(in_memory)?;
        }
        let mut unread = &wire[..];
        while !unread.is_empty() {
            client.read_tls(&mut unread).map_err(in_memory)?;
            client.process_new_packets().map_err(TlsError::Handshake)?;
        }
        if !client.is_handshaking() && !server.is_handshaking() && !client.wants_write() {
            return Ok(());
        }
    }
    Err(TlsError::Handshake(rustls::Error::HandshakeNotComplete))
}

#[cfg(test)]
mod tests;
