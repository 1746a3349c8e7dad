//! What a node did lately, as charts.

use std::fmt::Write as _;

use askama::Template;
use serde_json::{Value, json};

use super::Frame;
use crate::history::{Point, SERIES};
use crate::text;

/// The size of a chart's plane; the page stretches it.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 60.0;

/// How the numbers of a series are written.
type Written = fn(f64) -> String;

/// The series: their names in JSON, what they are, and how their numbers are written.
const NAMES: [(&str, &str, Written); SERIES] = [
    ("recordsInPerSecond", "Records written", per_second),
    ("bytesInPerSecond", "Bytes written", bytes_per_second),
    ("bytesOutPerSecond", "Bytes read", bytes_per_second),
    ("logBytes", "Size of the logs", bytes),
    ("cpuCores", "Processor cores used", |value| format!("{value:.2}")),
    ("residentBytes", "Memory", bytes),
    ("produceMs99", "Produce requests, 99 of 100 within", milliseconds),
    ("fetchMs99", "Fetch requests, 99 of 100 within", milliseconds),
];

fn per_second(value: f64) -> String {
    format!("{} /s", text::number(value.round() as i64))
}

fn bytes(value: f64) -> String {
    text::size(value.round() as i64)
}

fn bytes_per_second(value: f64) -> String {
    format!("{}/s", bytes(value))
}

fn milliseconds(value: f64) -> String {
    format!("{value:.1} ms")
}

/// Charts of a time.
pub(crate) struct Charts {
    pub(crate) charts: Vec<Chart>,
    /// From when to when.
    pub(crate) from: String,
    pub(crate) to: String,
}

/// A chart.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    pub(crate) now: String,
    pub(crate) most: String,
    /// The corners of its line.
    pub(crate) line: String,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Charts {
    /// The charts of these points, of which there are at least two.
    pub(crate) fn new(points: &[Point]) -> Option<Self> {
        let (first, last) = (points.first()?, points.last()?);
        if points.len() < 2 {
            return None;
        }
        let chart = |(series, (_, title, written)): (usize, &(&str, &'static str, Written))| {
            let most = points.iter().map(|point| point.values[series]).fold(0.0, f64::max);
            Chart {
                title,
                now: written(last.values[series]),
                most: written(most),
                line: line(points, series, most),
                width: WIDTH,
                height: HEIGHT,
            }
        };
        Some(Self {
            charts: NAMES.iter().enumerate().map(chart).collect(),
            from: text::time(first.at_ms),
            to: text::time(last.at_ms),
        })
    }
}

/// The corners of a line through a series: times to the right, values upwards.
fn line(points: &[Point], series: usize, most: f64) -> String {
    let from = points.first().map_or(0, |point| point.at_ms);
    let span = points.last().map_or(0, |point| point.at_ms) - from;
    let mut line = String::with_capacity(points.len() * 12);
    for point in points {
        let x = (point.at_ms - from) as f64 / span.max(1) as f64 * WIDTH;
        let y = HEIGHT - if most > 0.0 { point.values[series] / most * (HEIGHT - 2.0) } else { 0.0 };
        // Writing to a string cannot fail.
        let _ = write!(line, "{x:.1},{y:.1} ");
    }
    line
}

/// The points as JSON.
pub(crate) fn document(points: &[Point]) -> Value {
    let point = |point: &Point| {
        let mut document = serde_json::Map::new();
        document.insert("timestamp".to_owned(), json!(point.at_ms));
        for ((name, ..), value) in NAMES.iter().zip(point.values) {
            document.insert((*name).to_owned(), json!(value));
        }
        Value::Object(document)
    };
    points.iter().map(point).collect()
}

/// The charts of the last hour or day.
#[derive(Template)]
#[template(path = "history.html")]
pub(crate) struct HistoryPage {
    pub(crate) frame: Frame,
    /// `hour` or `day`.
    pub(crate) span: &'static str,
    /// Whether a history is kept at all.
    pub(crate) is_kept: bool,
    pub(crate) charts: Option<Charts>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_left_to_right_and_up_to_the_most() {
        let point = |at_ms: i64, value: f64| Point { at_ms, values: [value; SERIES] };
        let points = [point(0, 0.0), point(50, 10.0), point(100, 5.0)];
        let charts = Charts::new(&points).expect("charts");
        assert_eq!(charts.charts[0].line, "0.0,60.0 180.0,2.0 360.0,31.0 ");
        assert_eq!((&*charts.charts[0].now, &*charts.charts[1].most), ("5 /s", "10 B/s"));
        assert!(Charts::new(&points[..1]).is_none());
        assert_eq!(document(&points)[1]["recordsInPerSecond"], 10.0);
    }
}
