//! Figures that belong to points of a curve.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{COLOURS, median, short};

/// Every figure of every broker at every point, in the order in which they first came.
pub struct Curves {
    brokers: Vec<String>,
    lines: Vec<Line>,
}

/// One figure along one curve.
struct Line {
    /// What grows.
    along: String,
    what: String,
    points: Vec<usize>,
    /// For each broker and point, one value per round.
    values: Vec<Vec<Vec<f64>>>,
}

impl Line {
    fn median(&self, broker: usize, point: usize) -> Option<f64> {
        self.values[broker].get(point).and_then(|values| median(values))
    }

    /// As [`Line::median`], by what the point is.
    fn median_at(&self, broker: usize, point: usize) -> Option<f64> {
        self.median(broker, self.points.iter().position(|known| *known == point)?)
    }
}

impl Curves {
    /// No figures yet, for these brokers.
    pub fn new(brokers: Vec<String>) -> Self {
        Self { brokers, lines: Vec::new() }
    }

    /// Notes one figure of one round at one point.
    pub fn add(&mut self, broker: &str, along: &str, what: &str, point: usize, value: f64) {
        let Some(broker) = self.brokers.iter().position(|name| name == broker) else { return };
        let known = self.lines.iter().position(|line| line.along == along && line.what == what);
        let at = known.unwrap_or_else(|| {
            let values = vec![Vec::new(); self.brokers.len()];
            self.lines.push(Line { along: along.to_owned(), what: what.to_owned(), points: Vec::new(), values });
            self.lines.len() - 1
        });
        let line = &mut self.lines[at];
        let at = line.points.iter().position(|known| *known == point).unwrap_or_else(|| {
            line.points.push(point);
            line.points.len() - 1
        });
        let values = &mut line.values[broker];
        if values.len() <= at {
            values.resize(at + 1, Vec::new());
        }
        values[at].push(value);
    }

    /// A Markdown table for each curve: a row for each figure of each broker, a column for each point.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let (mut along, mut points) = ("", Vec::new());
        for line in &self.lines {
            if line.along != along {
                along = &line.along;
                points = self.points_along(along);
                let head: Vec<String> = points.iter().map(|point| thousands(*point)).collect();
                let rule = " ---: |".repeat(points.len());
                let _ = writeln!(text, "\n| {along} | | {} |\n| --- | --- |{rule}", head.join(" | "));
            }
            for (broker, name) in self.brokers.iter().enumerate() {
                let cell = |point: &usize| line.median_at(broker, *point).map_or("-".to_owned(), short);
                let cells: Vec<String> = points.iter().map(cell).collect();
                let _ = writeln!(text, "| {} | {name} | {} |", line.what, cells.join(" | "));
            }
        }
        text
    }

    /// Every point of a curve: not every figure is there at each.
    fn points_along(&self, along: &str) -> Vec<usize> {
        let of_curve = self.lines.iter().filter(|line| line.along == along);
        let points: BTreeSet<usize> = of_curve.flat_map(|line| line.points.iter().copied()).collect();
        points.into_iter().collect()
    }

    /// A picture: a small chart for each figure, three in a row.
    pub fn svg(&self) -> String {
        const WIDTH: usize = 300;
        const HEIGHT: usize = 170;
        let rows = self.lines.len().div_ceil(3);
        let (width, height) = (3 * WIDTH, 30 + rows * HEIGHT);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        for (at, name) in self.brokers.iter().enumerate() {
            let (x, colour) = (20 + 130 * at, COLOURS[at % COLOURS.len()]);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"10\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"19\">{name}</text>",
                x + 14
            );
        }
        for (at, line) in self.lines.iter().enumerate() {
            let (x, y) = (at % 3 * WIDTH, 30 + at / 3 * HEIGHT);
            let _ = writeln!(svg, "<g transform=\"translate({x},{y})\">");
            self.chart(line, &mut svg);
            svg.push_str("</g>\n");
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// One chart: the points side by side, since they grow by factors, and values from zero on.
    fn chart(&self, line: &Line, svg: &mut String) {
        const LEFT: f64 = 20.0;
        const TOP: f64 = 24.0;
        const WIDE: f64 = 240.0;
        const HIGH: f64 = 110.0;
        let all = (0..self.brokers.len()).flat_map(|b| (0..line.points.len()).map(move |p| (b, p)));
        let most = all.filter_map(|(b, p)| line.median(b, p)).fold(f64::MIN_POSITIVE, f64::max);
        let x = |point: usize| LEFT + WIDE * (point as f64 + 0.5) / line.points.len() as f64;
        let y = |value: f64| TOP + HIGH * (1.0 - value / most);
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"14\">{}</text>", line.what);
        let bottom = TOP + HIGH;
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {TOP}V{bottom}H{}\" fill=\"none\" stroke=\"#999\"/>\
             <text x=\"{}\" y=\"{bottom}\" font-size=\"9\">{}</text>",
            LEFT + WIDE,
            LEFT + WIDE + 2.0,
            line.along
        );
        for (at, point) in line.points.iter().enumerate() {
            let _ = writeln!(
                svg,
                "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\" font-size=\"9\">{}</text>",
                x(at),
                bottom + 12.0,
                thousands(*point)
            );
        }
        for broker in 0..self.brokers.len() {
            let colour = COLOURS[broker % COLOURS.len()];
            let points: Vec<(f64, f64, f64)> = (0..line.points.len())
                .filter_map(|point| line.median(broker, point).map(|value| (x(point), y(value), value)))
                .collect();
            let path: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.0},{y:.0}")).collect();
            let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", path.join(" "));
            for (x, y, value) in points {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.0}\" cy=\"{y:.0}\" r=\"2\" fill=\"{colour}\"/>\
                     <text x=\"{x:.0}\" y=\"{:.0}\" font-size=\"9\" text-anchor=\"middle\">{}</text>",
                    y - 4.0,
                    short(value)
                );
            }
        }
    }
}

/// With a comma at every third digit.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let group = |(at, digit): (usize, char)| {
        if at > 0 && (digits.len() - at).is_multiple_of(3) { vec![',', digit] } else { vec![digit] }
    };
    digits.chars().enumerate().flat_map(group).collect()
}
