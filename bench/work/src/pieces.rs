//! The pieces that decide: what a node does for every batch and every request, each on its own.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use stats_alloc::Region;
use thalweg_base::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use thalweg_records::validate::{Rules, Scratch as Codecs, validate_with};
use thalweg_records::{Codec, Compression, PreparedBatch, crc32c};
use thalweg_storage::{FirstBatch, Log, LogConfig, OpenHints, Origin};
use thalweg_wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use thalweg_wire::messages::{FetchRequest, FetchResponse, ProduceRequest, RequestHeader};
use thalweg_wire::{Reader, Records, Request, Writer};

use crate::Scratch;
use crate::requests;

/// Every piece is done so often while it is counted, and as often before, to be warm.
pub const TIMES: u32 = 200;

const NOW: Timestamp = Timestamp(1);

/// One piece.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The checksum of a batch.
    Crc32c,
    /// What a leader checks in a batch of few large records.
    ValidateLarge,
    /// What a leader checks in a batch of many small records.
    ValidateSmall,
    /// The same for a compressed batch.
    ValidateLz4,
    /// From a frame to a produce request.
    DecodeProduce,
    /// From a frame to a fetch request of many partitions.
    DecodeFetch,
    /// A batch to the end of a log.
    Append,
    /// From an offset to a position in a file.
    Lookup,
    /// What a consumer at the end of a log reads.
    ReadTail,
    /// From what was found to the bytes of an answer.
    EncodeFetch,
}

impl Piece {
    /// Every piece, in the order of a request's way.
    pub const ALL: [Self; 10] = [
        Self::DecodeProduce,
        Self::DecodeFetch,
        Self::Crc32c,
        Self::ValidateLarge,
        Self::ValidateSmall,
        Self::ValidateLz4,
        Self::Append,
        Self::Lookup,
        Self::ReadTail,
        Self::EncodeFetch,
    ];

    /// As the baseline names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32c => "crc32c",
            Self::ValidateLarge => "validate-large",
            Self::ValidateSmall => "validate-small",
            Self::ValidateLz4 => "validate-lz4",
            Self::DecodeProduce => "decode-produce",
            Self::DecodeFetch => "decode-fetch",
            Self::Append => "append",
            Self::Lookup => "lookup",
            Self::ReadTail => "read-tail",
            Self::EncodeFetch => "encode-fetch",
        }
    }

    /// What it is, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Crc32c => "the checksum of 16 KiB",
            Self::ValidateLarge => "check a batch of 16 records of 1 KiB as a leader does",
            Self::ValidateSmall => "check a batch of 100 records of 100 B",
            Self::ValidateLz4 => "check a batch of 100 records of 100 B, compressed with LZ4",
            Self::DecodeProduce => "decode the header and a produce request of four partitions",
            Self::DecodeFetch => "decode the header and a fetch request of 100 partitions",
            Self::Append => "append a batch of 16 KiB to a log",
            Self::Lookup => "plan a read at an offset that nobody read before, in a log of 1,000 batches of 4 KiB",
            Self::ReadTail => "plan and read the last batch of 16 KiB of a log",
            Self::EncodeFetch => "encode a fetch answer of ten partitions whose records stand in files",
        }
    }

    /// Makes everything ready; what is returned does the piece once.
    fn prepare(self, scratch: &Scratch) -> Result<Box<dyn FnMut()>, String> {
        Ok(match self {
            Self::Crc32c => {
                let bytes = vec![7_u8; 16 << 10];
                Box::new(move || {
                    black_box(crc32c(0, black_box(&bytes)));
                })
            }
            Self::ValidateLarge => validate(requests::batch(16, 1024, Codec::default())?),
            Self::ValidateSmall => validate(requests::batch(100, 100, Codec::default())?),
            Self::ValidateLz4 => validate(requests::batch(100, 100, Compression::Lz4.into())?),
            Self::DecodeProduce => decode::<ProduceRequest>(requests::produce_of(4)?, requests::PRODUCE_VERSION),
            Self::DecodeFetch => decode::<FetchRequest>(requests::fetch_of(100)?, requests::FETCH_VERSION),
            Self::Append => {
                let (mut log, batch) = (open(scratch)?, prepared(16)?);
                Box::new(move || append(&mut log, &batch))
            }
            Self::Lookup => lookup(scratch)?,
            Self::ReadTail => {
                let (mut log, batch) = (open(scratch)?, prepared(16)?);
                (0..10).for_each(|_| append(&mut log, &batch));
                Box::new(move || {
                    let end = log.log_end();
                    let plan = log.read(Offset(end.0 - 16), end, 1 << 20, FirstBatch::Whole);
                    let read = plan.map(|plan| plan.read_cached());
                    assert!(matches!(black_box(read), Ok(Ok(Some(bytes))) if bytes.len() > 16 << 10), "a read");
                })
            }
            Self::EncodeFetch => encode_fetch(),
        })
    }
}

