//! The consumer protocol (KIP-848): members say what they subscribe to, and the group tells them what they have.
//!
//! A [`ConsumerGroup`] is what the log says of a group. Its methods decide without changing it; the shard writes the
//! records and they are replayed.
//!
//! Three epochs move it. The *group's* goes up when a subscription or a topic changes; the *target's* follows when an
//! assignor has said what each member is to have for it; a *member's* follows when it has given up all that its target
//! does not hold. A member is given a partition only once nobody has it.

mod assignor;
mod classic;
mod decision;
mod describe;
mod downgrade;
mod group;
mod hash;
mod heartbeat;
mod leave;
mod member;
mod migrate;
mod protocol;
mod re2;
mod reconcile;
mod refresh;
mod refusal;
mod regex;
mod serve;
mod subscriber;
mod target;
mod written;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use decision::Timer;
pub(crate) use describe::CommitCheck;
pub(crate) use group::ConsumerGroup;
pub(crate) use hash::hash_of_topics;
pub(crate) use heartbeat::validate;
pub(crate) use member::copy;
pub(crate) use refusal::Refusal;
pub(crate) use serve::After;
