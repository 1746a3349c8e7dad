//! What a node has done so far, in a few numbers: a node gives them, and the console beside it keeps their history.

/// What a node has done since it started, and how it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vitals {
    /// Records that producers have appended.
    pub records_in: u64,
    /// The bytes of these.
    pub bytes_in: u64,
    /// Bytes of records that consumers were given.
    pub bytes_out: u64,
    /// Bytes of all logs.
    pub log_bytes: u64,
    /// Processor time used, in seconds.
    pub cpu_seconds: f64,
    /// Memory in RAM, in bytes.
    pub resident_bytes: u64,
    /// How long produce requests took lately: 99 of 100 took no longer, in milliseconds.
    pub produce_ms: f64,
    /// The same of fetch requests, of which most wait for records.
    pub fetch_ms: f64,
}
