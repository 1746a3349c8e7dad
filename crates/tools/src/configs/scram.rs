//! SCRAM credentials of users (KIP-554). The password stays here: the broker gets what SCRAM makes of it.

use regex::Regex;
use thalweg_metadata::scram::Mechanism;
use thalweg_sys::random;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion};
use thalweg_wire::messages::describe_user_scram_credentials_request::UserName;
use thalweg_wire::messages::{AlterUserScramCredentialsRequest, DescribeUserScramCredentialsRequest};

use crate::admin::{Admin, check};
use crate::java;
use crate::out::Out;
use crate::thrown::Thrown;

/// The fewest iterations that Kafka takes, and those that it takes if nobody says.
const ITERATIONS: i32 = 4096;

/// Whether a config is a SCRAM mechanism.
pub(super) fn is_mechanism(name: &str) -> bool {
    Mechanism::by_name(name).is_some()
}

/// What a credential of a user is made from.
fn parse(mechanism: Mechanism, text: &str) -> Result<(i32, String), Thrown> {
    let invalid = || Thrown::illegal_argument(format!("Invalid credential property {}={text}", mechanism.java_name()));
    let pattern = Regex::new("^(?:iterations=(-?[0-9]*),)?password=(.*)$").map_err(|_| invalid())?;
    let groups = pattern.captures(text).ok_or_else(invalid)?;
    let iterations = match groups.get(1).map(|found| found.as_str()) {
        None | Some("-1") => ITERATIONS,
        Some(text) => java::number(text)?,
    };
    if iterations < ITERATIONS {
        return Err(Thrown::illegal_argument(format!(
            "Iterations {iterations} is less than the minimum {ITERATIONS} required for {}",
            mechanism.name()
        )));
    }
    Ok((iterations, groups.get(2).map_or("", |found| found.as_str()).to_owned()))
}

pub(super) async fn alter(
    user: &str,
    admin: &Admin,
    added: &[&(String, String)],
    deleted: &[&String],
) -> Result<(), Thrown> {
    let unacceptable = |text: &str| Thrown::of_code(ErrorCode::UnacceptableCredential, Some(text)).execution();
    let mut upsertions = Vec::new();
    for (name, text) in added {
        let Some(mechanism) = Mechanism::by_name(name) else { continue };
        let (iterations, password) = parse(mechanism, text)?;
        let salt = random::bytes16();
        let salted = mechanism.salted_password(password.as_bytes(), &salt, iterations.cast_unsigned());
        let salted = salted.map_err(|_| unacceptable("Password must not be empty"))?;
        if password.is_empty() {
            return Err(unacceptable("Password must not be empty"));
        }
        upsertions.push(ScramCredentialUpsertion {
            name: user.into(),
            mechanism: mechanism.number(),
            iterations,
            salt: salt.to_vec().into(),
            salted_password: salted.into(),
        });
    }
    let deletions = deleted
        .iter()
        .filter_map(|name| Mechanism::by_name(name))
        .map(|mechanism| ScramCredentialDeletion { name: user.into(), mechanism: mechanism.number() });
    let deletions: Vec<ScramCredentialDeletion> = deletions.collect();
    if upsertions.len() + deletions.len() > 1 {
        let text = "A user credential cannot be altered twice in the same request";
        return Err(Thrown::of_code(ErrorCode::DuplicateResource, Some(text)).execution());
    }
    let request = AlterUserScramCredentialsRequest { deletions, upsertions };
    let response = admin.controller("alterUserScramCredentials", &request).await.map_err(Thrown::execution)?;
    let mut results = response.results.iter();
    results.try_for_each(|result| check(result.error_code, result.error_message.as_deref())).map_err(Thrown::execution)
}

pub(super) async fn describe(users: &[String], admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let user = |name: &String| UserName { name: name.as_str().into() };
    let request = DescribeUserScramCredentialsRequest {
        users: if users.is_empty() { None } else { Some(users.iter().map(user).collect()) },
    };
    let response = admin.any("describeUserScramCredentials", &request).await.map_err(Thrown::execution)?;
    check(response.error_code, response.error_message.as_deref()).map_err(Thrown::execution)?;
    for result in &response.results {
        if ErrorCode::from(result.error_code) == ErrorCode::ResourceNotFound {
            continue;
        }
        let user = &result.user;
        match check(result.error_code, result.error_message.as_deref()) {
            Ok(()) => {
                let infos = result.credential_infos.iter().map(|info| {
                    let name = Mechanism::by_number(info.mechanism).map_or("UNKNOWN", Mechanism::name);
                    format!("{name}=iterations={}", info.iterations)
                });
                let infos = infos.collect::<Vec<_>>().join(", ");
                out.line(format_args!("SCRAM credential configs for user-principal '{user}' are {infos}"));
            }
            Err(thrown) => out.line(format_args!(
                "Error retrieving SCRAM credential configs for user-principal '{user}': {}: {}",
                thrown.simple_class(),
                thrown.text()
            )),
        }
    }
    Ok(())
}
