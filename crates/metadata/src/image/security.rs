//! Who is who: SCRAM credentials and delegation tokens.

use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use thalweg_base::Timestamp;
use thalweg_wire::messages::{DelegationTokenRecord, UserScramCredentialRecord};

use crate::{MetadataRecord, MetadataVersion};

/// What the cluster keeps of a password (KIP-554).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramCredential {
    /// The salt.
    pub salt: Bytes,
    /// The stored key.
    pub stored_key: Bytes,
    /// The server key.
    pub server_key: Bytes,
    /// How often the password was hashed.
    pub iterations: i32,
}

/// Every SCRAM credential, by mechanism (1 is SCRAM-SHA-256, 2 is SCRAM-SHA-512) and user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScramImage {
    credentials: OrdMap<(i8, Arc<str>), ScramCredential>,
}

impl ScramImage {
    /// A user's credential for a mechanism.
    #[must_use]
    pub fn get(&self, mechanism: i8, user: &str) -> Option<&ScramCredential> {
        self.credentials.get(&(mechanism, Arc::from(user)))
    }

    /// Every credential with its mechanism and user, in that order.
    pub fn iter(&self) -> impl Iterator<Item = (i8, &str, &ScramCredential)> {
        self.credentials.iter().map(|((mechanism, user), credential)| (*mechanism, &**user, credential))
    }

    pub(super) fn replay(&mut self, record: &UserScramCredentialRecord) {
        let credential = ScramCredential {
            salt: Bytes::copy_from_slice(&record.salt),
            stored_key: Bytes::copy_from_slice(&record.stored_key),
            server_key: Bytes::copy_from_slice(&record.server_key),
            iterations: record.iterations,
        };
        self.credentials.insert((record.mechanism, Arc::from(&*record.name)), credential);
    }

    pub(super) fn remove(&mut self, mechanism: i8, user: &str) {
        self.credentials.remove(&(mechanism, Arc::from(user)));
    }

    pub(super) fn write(&self, version: MetadataVersion, out: &mut Vec<MetadataRecord>) {
        if version < MetadataVersion::SCRAM {
            return;
        }
        out.extend(self.iter().map(|(mechanism, user, credential)| {
            MetadataRecord::from(UserScramCredentialRecord {
                name: user.into(),
                mechanism,
                salt: credential.salt.clone(),
                stored_key: credential.stored_key.clone(),
                server_key: credential.server_key.clone(),
                iterations: credential.iterations,
            })
        }));
    }
}

/// A token that stands for its owner (KIP-48).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegationToken {
    /// Whom it stands for.
    pub owner: Arc<str>,
    /// Who asked for it.
    pub requester: Arc<str>,
    /// Who may prolong it.
    pub renewers: Vec<Arc<str>>,
    /// When it was issued.
    pub issue_timestamp: Timestamp,
    /// The latest time to which it can be prolonged.
    pub max_timestamp: Timestamp,
    /// When it ends unless it is prolonged.
    pub expiration_timestamp: Timestamp,
}

/// Every delegation token by its id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DelegationTokensImage {
    tokens: OrdMap<Arc<str>, Arc<DelegationToken>>,
}

impl DelegationTokensImage {
    /// Every token with its id.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<DelegationToken>)> {
        self.tokens.iter()
    }

    /// The token of that id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<DelegationToken>> {
        self.tokens.get(id)
    }

    pub(super) fn replay(&mut self, record: &DelegationTokenRecord) {
        let token = DelegationToken {
            owner: Arc::from(&*record.owner),
            requester: Arc::from(&*record.requester),
            renewers: record.renewers.iter().map(|renewer| Arc::from(&**renewer)).collect(),
            issue_timestamp: Timestamp(record.issue_timestamp),
            max_timestamp: Timestamp(record.max_timestamp),
            expiration_timestamp: Timestamp(record.expiration_timestamp),
        };
        self.tokens.insert(Arc::from(&*record.token_id), Arc::new(token));
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.tokens.remove(id);
    }

    pub(super) fn write(&self, version: MetadataVersion, out: &mut Vec<MetadataRecord>) {
        if version < MetadataVersion::DELEGATION_TOKENS {
            return;
        }
        out.extend(self.iter().map(|(id, token)| {
            MetadataRecord::from(DelegationTokenRecord {
                owner: (&*token.owner).into(),
                requester: (&*token.requester).into(),
                renewers: token.renewers.iter().map(|renewer| (&**renewer).into()).collect(),
                issue_timestamp: token.issue_timestamp.0,
                max_timestamp: token.max_timestamp.0,
                expiration_timestamp: token.expiration_timestamp.0,
                token_id: (&**id).into(),
            })
        }));
    }
}
