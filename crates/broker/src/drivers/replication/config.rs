//! The settings of fetchers.

use std::sync::Arc;

use thalweg_sys::time::Duration;

use crate::security::Outgoing;

/// How this broker fetches from others.
#[derive(Clone, Debug)]
pub(crate) struct FetchingConfig {
    /// `num.replica.fetchers`, for each broker that is followed.
    pub(crate) fetchers: usize,
    /// `replica.fetch.max.bytes`, of a partition.
    pub(crate) partition_bytes_max: i32,
    /// `replica.fetch.response.max.bytes`
    pub(crate) response_bytes_max: i32,
    /// `replica.fetch.min.bytes`
    pub(crate) bytes_min: i32,
    /// `replica.fetch.wait.max.ms`
    pub(crate) wait_max: Duration,
    /// `replica.fetch.backoff.ms`
    pub(crate) backoff: Duration,
    /// `replica.socket.timeout.ms`
    pub(crate) timeout: Duration,
    /// `replica.socket.receive.buffer.bytes`; `None` leaves it to the kernel.
    pub(crate) receive_buffer_bytes: Option<u32>,
    /// `inter.broker.listener.name`, and how connections to it are encrypted and logged in.
    pub(crate) security: Arc<Outgoing>,
}
