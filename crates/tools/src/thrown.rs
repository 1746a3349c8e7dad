//! Java's exceptions, as Kafka's tools print them: people's scripts look for these texts.

use std::fmt;

use thalweg_wire::ErrorCode;

/// An exception that Kafka's tool would have thrown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thrown {
    /// The full name of its class.
    pub class: String,
    /// Its message.
    pub message: Option<String>,
    /// What caused it.
    pub cause: Option<Box<Thrown>>,
}

impl Thrown {
    /// An exception with a message and no cause.
    #[must_use]
    pub fn new(class: &str, message: impl Into<String>) -> Self {
        Self { class: class.to_owned(), message: Some(message.into()), cause: None }
    }

    /// `java.lang.IllegalArgumentException`.
    #[must_use]
    pub fn illegal_argument(message: impl Into<String>) -> Self {
        Self::new("java.lang.IllegalArgumentException", message)
    }

    /// `AdminCommandFailedException` of Kafka's tools: what the command asks for cannot be done.
    #[must_use]
    pub fn command_failed(message: impl Into<String>) -> Self {
        Self::new("org.apache.kafka.tools.AdminCommandFailedException", message)
    }

    /// `AdminOperationException` of Kafka's tools: what the command was given is wrong.
    #[must_use]
    pub fn operation_failed(message: impl Into<String>) -> Self {
        Self::new("org.apache.kafka.tools.AdminOperationException", message)
    }

    /// `java.util.concurrent.ExecutionException`, which wraps what a future failed with.
    #[must_use]
    pub fn execution(self) -> Self {
        Self {
            class: "java.util.concurrent.ExecutionException".into(),
            message: Some(self.to_string()),
            cause: Some(Box::new(self)),
        }
    }

    /// `java.lang.RuntimeException` around another exception, without a message of its own.
    #[must_use]
    pub fn runtime(self) -> Self {
        Self::wrapping("java.lang.RuntimeException", self)
    }

    /// An exception that has its cause's text as message.
    #[must_use]
    pub fn wrapping(class: &str, cause: Self) -> Self {
        Self { class: class.to_owned(), message: Some(cause.to_string()), cause: Some(Box::new(cause)) }
    }

    /// An exception with a message and a cause.
    #[must_use]
    pub fn caused_by(class: &str, message: impl Into<String>, cause: Self) -> Self {
        Self { cause: Some(Box::new(cause)), ..Self::new(class, message) }
    }

    /// The exception of an error code, with the broker's message or, without one, the code's.
    #[must_use]
    pub fn of_code(code: ErrorCode, message: Option<&str>) -> Self {
        let name = code.name();
        Self::new(&class_of(name), message.unwrap_or(code.message()))
    }

    /// What a tool prints as "the message": Java says `null` where there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        self.message.as_deref().unwrap_or("null")
    }

    /// The class without its package.
    #[must_use]
    pub fn simple_class(&self) -> &str {
        self.class.rsplit(['.', '$']).next().unwrap_or(&self.class)
    }

    /// This exception and its causes.
    pub fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |thrown| thrown.cause.as_deref())
    }

    /// The exception and its causes, a line each, as a stack trace without its frames.
    #[must_use]
    pub fn trace(&self) -> String {
        let mut text = String::new();
        for (depth, thrown) in self.chain().enumerate() {
            if depth > 0 {
                text.push_str("Caused by: ");
            }
            text.push_str(&thrown.to_string());
            text.push('\n');
        }
        text
    }

    /// Whether it is Kafka's exception of this name.
    #[must_use]
    pub fn is(&self, simple_class: &str) -> bool {
        self.simple_class() == simple_class
    }
}

/// The exception of a client that was not let in.
pub(crate) fn authentication_failed(reason: &str) -> Thrown {
    let class =
        if reason.starts_with("SSL handshake") { "SslAuthenticationException" } else { "SaslAuthenticationException" };
    Thrown::new(&format!("org.apache.kafka.common.errors.{class}"), reason)
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.class)?;
        self.message.as_ref().map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