fn validate(batch: Bytes) -> Box<dyn FnMut()> {
    let rules = Rules::new(TopicPartition::new("t", 0));
    let mut codecs = Codecs::default();
    Box::new(move || {
        let validated = validate_with(&mut codecs, batch.clone(), &rules, NOW);
        assert!(black_box(validated).is_ok_and(|v| !v.rebuilt), "a batch that is taken as it is");
    })
}

/// `frame` is what the node sees of a request: without the length in front.
fn decode<Q: Request>(frame: Bytes, version: i16) -> Box<dyn FnMut()> {
    let frame = frame.slice(4..);
    Box::new(move || {
        let mut reader = Reader::new(frame.clone());
        let header = RequestHeader::decode(&mut reader, Q::API.request_header_version(version));
        let request = Q::decode(&mut reader, version);
        assert!(black_box(header).is_ok() && black_box(request).is_ok(), "a request");
    })
}

fn open(scratch: &Scratch) -> Result<Log, String> {
    let opened = Log::open(&scratch.0.join("t-0"), None, LogConfig::default(), &OpenHints::UNKNOWN, NOW);
    opened.map(|(log, _)| log).map_err(|e| e.to_string())
}

fn prepared(records: usize) -> Result<PreparedBatch, String> {
    PreparedBatch::parse(&requests::batch(records, 1024, Codec::default())?).map_err(|e| e.to_string())
}

fn append(log: &mut Log, batch: &PreparedBatch) {
    let appended = log.append(&mut [batch.clone()], LeaderEpoch(0), Origin::Client, NOW);
    assert!(black_box(appended).is_ok(), "an append");
}

fn lookup(scratch: &Scratch) -> Result<Box<dyn FnMut()>, String> {
    const BATCHES: usize = 1000;
    let (mut log, batch) = (open(scratch)?, prepared(4)?);
    (0..BATCHES).for_each(|_| append(&mut log, &batch));
    let end = log.log_end();
    // Steps that share no factor with the number of offsets come to each of them before they come to one again.
    let mut offset = 0;
    Ok(Box::new(move || {
        offset = (offset + 1231) % end.0;
        let plan = log.read(Offset(offset), end, 4096, FirstBatch::Whole);
        assert!(black_box(plan).is_ok_and(|plan| !plan.is_empty()), "a plan");
    }))
}

fn encode_fetch() -> Box<dyn FnMut()> {
    let partition = |index| PartitionData {
        partition_index: index,
        high_watermark: 1000,
        last_stable_offset: 1000,
        log_start_offset: 0,
        records: Some(Records::Elsewhere(100_000)),
        ..PartitionData::default()
    };
    let topic =
        FetchableTopicResponse { partitions: (0..10).map(partition).collect(), ..FetchableTopicResponse::default() };
    let response = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
    Box::new(move || {
        let mut writer = Writer::new();
        assert!(response.encode(&mut writer, requests::FETCH_VERSION).is_ok(), "an answer");
        let frame = writer.into_frame_with_gaps();
        assert!(black_box(frame).is_ok_and(|(_, gaps)| gaps.len() == 10), "a frame");
    })
}

/// What is counted: valgrind looks for this name.
#[inline(never)]
pub fn counted(piece: &mut dyn FnMut()) {
    for _ in 0..TIMES {
        piece();
    }
}

/// Runs one piece and prints how often it allocates.
pub fn run(name: &str) -> Result<(), String> {
    let piece = Piece::ALL.into_iter().find(|piece| piece.name() == name);
    let piece = piece.ok_or_else(|| format!("there is no piece {name}"))?;
    let scratch = Scratch::new(name)?;
    let mut once = piece.prepare(&scratch)?;
    (0..TIMES).for_each(|_| once());
    let region = Region::new(crate::ALLOCATOR);
    counted(&mut *once);
    let change = region.change();
    println!("{}", (change.allocations + change.reallocations) as f64 / f64::from(TIMES));
    Ok(())
}

/// How long the pieces take on this machine: the least of several rounds, which a busy machine disturbs least.
pub fn time() -> Result<(), String> {
    for piece in Piece::ALL {
        let scratch = Scratch::new(piece.name())?;
        let mut once = piece.prepare(&scratch)?;
        let mut least = f64::MAX;
        for _ in 0..20 {
            let began = Instant::now();
            counted(&mut *once);
            least = least.min(began.elapsed().as_nanos() as f64 / f64::from(TIMES));
        }
        println!("{:<16} {least:>10.0} ns  {}", piece.name(), piece.sentence());
    }
    Ok(())
}
