//! AlterUserScramCredentials: sets and deletes passwords (KIP-554).

use std::collections::BTreeSet;

use bytestring::ByteString;
use thalweg_wire::messages::AlterUserScramCredentialsRequest;
use thalweg_wire::messages::alter_user_scram_credentials_response::{
    AlterUserScramCredentialsResponse, AlterUserScramCredentialsResult,
};

use super::controller::ask;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: AlterUserScramCredentialsRequest) -> AlterUserScramCredentialsResponse {
    let deleted = request.deletions.iter().map(|deletion| &deletion.name);
    let users: BTreeSet<ByteString> =
        deleted.chain(request.upsertions.iter().map(|upsertion| &upsertion.name)).cloned().collect();
    let decided = ask(&call, request).await;
    decided.unwrap_or_else(|refusal| {
        let result = |user| AlterUserScramCredentialsResult {
            user,
            error_code: refusal.code.code(),
            error_message: refusal.text(),
        };
        AlterUserScramCredentialsResponse { results: users.into_iter().map(result).collect(), ..Default::default() }
    })
}
