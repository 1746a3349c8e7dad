//! What the quorum's task answers other replicas: votes, news of leaders, fetches of the log and of snapshots.

use bytes::Bytes;
use thalweg_base::{Moment, Offset};
use thalweg_raft::{Answered, FetchSnapshotRequest, Fetched, QuorumError, Reply};
use thalweg_sys::fs;
use thalweg_sys::task;
use tokio::sync::oneshot;
use tracing::error;

use super::ended::Ended;
use super::inbox::{Description, Rpc, SnapshotAnswer};
use super::parked::ParkedFetch;
use super::quorum::QuorumDriver;

/// So many fetches wait for something new at most: one for each node of the largest clusters. Others are answered at once.
const PARKED_MAX: usize = 4096;

impl QuorumDriver {
    /// Answers a request of another replica, after everything that the quorum does first.
    pub(super) async fn serve(&mut self, rpc: Rpc) -> Result<(), Ended> {
        let now = self.moment();
        match rpc {
            Rpc::Vote(request, to) => {
                let answered = self.quorum.vote_requested(&request, now);
                self.reply(answered, to).await
            }
            Rpc::BeginQuorumEpoch(request, to) => {
                let answered = self.quorum.begin_quorum_epoch_requested(&request, now);
                self.reply(answered, to).await
            }
            Rpc::EndQuorumEpoch(request, to) => {
                let answered = self.quorum.end_quorum_epoch_requested(&request, now);
                self.reply(answered, to).await
            }
            Rpc::UpdateVoter(request, to) => {
                let answered = self.quorum.update_voter_requested(&request, now);
                self.reply(answered, to).await
            }
            Rpc::Fetch(fetch, to) => self.serve_fetch(ParkedFetch { fetch, to }).await,
            Rpc::FetchSnapshot(request, max_bytes, to) => self.serve_snapshot(&request, max_bytes, to).await,
            Rpc::Describe(to) => {
                let _ = to.send(self.describe(now));
                Ok(())
            }
        }
    }

    /// A vote, above all, is durable before it is answered. Whoever asked may have gone.
    async fn reply<T>(&mut self, answered: Answered<T>, to: oneshot::Sender<Reply<T>>) -> Result<(), Ended> {
        self.add_effects(answered.effects).await?;
        let _ = to.send(answered.reply);
        Ok(())
    }

    /// Answers a fetch, or parks it if there is nothing new for it.
    async fn serve_fetch(&mut self, parked: ParkedFetch) -> Result<(), Ended> {
        let ParkedFetch { fetch, to } = &parked;
        if to.is_closed() {
            return Ok(());
        }
        let now = self.moment();
        let Answered { effects, reply } = self.quorum.fetch_requested(&fetch.request, now);
        self.add_effects(effects).await?;
        let high_watermark = match reply.result {
            Ok(Fetched::Records { high_watermark }) => high_watermark,
            Ok(Fetched::Diverging(_) | Fetched::Snapshot(_)) | Err(_) => {
                parked.answer(reply, self.log.start(), Bytes::new());
                return Ok(());
            }
        };
        let from = fetch.request.log_end.offset;
        let knows = fetch.request.high_watermark.unwrap_or(Offset::MAX);
        let news = from < self.log.end() || high_watermark.is_some_and(|leaders| knows < leaders);
        if !news && now < fetch.deadline && self.parked.len() < PARKED_MAX {
            self.parked.push(parked);
            return Ok(());
        }
        let max_bytes = fetch.max_bytes.min(self.settings.fetch_bytes_max);
        match self.log.read_plan(from, max_bytes) {
            Ok(plan) => {
                let log_start = self.log.start();
                // Old parts of the log may have to come from the disk: nobody else waits for that.
                task::spawn(async move {
                    let read = task::blocking(move || plan.read()).await;
                    match read {
                        Ok(Ok(records)) => parked.answer(reply, log_start, records),
                        Ok(Err(fault)) => error!(error = %fault, "the metadata log cannot be read"),
                        Err(e) => error!(error = %e, "the metadata log cannot be read"),
                    }
                });
            }
            Err(e) => error!(error = %e, offset = %from, "the metadata log cannot be read"),
        }
        Ok(())
    }

    /// Looks again at the fetches that wait, if something has changed or their time is over.
    pub(super) async fn serve_parked(&mut self) -> Result<(), Ended> {
        let now = self.moment();
        let sees = (self.log.end(), self.quorum.high_watermark(), self.quorum.epoch().0);
        let changed = sees != self.parked_saw || !self.quorum.is_leader();
        self.parked_saw = sees;
        if !changed && self.parked.iter().all(|parked| now < parked.fetch.deadline) {
            return Ok(());
        }
        for parked in std::mem::take(&mut self.parked) {
            self.serve_fetch(parked).await?;
        }
        Ok(())
    }

    async fn serve_snapshot(
        &mut self,
        request: &FetchSnapshotRequest,
        max_bytes: usize,
        to: oneshot::Sender<SnapshotAnswer>,
    ) -> Result<(), Ended> {
        let snapshot = self.log.snapshot(request.snapshot).cloned();
        let size = snapshot.as_ref().map(|snapshot| snapshot.bytes);
        let Answered { effects, mut reply } = self.quorum.fetch_snapshot_requested(request, size, self.moment());
        self.add_effects(effects).await?;
        let (Ok(()), Some(snapshot)) = (reply.result, snapshot) else {
            let _ = to.send(SnapshotAnswer { reply, size: 0, piece: Bytes::new() });
            return Ok(());
        };
        let rest = snapshot.bytes.saturating_sub(request.position);
        let len = max_bytes.min(self.settings.snapshot_bytes_max).min(usize::try_from(rest).unwrap_or(usize::MAX));
        let position = request.position;
        task::spawn(async move {
            let path = snapshot.path.clone();
            let read = task::blocking(move || {
                let mut piece = vec![0; len];
                fs::File::open(&path).and_then(|file| file.read_exact_at(&mut piece, position)).map(|()| piece)
            });
            let piece = match read.await {
                Ok(Ok(piece)) => piece,
                // It was removed meanwhile: a fetch will name another.
                Ok(Err(_)) | Err(_) => {
                    reply.result = Err(QuorumError::SnapshotNotFound);
                    Vec::new()
                }
            };
            let _ = to.send(SnapshotAnswer { reply, size: snapshot.bytes, piece: piece.into() });
        });
        Ok(())
    }

    fn describe(&self, now: Moment) -> Description {
        let quorum = &self.quorum;
        let result = if quorum.is_leader() { Ok(()) } else { Err(QuorumError::NotLeaderOrFollower) };
        Description {
            reply: Reply {
                epoch: quorum.epoch(),
                leader: quorum.leader(),
                endpoints: quorum.leader_endpoints().to_vec(),
                result,
            },
            high_watermark: quorum.high_watermark(),
            log_end: quorum.log_end(),
            voters: quorum.voters().iter().cloned().collect(),
            has_directories: quorum.kraft_version().supports_reconfiguration(),
            replicas: quorum.replicas().map(|(key, progress)| (*key, *progress)).collect(),
            now,
        }
    }
}
