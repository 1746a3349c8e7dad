//! How many requests of each API came, and how long they took.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use thalweg_base::Moment;
use thalweg_base::metrics::{Counter, Times};
use thalweg_sys::time::{Duration, Instant, now};
use thalweg_wire::{ApiKey, ErrorCode};

/// More than any API key of Kafka 4.3.
const APIS_MAX: usize = 128;
/// More than any API has versions.
const VERSIONS_MAX: usize = 32;
/// More than there are error codes.
const ERRORS_MAX: usize = 160;
/// Quantiles are those of the last one or two periods of this length: what Kafka's reservoirs mostly hold, too.
const PERIOD: Duration = Duration::from_secs(300);

/// The metrics of every API. An API takes memory, 12 KB, from its first request on.
#[derive(Debug)]
pub struct Requests {
    apis: Box<[OnceLock<Box<Api>>]>,
    turned: Mutex<Moment>,
}

/// The metrics of one API.
#[derive(Debug)]
pub struct Api {
    /// The API.
    pub key: ApiKey,
    by_version: [Counter; VERSIONS_MAX],
    /// How often each error code was told, from -1 on; 0 is no error, which Kafka counts as well.
    errors: [Counter; ERRORS_MAX],
    /// From the taking of a request to its answer in the order of answers.
    pub total: Times,
    /// The part of that in which the node worked on it.
    pub local: Times,
    /// The rest: waiting for acks, records, the controller, the disk, or for the answers before it.
    pub remote: Times,
    /// From there until all of it was handed to the kernel.
    pub send: Times,
    parked: AtomicI64,
}

/// When a request was taken, and of which API.
///
/// Invariant: [`Timing::parked`] is followed by [`Requests::answered`] or [`Requests::abandoned`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    api: Option<(u8, u8)>,
    taken: Instant,
    handled: Instant,
}

impl Default for Requests {
    fn default() -> Self {
        Self { apis: (0..APIS_MAX).map(|_| OnceLock::new()).collect(), turned: Mutex::new(Moment(0)) }
    }
}

impl Requests {
    /// A request is taken; `frame` is without its length.
    pub(crate) fn taken(&self, frame: &[u8]) -> Timing {
        let taken = now();
        Timing { api: api_and_version(frame), taken, handled: taken }
    }

