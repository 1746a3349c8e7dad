//! One client's connection: requests in, answers out, in the order of the requests.
//!
//! A connection is one task. Each time it is woken it takes the requests that have arrived, as many as are a [`Turn`],
//! then writes every answer that is ready in one go. Requests are pipelined: while a produce waits for its acks, the
//! next one is appended.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, Sleep, now, sleep};
use tokio::io::AsyncWriteExt as _;

use crate::budget::Taken;
use crate::frame::Frame;
use crate::inbox::{Filled, FrameError, Inbox};
use crate::kind::ListenerName;
use crate::network::Network;
use crate::origin::Origin;
use crate::outbox::Outbox;
use crate::reply::{Answer, Reply, Service, Session};
use crate::requests::Timing;
use crate::seats::Seat;
use crate::stream::Stream;

/// How many requests of one connection may wait for their answers. Clients keep at most a few dozen in flight
/// (librdkafka's limit is 1,000,000 but its windows are bounded by time).
const IN_FLIGHT_MAX: usize = 1024;
/// What a request that waits costs besides what its handler counts: its slot, its future, its timer.
const WAITING_BYTES_MIN: usize = 1 << 10;
/// Requests of one connection that wait may hold so much together: a thousand small ones, or some that name thousands of
/// partitions. One may always wait, whatever it holds.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// While no more requests are taken, a connection looks so often whether its client has gone.
const PEER_CHECK: Duration = Duration::from_secs(5);
/// How many answers on their way are measured: more than wait for any client that reads.
const MEASURED_MAX: usize = 64;
/// No request is taken while so many bytes of answers wait for a slow client.
const UNSENT_BYTES_MAX: usize = 512 << 10;
/// A turn ends after so many bytes of requests: some 200 microseconds' work. A network worker looks at nothing else
/// meanwhile, and answers wait for the end of the turn.
const TURN_BYTES: usize = 256 << 10;
/// And after so many requests, however small.
const TURN_REQUESTS: usize = 64;
/// How long a client may take for its last answers when the node goes down, or when it has sent what cannot be taken.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long the end of a TLS connection may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// Why a connection ended, other than by its client's wish.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Refused(String),
    #[error("the TLS handshake failed: {0}")]
    Handshake(io::Error),
    #[error("it was idle for longer than connections.max.idle.ms")]
    Idle,
    #[error("there are more connections than max.connections, and it was used least recently")]
    OneTooMany,
}

/// The place of one answer in the order of answers.
enum Slot {
    Ready(Frame),
    /// Waits for an event; later requests go ahead.
    Parked(Answer, Waiting),
    /// Waits for an event; no later request is taken before.
    Exclusive(Answer),
}

/// The memory of one request that waits.
struct Waiting {
    bytes: usize,
    /// What was taken for it from the node's memory. The only request of its connection that waits may go without.
    _taken: Option<Taken>,
}

/// What a connection has done since it was woken. A client that sends faster than it is served would otherwise keep
/// its worker from all others, and its own answers from itself.
#[derive(Default)]
struct Turn {
    bytes: usize,
    requests: usize,
}

impl Turn {
    fn count(&mut self, frame: &Bytes) {
        self.bytes += frame.len();
        self.requests += 1;
    }

    fn is_over(&self) -> bool {
        self.bytes >= TURN_BYTES || self.requests >= TURN_REQUESTS
    }
}

/// One client's connection.
pub(crate) struct Connection {
    stream: Stream,
    network: Arc<Network>,
    inbox: Inbox,
    slots: VecDeque<(Timing, Slot)>,
    /// Behind the slots, so that it is dropped after them.
    session: Box<dyn Session>,
    /// Says whether the connection is muted.
    origin: Arc<Origin>,
    outbox: Outbox,
    /// The requests whose answers are in the outbox, as far as they are measured.
    unsent: Vec<Timing>,
    /// An exclusive request is under way.
    exclusive: bool,
    /// The memory of the requests that wait, in bytes.
    waiting_bytes: usize,
    /// The last request that waits was let in without memory for it: no more are taken before it is answered.
    saturated: bool,
    /// No more requests are taken: the client has closed its side or sent what cannot be taken, or the node is going
    /// down. What was taken before is answered.
    ending: bool,
    /// Why the connection ends, if not by its client's wish.
    refused: Option<Ended>,
    idle_max: Duration,
    last_active: Instant,
    seat: Seat,
    /// Rings when the connection may be idle for too long; earlier while it looks whether its client has gone.
    idle_timer: Pin<Box<Sleep>>,
    looks_for_peer: bool,
}

