//! DescribeUserScramCredentials: which users have passwords for which mechanisms (KIP-554). It shows no secret.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_metadata::image::ScramImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeUserScramCredentialsRequest;
use thalweg_wire::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResponse, DescribeUserScramCredentialsResult,
};

use crate::call::Call;

pub(crate) fn handle(
    call: &Call,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let image = call.broker.image();
    // How often each user is asked for; nobody in particular is everybody.
    let mut users: BTreeMap<ByteString, usize> = BTreeMap::new();
    match request.users.filter(|users| !users.is_empty()) {
        None => users.extend(image.scram().iter().map(|(_, user, _)| (ByteString::from(user), 1))),
        Some(asked) => asked.into_iter().for_each(|user| *users.entry(user.name).or_default() += 1),
    }
    let results = users.into_iter().map(|(user, times)| match times {
        1 => described(image.scram(), user),
        _ => {
            let text = "Cannot describe SCRAM credentials for the same user twice in a single request: ";
            refused(user, ErrorCode::DuplicateResource, text)
        }
    });
    DescribeUserScramCredentialsResponse { results: results.collect(), ..Default::default() }
}

fn described(scram: &ScramImage, user: ByteString) -> DescribeUserScramCredentialsResult {
    let own = scram.iter().filter(|(_, name, _)| *name == &*user);
    let info = |(mechanism, _, credential): (i8, &str, &thalweg_metadata::image::ScramCredential)| CredentialInfo {
        mechanism,
        iterations: credential.iterations,
    };
    let credential_infos: Vec<CredentialInfo> = own.map(info).collect();
    if credential_infos.is_empty() {
        let text = "Attempt to describe a user credential that does not exist: ";
        return refused(user, ErrorCode::ResourceNotFound, text);
    }
    DescribeUserScramCredentialsResult { user, credential_infos, ..Default::default() }
}

fn refused(user: ByteString, error: ErrorCode, text: &str) -> DescribeUserScramCredentialsResult {
    let error_message = Some(format!("{text}{user}").into());
    DescribeUserScramCredentialsResult { user, error_code: error.code(), error_message, ..Default::default() }
}
