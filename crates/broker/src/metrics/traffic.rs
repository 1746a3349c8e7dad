//! What goes in and out of one partition.

use std::ops::AddAssign;

use thalweg_base::metrics::Counter;

/// A partition's counters. Each request touches a few of them, which nobody else holds.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    messages_in: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    bytes_rejected: Counter,
    produce_requests: Counter,
    fetch_requests: Counter,
    failed_produce: Counter,
    failed_fetch: Counter,
}

/// The counters of some partitions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) messages_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_rejected: u64,
    pub(crate) produce_requests: u64,
    pub(crate) fetch_requests: u64,
    pub(crate) failed_produce: u64,
    pub(crate) failed_fetch: u64,
}

impl Traffic {
    /// Somebody wants to append.
    pub(crate) fn produce_asked(&self) {
        self.produce_requests.increment();
    }

    /// So many records in so many bytes were appended.
    pub(crate) fn appended(&self, records: u64, bytes: u64) {
        self.messages_in.add(records);
        self.bytes_in.add(bytes);
    }

    /// An append failed for no fault of its sender.
    pub(crate) fn append_failed(&self) {
        self.failed_produce.increment();
    }

    /// A batch of so many bytes was too large.
    pub(crate) fn rejected(&self, bytes: usize) {
        self.bytes_rejected.add(bytes as u64);
    }

    /// A replica or a client wants to read.
    pub(crate) fn fetch_asked(&self) {
        self.fetch_requests.increment();
    }

    /// A client was given so many bytes of records.
    pub(crate) fn consumed(&self, bytes: usize) {
        self.bytes_out.add(bytes as u64);
    }

    /// A read failed for no fault of its reader.
    pub(crate) fn fetch_failed(&self) {
        self.failed_fetch.increment();
    }

    /// What was counted so far.
    pub(crate) fn total(&self) -> Total {
        Total {
            messages_in: self.messages_in.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            bytes_rejected: self.bytes_rejected.get(),
            produce_requests: self.produce_requests.get(),
            fetch_requests: self.fetch_requests.get(),
            failed_produce: self.failed_produce.get(),
            failed_fetch: self.failed_fetch.get(),
        }
    }
}

impl AddAssign for Total {
    fn add_assign(&mut self, other: Self) {
        self.messages_in += other.messages_in;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.bytes_rejected += other.bytes_rejected;
        self.produce_requests += other.produce_requests;
        self.fetch_requests += other.fetch_requests;
        self.failed_produce += other.failed_produce;
        self.failed_fetch += other.failed_fetch;
    }
}