impl Connection {
    /// A connection to `peer` that `service` takes.
    pub(crate) fn new(
        stream: Stream,
        peer: SocketAddr,
        listener: &ListenerName,
        network: Arc<Network>,
        service: Arc<dyn Service>,
        seat: Seat,
    ) -> Result<Self, Ended> {
        let limits = &network.limits;
        let inbox =
            Inbox::new(limits.request_bytes_max, Arc::clone(&limits.request_memory), Arc::clone(&network.spare));
        let outbox = Outbox::new(Arc::clone(&network.chunks));
        let idle_max = limits.idle_max;
        let origin = Arc::new(Origin::new(network.next_connection(), peer, stream.peer_certificate()));
        let session = service.connect(listener, &origin).map_err(Ended::Refused)?;
        Ok(Self {
            stream,
            network,
            session,
            origin,
            inbox,
            slots: VecDeque::new(),
            outbox,
            unsent: Vec::new(),
            exclusive: false,
            waiting_bytes: 0,
            saturated: false,
            ending: false,
            refused: None,
            idle_max,
            last_active: now(),
            seat,
            idle_timer: Box::pin(sleep(idle_max)),
            looks_for_peer: false,
        })
    }

    /// Takes leave of a client in the terms of TLS, so that it can tell the end from an attack.
    pub(crate) async fn close(&mut self) {
        if let Stream::Tls(stream) = &mut self.stream {
            // Nobody waits for a client that does not listen.
            let _ = thalweg_sys::time::timeout(CLOSE_MAX, stream.shutdown()).await;
        }
    }

    /// Serves the client until it leaves, misbehaves or is idle for too long.
    pub(crate) async fn run(&mut self) -> Result<(), Ended> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Takes no more requests, answers what was taken, and ends.
    pub(crate) async fn finish(&mut self) {
        self.ending = true;
        // A client that does not take its last answers loses them.
        let _ = thalweg_sys::time::timeout(FAREWELL, self.run()).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let mut turn = Turn::default();
        loop {
            let taken = match self.take_requests(&mut turn, cx) {
                Ok(taken) => taken,
                Err(ended @ Ended::Io(_)) => return Poll::Ready(Err(ended)),
                Err(ended) => {
                    self.refuse(ended);
                    true
                }
            };
            let answered = self.collect_answers(cx);
            let unsent = self.outbox.bytes() > 0;
            let flushed = match self.outbox.poll_flush(&mut self.stream, cx) {
                Poll::Ready(result) => {
                    result?;
                    true
                }
                Poll::Pending => false,
            };
            if self.ending && self.slots.is_empty() && flushed {
                return Poll::Ready(self.refused.take().map_or(Ok(()), Err));
            }
            // Answers that are all sent now may be what kept requests from being taken.
            let drained = unsent && flushed;
            if !taken && !answered && !drained {
                self.inbox.rest();
                return self.poll_idle(cx);
            }
            self.last_active = now();
            self.seat.used(self.last_active);
            if flushed {
                self.unsent.drain(..).for_each(|timing| self.network.requests.sent(&timing, self.last_active));
            }
            if turn.is_over() {
                task::let_others_go_first(cx);
                return Poll::Pending;
            }
        }
    }

    /// Takes requests until none is left, the turn is over, or enough wait for their answers. Says whether there was any.
    fn take_requests(&mut self, turn: &mut Turn, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut progress = false;
        while self.may_take() && !turn.is_over() {
            let bytes_max = self.network.limits.request_bytes_max;
            self.inbox
                .set_frame_bytes_max(self.session.request_bytes_max().map_or(bytes_max, |max| max.min(bytes_max)));
            match self.inbox.next_frame()? {
                Some(frame) => {
                    turn.count(&frame);
                    self.handle(frame)?;
                }
                None => match self.inbox.poll_fill(&mut self.stream, cx) {
                    Poll::Ready(Ok(Filled::Bytes(_))) => {}
                    Poll::Ready(Ok(Filled::End)) => self.client_has_gone(),
                    Poll::Ready(Ok(Filled::NoMemory)) | Poll::Pending => break,
                    Poll::Ready(Err(e)) => return Err(e.into()),
                },
            }
            progress = true;
        }
        Ok(progress)
    }

    /// The client has closed its side: nobody waits for what is parked.
    fn client_has_gone(&mut self) {
        self.ending = true;
        self.exclusive = false;
        self.saturated = false;
        self.waiting_bytes = 0;
        let requests = &self.network.requests;
        self.slots.retain(|(timing, slot)| {
            let ready = matches!(slot, Slot::Ready(_));
            if !ready {
                requests.abandoned(*timing);
            }
            ready
        });
    }

    fn may_take(&self) -> bool {
        !self.ending && !self.exclusive && !self.is_held() && self.outbox.bytes() < UNSENT_BYTES_MAX
    }

    /// Whether no more requests are read for now: enough wait, or the client is throttled.
    fn is_held(&self) -> bool {
        self.is_full() || self.origin.muted_until().is_some()
    }

