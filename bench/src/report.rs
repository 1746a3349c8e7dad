//! What was measured: medians with their spread, ratios to the first broker, and a picture of them.

mod curves;

use std::fmt::Write as _;

pub use curves::Curves;

/// The colours of the brokers in pictures, in their order.
const COLOURS: [&str; 4] = ["#1f6f8b", "#c0563b", "#7a8b3f", "#8c6bb1"];

/// Every figure of every broker, in the order in which they first came.
pub struct Results {
    brokers: Vec<String>,
    rows: Vec<Row>,
    failures: Vec<Failure>,
}

/// A work that could not be measured on a broker.
struct Failure {
    broker: String,
    work: String,
    why: String,
}

struct Row {
    work: String,
    what: String,
    /// For each broker, one value per round.
    values: Vec<Vec<f64>>,
}

impl Row {
    fn median(&self, broker: usize) -> Option<f64> {
        median(&self.values[broker])
    }

    /// Of what is better when there is more of it; all else costs.
    fn more_is_better(&self) -> bool {
        self.what == "MB/s"
    }

    fn cell(&self, broker: usize) -> String {
        let Some(median) = self.median(broker) else { return "-".to_owned() };
        let values = &self.values[broker];
        let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        let mut cell = short(median);
        if values.len() > 1 {
            let _ = write!(cell, " ({} to {})", short(least), short(most));
        }
        if let Some(first) = self.median(0).filter(|first| broker > 0 && *first > 0.0) {
            let _ = write!(cell, ", {}x", short(median / first));
        }
        cell
    }
}

/// What stands in the middle of the values.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[len / 2]),
        len => Some(f64::midpoint(sorted[len / 2 - 1], sorted[len / 2])),
    }
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

impl Results {
    /// No figures yet, for these brokers. The first is what the others are compared with.
    pub fn new(brokers: Vec<String>) -> Self {
        Self { brokers, rows: Vec::new(), failures: Vec::new() }
    }

    /// Notes one figure of one round.
    pub fn add(&mut self, broker: &str, work: &str, what: &str, value: f64) {
        let Some(at) = self.brokers.iter().position(|name| name == broker) else { return };
        let known = self.rows.iter().position(|row| row.work == work && row.what == what);
        let row = known.unwrap_or_else(|| {
            let values = vec![Vec::new(); self.brokers.len()];
            self.rows.push(Row { work: work.to_owned(), what: what.to_owned(), values });
            self.rows.len() - 1
        });
        self.rows[row].values[at].push(value);
    }

    /// Notes that a work has failed on a broker, and why.
    pub fn fail(&mut self, broker: &str, work: &str, why: String) {
        self.failures.push(Failure { broker: broker.to_owned(), work: work.to_owned(), why });
    }

    /// Whether a work has failed on a broker.
    pub fn failed(&self, broker: &str, work: &str) -> bool {
        self.failures.iter().any(|failure| failure.broker == broker && failure.work == work)
    }

    /// A Markdown table: the median, the least and the most, and the ratio to the first broker; below it where the first
    /// leads, and what failed.
    pub fn table(&self) -> String {
        let mut text = format!(
            "| work | figure | {} |\n| --- | --- |{}\n",
            self.brokers.join(" | "),
            " --- |".repeat(self.brokers.len())
        );
        for row in &self.rows {
            let cells: Vec<String> = (0..self.brokers.len()).map(|broker| self.cell(row, broker)).collect();
            let _ = writeln!(text, "| {} | {} | {} |", row.work, row.what, cells.join(" | "));
        }
        if self.brokers.len() > 1 {
            let _ = writeln!(text, "\n{}.", self.lead());
        }
        if !self.failures.is_empty() {
            text.push('\n');
        }
        for Failure { broker, work, why } in &self.failures {
            let _ = writeln!(text, "- {broker} fails {work}: {why}");
        }
        text
    }

    /// In how many rows no broker's median is better than the first's, and in which one is.
    fn lead(&self) -> String {
        let behind = |row: &&Row| {
            let first = row.median(0);
            let better = |median: f64| {
                first.is_none_or(|first| if row.more_is_better() { median > first } else { median < first })
            };
            (1..self.brokers.len()).any(|broker| row.median(broker).is_some_and(better))
        };
        let rows: Vec<String> =
            self.rows.iter().filter(behind).map(|row| format!("{}, {}", row.work, row.what)).collect();
        let (first, all) = (&self.brokers[0], self.rows.len());
        let but = if rows.is_empty() { String::new() } else { format!("; not in {}", rows.join("; ")) };
        format!("{first} leads in {} of {all} rows{but}", all - rows.len())
    }

    fn cell(&self, row: &Row, broker: usize) -> String {
        let measured = row.cell(broker);
        match (self.failed(&self.brokers[broker], &row.work), row.values[broker].is_empty()) {
            (false, _) => measured,
            (true, true) => "fails".to_owned(),
            (true, false) => format!("{measured}, then fails"),
        }
    }

    /// A picture: for each figure a bar per broker, as long as its share of the longest.
    pub fn svg(&self) -> String {
        const LABEL: f64 = 230.0;
        const LONGEST: f64 = 420.0;
        const BAR: f64 = 13.0;
        let height_of = |row: &Row| BAR * row.values.len() as f64 + 12.0;
        let height = 40.0 + self.rows.iter().map(height_of).sum::<f64>();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        for (at, name) in self.brokers.iter().enumerate() {
            let (x, colour) = (LABEL + 130.0 * at as f64, COLOURS[at % COLOURS.len()]);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"10\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"19\">{name}</text>",
                x + 14.0
            );
        }
        let mut y = 36.0;
        for row in &self.rows {
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}, {}</text>",
                LABEL - 8.0,
                y + 10.0,
                row.work,
                row.what
            );
            let medians: Vec<Option<f64>> = (0..self.brokers.len()).map(|broker| row.median(broker)).collect();
            let most = medians.iter().flatten().fold(f64::MIN_POSITIVE, |a, b| a.max(*b));
            for (at, median) in medians.iter().enumerate() {
                let Some(median) = median else { continue };
                let (top, width) = (y + BAR * at as f64, (LONGEST * median / most).max(1.0));
                let _ = writeln!(
                    svg,
                    "<rect x=\"{LABEL}\" y=\"{top:.0}\" width=\"{width:.0}\" height=\"{}\" fill=\"{}\"/><text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
                    BAR - 2.0,
                    COLOURS[at % COLOURS.len()],
                    LABEL + width + 5.0,
                    top + 10.0,
                    short(*median)
                );
            }
            y += height_of(row);
        }
        svg.push_str("</svg>\n");
        svg
    }
}
