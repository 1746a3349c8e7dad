//! Who may do what: the authorizer and what it is configured with.

use thalweg_access::Authorizer;

use super::Refused;
use super::properties::Properties;

/// Kafka's own authorizer, which decides by the ACLs of the metadata log.
const STANDARD_AUTHORIZER: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
/// Configs of the authorizer itself, which Kafka's table does not know.
pub(super) const AUTHORIZER_KEYS: [&str; 2] = ["allow.everyone.if.no.acl.found", "super.users"];

/// Who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// `authorizer.class.name`, `super.users` and `allow.everyone.if.no.acl.found`; without a class everybody may do
    /// everything.
    pub authorizer: Option<Authorizer>,
}

impl AccessConfig {
    pub(super) fn read(properties: &Properties) -> Result<Self, Refused> {
        let class = properties.string("authorizer.class.name");
        if class.is_empty() {
            return Ok(Self::default());
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
        Ok(Self { authorizer: Some(authorizer) })
    }
}