    /// The node has done with a request what it can do at once; it waits for something.
    pub(crate) fn parked(&self, timing: &mut Timing) {
        timing.handled = now();
        if let Some((api, _)) = self.api(timing) {
            api.parked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request that was answered at once, or needs no answer. From now on its answer is on its way.
    pub(crate) fn answered_at_once(&self, timing: &mut Timing) {
        let end = now();
        let took = end - timing.taken;
        timing.handled = end;
        let Some((api, version)) = self.api(timing) else { return };
        api.by_version[version].increment();
        api.total.record(took);
        api.local.record(took);
        api.remote.record(Duration::ZERO);
    }

    /// A request that waited is answered. From now on its answer is on its way.
    pub(crate) fn answered(&self, timing: &mut Timing) {
        let end = now();
        let handled = std::mem::replace(&mut timing.handled, end);
        let Some((api, version)) = self.api(timing) else { return };
        api.parked.fetch_sub(1, Ordering::Relaxed);
        api.by_version[version].increment();
        api.total.record(end - timing.taken);
        api.local.record(handled - timing.taken);
        api.remote.record(end - handled);
    }

    /// An answer of that API has an error code in it.
    pub fn told(&self, api: ApiKey, error: i16) {
        let Some(index) = usize::try_from(api.code()).ok().filter(|index| *index < APIS_MAX) else { return };
        let of = self.apis[index].get_or_init(|| Box::new(Api::new(index as u8)));
        if let Some(counter) = error_index(error).and_then(|index| of.errors.get(index)) {
            counter.increment();
        }
    }

    /// An answer was handed to the kernel. Says how long that took from its place among the answers on.
    pub(crate) fn sent(&self, timing: &Timing, at: Instant) {
        if let Some((api, _)) = self.api(timing) {
            api.send.record(at - timing.handled);
        }
    }

    /// A request that waited is given up: its client has gone.
    pub(crate) fn abandoned(&self, timing: Timing) {
        if let Some((api, _)) = self.api(&timing) {
            api.parked.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn api(&self, timing: &Timing) -> Option<(&Api, usize)> {
        let (key, version) = timing.api?;
        let api = self.apis[usize::from(key)].get_or_init(|| Box::new(Api::new(key)));
        Some((api, usize::from(version)))
    }

    /// Every API that was asked for, in the order of their keys.
    pub fn apis(&self) -> impl Iterator<Item = &Api> {
        self.apis.iter().filter_map(OnceLock::get).map(|api| &**api)
    }

    /// Begins a new period of the quantiles when it is time, and says so.
    pub fn turn_if_due(&self, now: Moment) -> bool {
        let Some(mut turned) = self.turned.try_lock() else { return false };
        let is_due = now.since(*turned) >= PERIOD;
        if is_due {
            *turned = now;
            for api in self.apis() {
                [&api.total, &api.local, &api.remote, &api.send].into_iter().for_each(Times::turn);
            }
        }
        is_due
    }
}

impl Api {
    fn new(key: u8) -> Self {
        Self {
            // Only keys that exist get so far.
            key: ApiKey::from_i16(i16::from(key)).unwrap_or(ApiKey::ApiVersions),
            by_version: std::array::from_fn(|_| Counter::default()),
            total: Times::default(),
            local: Times::default(),
            remote: Times::default(),
            send: Times::default(),
            errors: std::array::from_fn(|_| Counter::default()),
            parked: AtomicI64::new(0),
        }
    }

    /// How many requests of each version were answered, for those versions that were asked for.
    pub fn by_version(&self) -> impl Iterator<Item = (usize, u64)> {
        self.by_version.iter().map(Counter::get).enumerate().filter(|(_, count)| *count > 0)
    }

    /// How often each error was told, for those that were.
    pub fn errors(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        let counts =
            ErrorCode::ALL.iter().filter_map(|error| Some((*error, self.errors.get(error_index(error.code())?)?)));
        counts.map(|(error, counter)| (error, counter.get())).filter(|(_, count)| *count > 0)
    }

    /// How many requests wait for something.
    pub fn parked(&self) -> i64 {
        self.parked.load(Ordering::Relaxed)
    }
}

fn error_index(code: i16) -> Option<usize> {
    usize::try_from(i32::from(code) + 1).ok()
}

/// What a request's first bytes say, if Kafka has such an API.
fn api_and_version(frame: &[u8]) -> Option<(u8, u8)> {
    let [a, b, c, d] = *frame.first_chunk::<4>()?;
    let (key, version) = (i16::from_be_bytes([a, b]), i16::from_be_bytes([c, d]));
    ApiKey::from_i16(key)?;
    let key = u8::try_from(key).ok().filter(|key| usize::from(*key) < APIS_MAX)?;
    let version = u8::try_from(version).ok().filter(|version| usize::from(*version) < VERSIONS_MAX)?;
    Some((key, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_api_and_version_once_they_are_answered() {
        let requests = Requests::default();
        requests.answered_at_once(&mut requests.taken(&[0, 3, 0, 12, 9, 9]));
        let mut waiting = requests.taken(&[0, 0, 0, 11]);
        requests.parked(&mut waiting);
        let parked = |requests: &Requests| requests.apis().map(|api| (api.key, api.parked())).collect::<Vec<_>>();
        assert_eq!(parked(&requests), [(ApiKey::Produce, 1), (ApiKey::Metadata, 0)]);
        requests.answered(&mut waiting);
        assert_eq!(parked(&requests), [(ApiKey::Produce, 0), (ApiKey::Metadata, 0)]);
        let counts: Vec<_> = requests.apis().map(|api| api.by_version().collect::<Vec<_>>()).collect();
        assert_eq!(counts, [[(11, 1)], [(12, 1)]]);
    }

    #[test]
    fn errors_are_counted_by_api_and_no_error_is_one_of_them() {
        let requests = Requests::default();
        for error in [0, 3, 3, -1, 9999, i16::MIN] {
            requests.told(ApiKey::Fetch, error);
        }
        let counted: Vec<_> = requests.apis().flat_map(Api::errors).collect();
        let expected =
            [(ErrorCode::UnknownServerError, 1), (ErrorCode::None, 1), (ErrorCode::UnknownTopicOrPartition, 2)];
        assert_eq!(counted, expected);
    }

    #[test]
    fn what_is_no_request_is_not_counted() {
        let requests = Requests::default();
        for frame in [&[][..], &[0, 3, 0], &[0x7f, 0xff, 0, 1], &[0, 3, 0x7f, 0xff], &[0xff, 0xff, 0, 0]] {
            requests.answered_at_once(&mut requests.taken(frame));
        }
        assert_eq!(requests.apis().count(), 0);
    }
}
