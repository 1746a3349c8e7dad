//! AlterUserScramCredentials: the passwords of users, as far as the cluster knows them (KIP-554).

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_metadata::scram::{ITERATIONS_MAX, ITERATIONS_MIN, Mechanism};
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion};
use thalweg_wire::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use thalweg_wire::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, RemoveUserScramCredentialRecord,
    UserScramCredentialRecord,
};

use crate::refusal::parts;
use crate::{Controller, Outcome, Refusal};

/// What becomes of each user that a request names. Whoever is named twice keeps what there is.
#[derive(Default)]
struct Users {
    changed: BTreeMap<ByteString, MetadataRecord>,
    refused: BTreeMap<ByteString, Refusal>,
}

impl Users {
    fn take(&mut self, name: &ByteString, record: Result<MetadataRecord, Refusal>) {
        if self.refused.contains_key(name) {
            return;
        }
        let record = match self.changed.remove(name) {
            Some(_) => {
                let text = "A user credential cannot be altered twice in the same request";
                Err(Refusal::because(ErrorCode::DuplicateResource, text))
            }
            None => record,
        };
        match record {
            Ok(record) => self.changed.insert(name.clone(), record).map(|_| ()),
            Err(refusal) => self.refused.insert(name.clone(), refusal).map(|_| ()),
        };
    }
}

impl Controller {
    /// Sets and deletes credentials. Each user succeeds or fails by itself, and is named once at most.
    #[must_use]
    pub fn alter_user_scram_credentials(
        &self,
        image: &MetadataImage,
        request: &AlterUserScramCredentialsRequest,
    ) -> Outcome<AlterUserScramCredentialsResponse> {
        let mut users = Users::default();
        for deletion in &request.deletions {
            users.take(&deletion.name, deleted(image, deletion));
        }
        for upsertion in &request.upsertions {
            users.take(&upsertion.name, upserted(image, upsertion));
        }
        let result = |user: &ByteString, result: &Result<(), Refusal>| {
            let (error_code, error_message) = parts(result);
            AlterUserScramCredentialsResult { user: user.clone(), error_code, error_message }
        };
        let mut results: Vec<_> = users.changed.keys().map(|user| result(user, &Ok(()))).collect();
        results.extend(users.refused.iter().map(|(user, refusal)| result(user, &Err(refusal.clone()))));
        let response = AlterUserScramCredentialsResponse { results, ..Default::default() };
        Outcome { records: users.changed.into_values().collect(), response }
    }
}

fn deleted(image: &MetadataImage, deletion: &ScramCredentialDeletion) -> Result<MetadataRecord, Refusal> {
    let mechanism = check(image, &deletion.name, deletion.mechanism)?;
    if image.scram().get(mechanism.number(), &deletion.name).is_none() {
        let text = "Attempt to delete a user credential that does not exist";
        return Err(Refusal::because(ErrorCode::ResourceNotFound, text));
    }
    Ok(RemoveUserScramCredentialRecord { name: deletion.name.clone(), mechanism: mechanism.number() }.into())
}

fn upserted(image: &MetadataImage, upsertion: &ScramCredentialUpsertion) -> Result<MetadataRecord, Refusal> {
    let mechanism = check(image, &upsertion.name, upsertion.mechanism)?;
    let unacceptable = |text| Refusal::because(ErrorCode::UnacceptableCredential, text);
    if upsertion.iterations < ITERATIONS_MIN {
        return Err(unacceptable("Too few iterations"));
    }
    if upsertion.iterations > ITERATIONS_MAX {
        return Err(unacceptable("Too many iterations"));
    }
    // Java's HMAC takes no empty key, and Kafka says nothing more about it.
    let refused = |_| Refusal::bare(ErrorCode::UnknownServerError);
    let keys = mechanism.keys(&upsertion.salted_password).map_err(refused)?;
    Ok(UserScramCredentialRecord {
        name: upsertion.name.clone(),
        mechanism: mechanism.number(),
        salt: upsertion.salt.clone(),
        stored_key: keys.stored.into(),
        server_key: keys.server.into(),
        iterations: upsertion.iterations,
    }
    .into())
}

fn check(image: &MetadataImage, name: &str, mechanism: i8) -> Result<Mechanism, Refusal> {
    if image.metadata_version() < MetadataVersion::SCRAM {
        let text = "The current metadata.version does not support SCRAM";
        return Err(Refusal::because(ErrorCode::UnsupportedVersion, text));
    }
    if name.is_empty() {
        return Err(Refusal::because(ErrorCode::UnacceptableCredential, "Username must not be empty"));
    }
    Mechanism::by_number(mechanism)
        .ok_or_else(|| Refusal::because(ErrorCode::UnsupportedSaslMechanism, "Unknown SCRAM mechanism"))
}

#[cfg(test)]
mod tests;
