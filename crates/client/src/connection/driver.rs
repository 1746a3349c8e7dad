//! The task that owns a connection's stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use thalweg_sys::time::{Duration, Instant, Sleep, now, sleep_until};
use tokio::io::{AsyncReadExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::ConnectionOptions;
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::shared::{Outgoing, Shared, Waiting};
use crate::error::Api;
use crate::stream::Stream;
use crate::{Error, Meter};

/// No request is taken over while so many bytes wait to be written: the rest waits in its callers' hands.
const UNWRITTEN_BYTES_MAX: usize = 1 << 20;

/// Why a connection ends.
enum End {
    /// In words, behind the peer's name.
    Reason(String),
    /// A request was not answered in time.
    TimedOut,
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Reason(error.to_string())
    }
}

/// Owns the stream: writes requests in the order in which they were queued, and hands out answers in the same order.
///
/// Invariant: `waiting` are the requests that were taken over and have no answer yet, in the order in which the peer
/// will answer them.
pub(super) struct Driver {
    shared: Arc<Shared>,
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    requests: mpsc::Receiver<Outgoing>,
    outbox: Outbox,
    inbox: Inbox,
    waiting: VecDeque<Waiting>,
    /// Whether all handles are gone: what waits is still answered.
    abandoned: bool,
    idle_max: Duration,
    meter: Option<Arc<Meter>>,
    used_at: Instant,
    /// Rings at the earliest deadline, or before: then it is set again.
    alarm: Pin<Box<Sleep>>,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        stream: Box<dyn Stream>,
        requests: mpsc::Receiver<Outgoing>,
        options: &ConnectionOptions,
    ) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let used_at = now();
        Self {
            shared,
            reader,
            writer,
            requests,
            outbox: Outbox::default(),
            inbox: Inbox::new(options.response_bytes_max),
            waiting: VecDeque::new(),
            abandoned: false,
            idle_max: options.idle_max,
            meter: options.meter.clone(),
            used_at,
            alarm: Box::pin(sleep_until(used_at + options.idle_max)),
        }
    }

    /// Runs until the connection ends, then fails whatever waits.
    pub(super) async fn run(mut self) {
        let end = self.serve().await.err();
        let peer = self.shared.peer.clone();
        let reason: Arc<str> = match &end {
            None => "the client closed it".into(),
            Some(End::Reason(reason)) => reason.as_str().into(),
            Some(End::TimedOut) => self.overdue().into(),
        };
        tracing::debug!(%peer, %reason, "connection ended");
        let disconnected = Error::Disconnected { peer: peer.clone(), reason };
        self.shared.close(disconnected.clone());
        self.requests.close();
        while let Ok(outgoing) = self.requests.try_recv() {
            self.waiting.extend(outgoing.waiting);
        }
        let at = now();
        for waiting in self.waiting {
            let after = waiting.deadline.saturating_duration_since(waiting.asked_at);
            let error = match end {
                Some(End::TimedOut) if waiting.deadline <= at => {
                    Error::TimedOut { peer: peer.clone(), api: Api(waiting.api), after }
                }
                _ => disconnected.clone(),
            };
            let _ = waiting.answer.send(Err(error));
        }
    }

    async fn serve(&mut self) -> Result<(), End> {
        while !(self.abandoned && self.waiting.is_empty() && !self.outbox.is_busy()) {
            tokio::select! {
                biased;
                () = self.alarm.as_mut() => self.check_deadlines()?,
                written = self.outbox.write_some(&mut self.writer), if self.outbox.is_busy() => written?,
                request = self.requests.recv(),
                    if !self.abandoned && self.outbox.bytes() < UNWRITTEN_BYTES_MAX => match request {
                    Some(request) => self.take(request),
                    None => self.abandoned = true,
                },
                read = self.reader.read_buf(self.inbox.room()) => match read? {
                    0 => return Err(End::Reason("the peer closed it".to_owned())),
                    count => {
                        if let Some(meter) = &self.meter {
                            meter.received.add(count as u64);
                        }
                        self.hand_out()?;
                    }
                },
            }
        }
        Ok(())
    }

    /// Takes over a request, and those queued behind it, so that they are written together.
    fn take(&mut self, first: Outgoing) {
        let mut next = Some(first);
        while let Some(Outgoing { parts, deadline, waiting, slot }) = next {
            if let Some(meter) = &self.meter {
                meter.requests.increment();
                meter.sent.add(parts.iter().map(|part| part.len() as u64).sum());
            }
            self.outbox.push(parts, waiting.is_none().then_some(deadline));
            if let Some(waiting) = waiting {
                self.waiting.push_back(Waiting { _slot: Some(slot), ..waiting });
            }
            if deadline < self.alarm.deadline() {
                self.alarm.as_mut().reset(deadline);
            }
            let room = self.outbox.bytes() < UNWRITTEN_BYTES_MAX;
            next = if room { self.requests.try_recv().ok() } else { None };
        }
        self.used_at = now();
    }

    /// Hands out the answers that have arrived as a whole.
    fn hand_out(&mut self) -> Result<(), End> {
        while let Some(frame) = self.inbox.next_frame().map_err(End::Reason)? {
            let correlation_id = frame.first_chunk::<4>().map(|id| i32::from_be_bytes(*id));
            let Some(waiting) = self.waiting.pop_front() else {
                return Err(End::Reason("it sent a response that nobody waits for".to_owned()));
            };
            if correlation_id != Some(waiting.correlation_id) {
                let expected = waiting.correlation_id;
                self.waiting.push_front(waiting);
                return Err(End::Reason(match correlation_id {
                    Some(id) => format!("it sent correlation id {id} where {expected} was expected"),
                    None => "it sent a response that is shorter than its header".to_owned(),
                }));
            }
            if let Some(meter) = &self.meter {
                meter.responses.increment();
            }
            // Whoever gave up waiting has dropped the receiver.
            let _ = waiting.answer.send(Ok(frame));
            self.used_at = now();
        }
        Ok(())
    }

    /// Fails if a deadline has passed; sets the alarm for the next one.
    fn check_deadlines(&mut self) -> Result<(), End> {
        let at = now();
        let answers = self.waiting.iter().map(|waiting| waiting.deadline).min();
        let earliest = answers.into_iter().chain(self.outbox.deadline()).min();
        let idle_at = self.used_at + self.idle_max;
        match earliest {
            Some(deadline) if deadline <= at => return Err(End::TimedOut),
            None if idle_at <= at => return Err(End::Reason("it was idle for connections.max.idle.ms".to_owned())),
            _ => self.alarm.as_mut().reset(earliest.unwrap_or(idle_at)),
        }
        Ok(())
    }

    /// What took too long, in words.
    fn overdue(&self) -> String {
        let at = now();
        match self.waiting.iter().find(|waiting| waiting.deadline <= at) {
            Some(waiting) => format!("{} was not answered in time", Api(waiting.api)),
            None => "requests could not be written in time".to_owned(),
        }
    }
}
