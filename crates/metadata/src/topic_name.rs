//! Which names a topic may have, in Kafka's own words: clients print these sentences.

/// The longest topic name, in characters: with `-`, a partition number and a suffix it must fit a file name.
pub const LENGTH_MAX: usize = 249;

/// Where consumer groups keep their offsets.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// Where transaction coordinators keep their state.
pub const TRANSACTION_STATE: &str = "__transaction_state";
/// Where share groups keep their state (KIP-932).
pub const SHARE_GROUP_STATE: &str = "__share_group_state";
/// The metadata log. It is no topic that a client could create, delete or produce to.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Why no topic may have this name. Its text is Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Topic name is invalid: {0}")]
pub struct InvalidTopicName(String);

/// Whether a topic may have this name.
///
/// # Errors
/// The sentence that Kafka answers with `INVALID_TOPIC_EXCEPTION`.
pub fn validate(name: &str) -> Result<(), InvalidTopicName> {
    let reason = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." => "'.' is not allowed".to_owned(),
        ".." => "'..' is not allowed".to_owned(),
        _ if name.encode_utf16().count() > LENGTH_MAX => {
            format!("the length of '{name}' is longer than the max allowed length {LENGTH_MAX}")
        }
        _ if !name.bytes().all(is_legal) => {
            format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
        }
        _ => return Ok(()),
    };
    Err(InvalidTopicName(reason))
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Whether the topic is one of those that brokers write to on their own behalf.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    matches!(name, CONSUMER_OFFSETS | TRANSACTION_STATE | SHARE_GROUP_STATE)
}

/// Whether the name holds a `.` or `_`, so that another name could share its metric names.
#[must_use]
pub fn has_collision_chars(name: &str) -> bool {
    name.contains(['.', '_'])
}

/// The name that the topic has in metrics, where `.` and `_` are one: two topics must not share it.
#[must_use]
pub fn unified(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(name: &str) -> String {
        validate(name).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn names_are_refused_in_kafkas_words() {
        assert_eq!(reason(""), "Topic name is invalid: the empty string is not allowed");
        assert_eq!(reason("."), "Topic name is invalid: '.' is not allowed");
        assert_eq!(reason(".."), "Topic name is invalid: '..' is not allowed");
        assert_eq!(
            reason("bad/name"),
            "Topic name is invalid: 'bad/name' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        );
        let long = "x".repeat(250);
        assert_eq!(
            reason(&long),
            format!("Topic name is invalid: the length of '{long}' is longer than the max allowed length 249")
        );
    }

    #[test]
    fn names_of_any_legal_character_are_taken() {
        for name in ["a", "...", "A-z_0.9", "__consumer_offsets", &"x".repeat(249)] {
            assert_eq!(validate(name), Ok(()));
        }
    }

    #[test]
    fn dots_and_underscores_are_one_in_metrics() {
        assert!(has_collision_chars("a.b") && has_collision_chars("a_b") && !has_collision_chars("ab"));
        assert_eq!(unified("a.b_c"), unified("a_b.c"));
    }
}
