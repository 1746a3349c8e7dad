//! Who may do what: the authorizer and what it is configured with.

use thalweg_access::quotas::Windows;
use thalweg_access::{Authorizer, Secret};

use super::Refused;
use super::properties::Properties;

/// Kafka's own authorizer, which decides by the ACLs of the metadata log.
const STANDARD_AUTHORIZER: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
/// Configs of the authorizer itself, which Kafka's table does not know.
pub(super) const AUTHORIZER_KEYS: [&str; 2] = ["allow.everyone.if.no.acl.found", "super.users"];

/// How delegation tokens are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenConfig {
    /// `delegation.token.secret.key`; without it there are no tokens.
    pub secret: Option<Secret>,
    /// `delegation.token.max.lifetime.ms`
    pub lifetime_max_ms: i64,
    /// `delegation.token.expiry.time.ms`
    pub renewal_ms: i64,
    /// `delegation.token.expiry.check.interval.ms`
    pub check_interval_ms: i64,
}

impl TokenConfig {
    fn read(properties: &Properties) -> Self {
        let secret = properties.texts().get("delegation.token.secret.key").filter(|text| !text.is_empty());
        Self {
            secret: secret.map(|text| Secret::new(&**text)),
            lifetime_max_ms: properties.long("delegation.token.max.lifetime.ms"),
            renewal_ms: properties.long("delegation.token.expiry.time.ms"),
            check_interval_ms: properties.long("delegation.token.expiry.check.interval.ms"),
        }
    }
}

/// Who may do what, and how what they use is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessConfig {
    /// `authorizer.class.name`, `super.users` and `allow.everyone.if.no.acl.found`; without a class everybody may do
    /// everything.
    pub authorizer: Option<Authorizer>,
    /// Delegation tokens.
    pub tokens: TokenConfig,
    /// `quota.window.num` and `quota.window.size.seconds`.
    pub quota_windows: Windows,
    /// `controller.quota.window.num` and `controller.quota.window.size.seconds`.
    pub controller_quota_windows: Windows,
}

impl AccessConfig {
    pub(super) fn read(properties: &Properties) -> Result<Self, Refused> {
        Ok(Self {
            authorizer: authorizer(properties)?,
            tokens: TokenConfig::read(properties),
            quota_windows: windows(properties, ["quota.window.num", "quota.window.size.seconds"]),
            controller_quota_windows: windows(
                properties,
                ["controller.quota.window.num", "controller.quota.window.size.seconds"],
            ),
        })
    }
}

fn windows(properties: &Properties, [count, seconds]: [&str; 2]) -> Windows {
    Windows { count: properties.int(count).unsigned_abs(), size_ms: i64::from(properties.int(seconds)) * 1000 }
}

fn authorizer(properties: &Properties) -> Result<Option<Authorizer>, Refused> {
    let class = properties.string("authorizer.class.name");
    if class.is_empty() {
        return Ok(None);
    }
    if class != STANDARD_AUTHORIZER {
        return Err(Refused::config(format!(
            "authorizer.class.name names the Java class {class}, and only {STANDARD_AUTHORIZER} can run here"
        )));
    }
    let text = |name: &str| properties.texts().get(name).map_or("", |text| &**text);
    let [allow_everyone, super_users] = AUTHORIZER_KEYS.map(text);
    let authorizer = Authorizer::from_texts(super_users, allow_everyone)
        .map_err(|e| Refused::illegal(format!("super.users: {e}")))?;
    Ok(Some(authorizer))
}
