//! Quotas, and users that log in by SCRAM: those that there are, and changing them.

use std::fmt;

use thalweg_client::Destination;
use thalweg_metadata::scram::Mechanism;
use thalweg_sys::{random, task};
use thalweg_wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use thalweg_wire::messages::alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion};
use thalweg_wire::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, DescribeClientQuotasRequest,
    DescribeUserScramCredentialsRequest,
};

use super::{Kafka, Mode};
use crate::trouble::Trouble;

/// Of whom a quota is: parts such as `user` and `client-id`, each with a name, or `None` for all that have no quota of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QuotaEntity(pub(crate) Vec<(String, Option<String>)>);

/// What stands, in forms and in Kafka's tools, for all that have no quota of their own.
pub(crate) const DEFAULT_ENTITY: &str = "<default>";

impl fmt::Display for QuotaEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, name)) in self.0.iter().enumerate() {
            let gap = if at == 0 { "" } else { ", " };
            write!(f, "{gap}{kind} {}", name.as_deref().unwrap_or(DEFAULT_ENTITY))?;
        }
        Ok(())
    }
}

impl QuotaEntity {
    /// The name of this part, as forms have it; empty if there is no such part.
    pub(crate) fn part(&self, kind: &str) -> &str {
        let part = self.0.iter().find(|(known, _)| known == kind);
        part.map_or("", |(_, name)| name.as_deref().unwrap_or(DEFAULT_ENTITY))
    }
}

/// A quota: of whom, which, and how much.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quota {
    pub(crate) entity: QuotaEntity,
    pub(crate) key: String,
    pub(crate) value: f64,
}

/// A password of a user, as SCRAM keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScramUser {
    pub(crate) name: String,
    /// `None` for one that this version does not know.
    pub(crate) mechanism: Option<Mechanism>,
    pub(crate) iterations: i32,
}

impl Kafka {
    /// All quotas; `None` from a broker that is too old to tell.
    pub(crate) async fn quotas(&self) -> Result<Option<Vec<Quota>>, Trouble> {
        let request = DescribeClientQuotasRequest::default();
        let Some(response) = self.ask_if_served(&Destination::Any, &request).await? else { return Ok(None) };
        Trouble::check("quotas", response.error_code, response.error_message.as_deref())?;
        let mut quotas = Vec::new();
        for entry in response.entries.iter().flatten() {
            let part = |part: &thalweg_wire::messages::describe_client_quotas_response::EntityData| {
                (part.entity_type.to_string(), part.entity_name.as_deref().map(str::to_owned))
            };
            let entity = QuotaEntity(entry.entity.iter().map(part).collect());
            quotas.extend(entry.values.iter().map(|value| Quota {
                entity: entity.clone(),
                key: value.key.to_string(),
                value: value.value,
            }));
        }
        quotas.sort_by(|one, other| (&one.entity, &one.key).cmp(&(&other.entity, &other.key)));
        Ok(Some(quotas))
    }

    /// Sets a quota, or removes it where there is no value.
    pub(crate) async fn alter_quota(
        &self,
        entity: &QuotaEntity,
        key: &str,
        value: Option<f64>,
        mode: Mode,
    ) -> Result<(), Trouble> {
        let part = |(kind, name): &(String, Option<String>)| EntityData {
            entity_type: kind.as_str().into(),
            entity_name: name.as_deref().map(Into::into),
        };
        let op = OpData { key: key.into(), value: value.unwrap_or_default(), remove: value.is_none() };
        let entry = EntryData { entity: entity.0.iter().map(part).collect(), ops: vec![op] };
        let request = AlterClientQuotasRequest { entries: vec![entry], validate_only: mode == Mode::Check };
        let response = self.ask(Destination::Controller, &request).await?;
        let mut entries = response.entries.iter();
        entries.try_for_each(|entry| {
            Trouble::check(format!("the quota of {entity}"), entry.error_code, entry.error_message.as_deref())
        })
    }

    /// The users that log in by SCRAM; `None` from a broker that is too old to tell.
    pub(crate) async fn scram_users(&self) -> Result<Option<Vec<ScramUser>>, Trouble> {
        let request = DescribeUserScramCredentialsRequest { users: None };
        let Some(response) = self.ask_if_served(&Destination::Any, &request).await? else { return Ok(None) };
        Trouble::check("users", response.error_code, response.error_message.as_deref())?;
        let mut users = Vec::new();
        for result in &response.results {
            users.extend(result.credential_infos.iter().map(|credential| ScramUser {
                name: result.user.to_string(),
                mechanism: Mechanism::by_number(credential.mechanism),
                iterations: credential.iterations,
            }));
        }
        users.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Some(users))
    }

    /// Gives a user a password of a mechanism. The password stays here: the cluster gets what SCRAM makes of it.
    pub(crate) async fn set_scram_user(
        &self,
        user: &str,
        mechanism: Mechanism,
        iterations: i32,
        password: &str,
    ) -> Result<(), Trouble> {
        let (salt, password) = (random::bytes16(), password.to_owned());
        // Thousands of rounds of a hash: not on a thread that serves others.
        let rounds = iterations.cast_unsigned();
        let salted = task::blocking(move || mechanism.salted_password(password.as_bytes(), &salt, rounds)).await;
        let salted = salted.map_err(|_| Trouble::Busy("the password could not be worked on; try again"))?;
        let salted = salted.map_err(|_| Trouble::Bad("the password must not be empty".to_owned()))?;
        let upsertion = ScramCredentialUpsertion {
            name: user.into(),
            mechanism: mechanism.number(),
            iterations,
            salt: salt.to_vec().into(),
            salted_password: salted.into(),
        };
        self.alter_scram(user, AlterUserScramCredentialsRequest { deletions: Vec::new(), upsertions: vec![upsertion] })
            .await
    }

    /// Takes a user's password of a mechanism away.
    pub(crate) async fn delete_scram_user(&self, user: &str, mechanism: Mechanism) -> Result<(), Trouble> {
        let deletion = ScramCredentialDeletion { name: user.into(), mechanism: mechanism.number() };
        self.alter_scram(user, AlterUserScramCredentialsRequest { deletions: vec![deletion], upsertions: Vec::new() })
            .await
    }

    async fn alter_scram(&self, user: &str, request: AlterUserScramCredentialsRequest) -> Result<(), Trouble> {
        let response = self.ask(Destination::Controller, &request).await?;
        let mut results = response.results.iter();
        results.try_for_each(|result| {
            Trouble::check(format!("user {user}"), result.error_code, result.error_message.as_deref())
        })
    }
}
