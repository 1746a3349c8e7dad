//! Why a question has no answer: what a page or a JSON document says then.

use axum::http::StatusCode;
use thalweg_client::Error;
use thalweg_wire::ErrorCode;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// There is nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// The question cannot be meant.
    #[error("{0}")]
    Bad(String),
    /// Whoever asks must log in.
    #[error("{0}")]
    NotLoggedIn(&'static str),
    /// It is not allowed here.
    #[error("{0}")]
    Forbidden(String),
    /// It cannot be done as things are.
    #[error("{0}")]
    Conflict(String),
    /// Too much is going on at once.
    #[error("{0}")]
    Busy(&'static str),
    /// The cluster does not answer, or not as it should.
    #[error("the cluster does not answer: {0}")]
    Away(#[from] Error),
    /// The cluster refuses.
    #[error("{what}: {code}: {message}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Kafka's error code.
        code: ErrorCode,
        /// What the broker says, or what the code means.
        message: String,
    },
}

impl Trouble {
    /// A topic has no partition of this index.
    pub(crate) fn no_partition(topic: &str, id: i32) -> Self {
        Self::NotFound(format!("topic {topic} has no partition {id}"))
    }

    /// The trouble of an error code in a response, if it is one.
    pub(crate) fn check(what: impl Into<String>, code: i16, message: Option<&str>) -> Result<(), Self> {
        let code = ErrorCode::from(code);
        if !code.is_error() {
            return Ok(());
        }
        Err(Self::of_code(what, code, message))
    }

    /// The trouble of an error code.
    pub(crate) fn of_code(what: impl Into<String>, code: ErrorCode, message: Option<&str>) -> Self {
        let message = message.filter(|message| !message.is_empty()).unwrap_or_else(|| code.message()).to_owned();
        Self::Refused { what: what.into(), code, message }
    }

    /// The status of an HTTP answer that reports it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::NotLoggedIn(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Busy(_) | Self::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused { code, .. } => status_of(*code),
        }
    }
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId | ErrorCode::GroupIdNotFound => {
            StatusCode::NOT_FOUND
        }
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed => StatusCode::FORBIDDEN,
        ErrorCode::TopicAlreadyExists | ErrorCode::NonEmptyGroup => StatusCode::CONFLICT,
        code if code.is_retriable() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}