impl std::error::Error for Thrown {}

/// Kafka's exceptions whose names do not follow from the names of their error codes.
const IRREGULAR: &[(&str, &str)] = &[
    ("UNKNOWN_SERVER_ERROR", "UnknownServerException"),
    ("CORRUPT_MESSAGE", "CorruptRecordException"),
    ("REQUEST_TIMED_OUT", "TimeoutException"),
    ("MESSAGE_TOO_LARGE", "RecordTooLargeException"),
    ("STALE_CONTROLLER_EPOCH", "ControllerMovedException"),
    ("OFFSET_METADATA_TOO_LARGE", "OffsetMetadataTooLarge"),
    ("NETWORK_EXCEPTION", "NetworkException"),
    ("INVALID_TOPIC_EXCEPTION", "InvalidTopicException"),
    ("RECORD_LIST_TOO_LARGE", "RecordBatchTooLargeException"),
    ("TOPIC_AUTHORIZATION_FAILED", "TopicAuthorizationException"),
    ("GROUP_AUTHORIZATION_FAILED", "GroupAuthorizationException"),
    ("CLUSTER_AUTHORIZATION_FAILED", "ClusterAuthorizationException"),
    ("TOPIC_ALREADY_EXISTS", "TopicExistsException"),
    ("INVALID_CONFIG", "InvalidConfigurationException"),
    ("OUT_OF_ORDER_SEQUENCE_NUMBER", "OutOfOrderSequenceException"),
    ("DUPLICATE_SEQUENCE_NUMBER", "DuplicateSequenceException"),
    ("INVALID_PRODUCER_ID_MAPPING", "InvalidPidMappingException"),
    ("INVALID_TRANSACTION_TIMEOUT", "InvalidTxnTimeoutException"),
    ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "TransactionalIdAuthorizationException"),
    ("KAFKA_STORAGE_ERROR", "KafkaStorageException"),
    ("SASL_AUTHENTICATION_FAILED", "SaslAuthenticationException"),
    ("DELEGATION_TOKEN_AUTH_DISABLED", "DelegationTokenDisabledException"),
    ("DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", "UnsupportedByAuthenticationException"),
    ("DELEGATION_TOKEN_AUTHORIZATION_FAILED", "DelegationTokenAuthorizationException"),
    ("NON_EMPTY_GROUP", "GroupNotEmptyException"),
    ("PRINCIPAL_DESERIALIZATION_FAILURE", "PrincipalDeserializationException"),
    ("FETCH_SESSION_TOPIC_ID_ERROR", "FetchSessionTopicIdException"),
    ("INVALID_REGULAR_EXPRESSION", "InvalidRegularExpression"),
];

fn class_of(name: &str) -> String {
    let irregular = IRREGULAR.iter().find(|(code, _)| *code == name).map(|(_, class)| (*class).to_owned());
    let class = irregular.unwrap_or_else(|| {
        let words = name.split('_').map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{first}{}", rest.to_lowercase())
        });
        words.collect::<String>() + "Exception"
    });
    format!("org.apache.kafka.common.errors.{class}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_the_causes() {
        let thrown = Thrown::of_code(ErrorCode::TopicAlreadyExists, Some("Topic 'a' already exists."));
        assert_eq!(thrown.class, "org.apache.kafka.common.errors.TopicExistsException");
        assert_eq!(
            thrown.execution().trace(),
            "java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.TopicExistsException: Topic 'a' \
             already exists.\nCaused by: org.apache.kafka.common.errors.TopicExistsException: Topic 'a' already exists.\n"
        );
    }

    #[test]
    fn a_code_without_a_message_has_its_own() {
        let thrown = Thrown::of_code(ErrorCode::UnknownTopicOrPartition, None);
        assert_eq!(
            thrown.to_string(),
            "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server does not host this topic-partition."
        );
        assert!(thrown.is("UnknownTopicOrPartitionException"));
    }
}