    /// Whether as many requests wait as may.
    fn is_full(&self) -> bool {
        self.saturated || self.slots.len() >= IN_FLIGHT_MAX || self.waiting_bytes >= WAITING_BYTES_MAX
    }

    /// Counts the memory of a request that is going to wait.
    fn count_waiting(&mut self, bytes: usize) -> Waiting {
        let bytes = bytes.saturating_add(WAITING_BYTES_MIN);
        let taken = self.network.limits.waiting_memory.try_take(bytes);
        self.saturated = taken.is_none();
        self.waiting_bytes = self.waiting_bytes.saturating_add(bytes);
        Waiting { bytes, _taken: taken }
    }

    fn handle(&mut self, frame: Bytes) -> Result<(), Ended> {
        let network = Arc::clone(&self.network);
        let requests = &network.requests;
        let mut timing = requests.taken(&frame);
        let slot = match self.session.handle(frame) {
            Reply::Now(frame) if self.slots.is_empty() => {
                requests.answered_at_once(&mut timing);
                self.push(timing, frame);
                return Ok(());
            }
            Reply::Nothing => {
                requests.answered_at_once(&mut timing);
                return Ok(());
            }
            Reply::Close(why) => return Err(Ended::Refused(why)),
            Reply::Last(future, why) => {
                self.refuse(Ended::Refused(why));
                Slot::Exclusive(future)
            }
            Reply::Now(frame) => Slot::Ready(frame),
            Reply::Parked(future, bytes) => Slot::Parked(future, self.count_waiting(bytes)),
            Reply::Exclusive(future) => {
                self.exclusive = true;
                Slot::Exclusive(future)
            }
        };
        requests.parked(&mut timing);
        self.slots.push_back((timing, slot));
        Ok(())
    }

    /// An answer is on its way.
    fn push(&mut self, timing: Timing, frame: Frame) {
        self.outbox.push(frame);
        if self.unsent.len() < MEASURED_MAX {
            self.unsent.push(timing);
        }
    }

    /// Moves the answers that are ready, in order, to the outbox. Says whether there was any.
    fn collect_answers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Some((timing, slot)) = self.slots.front_mut() {
            let frame = match slot {
                Slot::Ready(frame) => std::mem::take(frame),
                Slot::Parked(future, _) | Slot::Exclusive(future) => match future.as_mut().poll(cx) {
                    Poll::Ready(frame) => frame,
                    Poll::Pending => break,
                },
            };
            let mut timing = *timing;
            self.network.requests.answered(&mut timing);
            match self.slots.pop_front() {
                Some((_, Slot::Exclusive(_))) => self.exclusive = false,
                Some((_, Slot::Parked(_, waiting))) => {
                    self.waiting_bytes = self.waiting_bytes.saturating_sub(waiting.bytes);
                    // The one without memory is the last one.
                    self.saturated &= !self.slots.is_empty();
                }
                _ => {}
            }
            self.push(timing, frame);
            progress = true;
        }
        progress
    }

    /// Takes no more requests because of this one; those before it are still answered, if the client takes its answers
    /// soon.
    fn refuse(&mut self, why: Ended) {
        self.ending = true;
        self.refused = Some(why);
        self.idle_max = FAREWELL;
        self.idle_timer.as_mut().reset(now() + FAREWELL);
    }

    /// Nothing can be done: waits, but not for ever.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if self.is_held() && !self.looks_for_peer {
            self.looks_for_peer = true;
            self.idle_timer.as_mut().reset(now() + PEER_CHECK);
        }
        if let Some(muted_until) = self.origin.muted_until()
            && muted_until < self.idle_timer.deadline()
        {
            self.idle_timer.as_mut().reset(muted_until);
        }
        while self.idle_timer.as_mut().poll(cx).is_ready() {
            let until = self.last_active + self.idle_max;
            if now() >= until {
                return Poll::Ready(Err(self.refused.take().unwrap_or_else(|| {
                    self.seat.idle_closed();
                    Ended::Idle
                })));
            }
            let muted_until = self.origin.muted_until();
            let was_held = self.looks_for_peer;
            self.looks_for_peer = self.is_held();
            // What is not read hides the end of the stream.
            if self.looks_for_peer && self.stream.is_closed_by_peer() {
                self.client_has_gone();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let look = if self.looks_for_peer { until.min(now() + PEER_CHECK) } else { until };
            let next = muted_until.map_or(look, |muted| muted.min(look));
            self.idle_timer.as_mut().reset(next.max(now() + Duration::from_millis(1)));
            // The client is not throttled any more: what it has sent meanwhile is taken.
            if was_held && !self.looks_for_peer {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Pending
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.slots.iter().for_each(|(timing, _)| self.network.requests.abandoned(*timing));
    }
}

#[cfg(test)]
mod tests;
