//! How the cost of the same work grows with what stands beside it: idle partitions, idle connections, the size of a
//! record. A point of a curve is a whole measurement; all brokers take each point before any takes the next.

use crate::broker::Broker;
use crate::load::{self, Production};
use crate::raw;
use crate::report::Curves;
use crate::work::{self, PARTITIONS, Work};

/// What grows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Curve {
    /// Partitions that nobody uses.
    Partitions,
    /// Connections that say nothing.
    Connections,
    /// The bytes of each record.
    RecordBytes,
}

/// Records of one point at most: a gigabyte of records of one byte would take an hour.
const RECORDS_MAX: usize = 1_000_000;
/// Of a megabyte.
const KILOBYTE: f64 = 1000.0;

impl Curve {
    /// Connections first: memory that partitions have given back would hide theirs.
    const ALL: [Self; 3] = [Self::Connections, Self::Partitions, Self::RecordBytes];

    fn name(self) -> &'static str {
        match self {
            Self::Partitions => "idle partitions",
            Self::Connections => "idle connections",
            Self::RecordBytes => "bytes of a record",
        }
    }

    fn points(self) -> &'static [usize] {
        match self {
            Self::Partitions => &[1, 100, 1_000, 10_000],
            Self::Connections => &[10, 1_000, 5_000],
            Self::RecordBytes => &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
        }
    }
}

/// Takes all curves whose names contain one of `wanted`, or all.
pub fn run(
    brokers: &[Broker],
    wanted: &[String],
    rounds: usize,
    megabytes: usize,
    seconds: u64,
) -> Result<Curves, String> {
    let mut curves = Curves::new(brokers.iter().map(|broker| broker.name.clone()).collect());
    for curve in Curve::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|name| curve.name().contains(name.as_str())) {
            continue;
        }
        let mut beside: Vec<Beside> = brokers.iter().map(|_| Beside::default()).collect();
        for point in curve.points() {
            for (broker, beside) in brokers.iter().zip(&mut beside) {
                if let Some(kilobytes) = beside.grow(broker, curve, *point)? {
                    curves.add(&broker.name, curve.name(), "resident, KB for each", *point, kilobytes);
                }
            }
            for round in 1..=rounds {
                for broker in brokers {
                    eprint!("round {round} of {rounds}: {} {point:<8} {:<12}", curve.name(), broker.name);
                    for (what, value) in measure(broker, curve, *point, megabytes, seconds)? {
                        eprint!("  {value:.2} {what}");
                        curves.add(&broker.name, curve.name(), what, *point, value);
                    }
                    eprintln!();
                }
            }
        }
        for (broker, beside) in brokers.iter().zip(beside) {
            beside.topics.iter().try_for_each(|topic| load::delete_topic(broker, topic))?;
        }
    }
    Ok(curves)
}

/// What stands beside the work on one broker.
#[derive(Default)]
struct Beside {
    topics: Vec<String>,
    connections: Vec<std::net::TcpStream>,
    /// How many there are.
    count: usize,
}

impl Beside {
    /// Adds what lacks to `point`; gives the memory that each of them took, if they are enough to tell.
    fn grow(&mut self, broker: &Broker, curve: Curve, point: usize) -> Result<Option<f64>, String> {
        /// Fewer say nothing about each.
        const TELLING: usize = 90;
        let more = point.saturating_sub(self.count);
        let before = broker.resident_mb();
        match curve {
            Curve::RecordBytes => return Ok(None),
            Curve::Partitions => self.topics.push(load::create_topic(broker, "idle", more as i32)?),
            Curve::Connections => self.connections.extend(raw::idle(broker, more)?),
        }
        self.count += more;
        Ok((more >= TELLING).then(|| (broker.resident_mb() - before) * KILOBYTE / more as f64))
    }
}

fn measure(
    broker: &Broker,
    curve: Curve,
    point: usize,
    megabytes: usize,
    seconds: u64,
) -> Result<Vec<(&'static str, f64)>, String> {
    let topic = load::create_topic(broker, "curve", PARTITIONS)?;
    let base = Work::Produce1K.production();
    let size = if curve == Curve::RecordBytes { point } else { base.record_bytes };
    let production = Production { record_bytes: size, ..base };
    let bytes = (megabytes * 1_000_000).min(RECORDS_MAX * size);
    production.run(broker, &topic, size * 100)?;
    let mut records = 100;
    let produced = work::per_gigabyte(broker, bytes, || {
        records += production.run(broker, &topic, bytes)?;
        Ok(())
    })?;
    let consumed = work::per_gigabyte(broker, bytes, || load::consume(broker, &topic, PARTITIONS, records))?;
    let per_record = |figures: &[work::Figure]| figures[0].1 * size as f64 / 1000.0;
    let mut figures =
        vec![("produce, CPU µs a record", per_record(&produced)), ("consume, CPU µs a record", per_record(&consumed))];
    if curve == Curve::RecordBytes {
        figures.extend([("produce, CPU s/GB", produced[0].1), ("consume, CPU s/GB", consumed[0].1)]);
    } else {
        const RATE: u32 = 1_000;
        // A stream has a topic of its own: only its records say when they were due.
        let stream = load::create_topic(broker, "stream", PARTITIONS)?;
        let before = broker.cpu();
        let late = work::latency(broker, &stream, RATE, seconds)?;
        load::delete_topic(broker, &stream)?;
        let records = f64::from(RATE) * (seconds as f64 + load::WARM_UP.as_secs_f64());
        figures.push(("1,000 records/s, p50 ms", late[0].1));
        figures.push(("1,000 records/s, p99 ms", late[1].1));
        figures.push(("1,000 records/s, CPU µs a record", broker.cpu_seconds_since(&before) * 1e6 / records));
    }
    load::delete_topic(broker, &topic)?;
    Ok(figures)
}
