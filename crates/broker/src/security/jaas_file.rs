//! The JAAS file that `KAFKA_OPTS` names, as operators of Kafka set it: login modules for listeners that have none in the
//! properties.

use std::collections::BTreeMap;
use std::path::Path;

use thalweg_access::jaas::{self, LoginModule};
use thalweg_access::sasl::SaslMechanism;
use thalweg_sys::fs;

/// The contexts of a JAAS file by their names; none where there is no file.
#[derive(Debug, Default)]
pub(crate) struct JaasFile(BTreeMap<String, Vec<LoginModule>>);

impl JaasFile {
    /// Reads the file that `-Djava.security.auth.login.config=` in the environment variable `KAFKA_OPTS` names, if it is set.
    pub(super) fn read() -> Result<Self, String> {
        let options = std::env::var("KAFKA_OPTS").unwrap_or_default();
        let Some(file) = jaas::file_of_options(&options) else { return Ok(Self::default()) };
        let text = fs::read_to_string(Path::new(file)).map_err(|e| format!("cannot read the JAAS file {file}: {e}"))?;
        jaas::parse_file(&text).map(Self).map_err(|e| format!("the JAAS file {file}: {e}"))
    }

    /// The login module of a mechanism: of `<listener>.KafkaServer`, or else of `KafkaServer`.
    pub(super) fn login_module(&self, listener: &str, mechanism: SaslMechanism) -> Option<&LoginModule> {
        let own = self.0.get(&format!("{}.KafkaServer", listener.to_lowercase()));
        let context = own.or_else(|| self.0.get("KafkaServer"))?;
        context.iter().find(|module| module.class == mechanism.login_module())
    }
}
