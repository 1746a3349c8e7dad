//! Compares what was played with the golden answers and tells the differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::coverage::Coverage;
use crate::known::Known;
use crate::play::Pair;
use crate::schema::{Schema, served};
use crate::value::{Value, differences};
use crate::{Played, golden, home};

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Lines of `known.txt` that explained nothing although their scenario was played.
    pub(crate) vanished: Vec<String>,
    /// Pairs and listed differences, by API.
    apis: BTreeMap<String, Tally>,
    coverage: Coverage,
}

impl Outcome {
    /// Counts as failed what the node advertises and no scenario asks. All of them must have been played.
    pub(crate) fn look_for_gaps(&mut self, schema: &Schema) {
        for gap in self.coverage.missing(schema) {
            println!("FAIL advertised, but no scenario has an answer of it: {gap}");
            self.failed += 1;
        }
    }
}

/// What was found of one API.
#[derive(Debug, Default)]
struct Tally {
    pairs: usize,
    listed: usize,
    /// The versions that were answered by more than a closed connection.
    versions: BTreeSet<i16>,
}

/// How many lines of a difference are shown.
const SHOWN_MAX: usize = 12;

/// Compares all scenarios, prints differences, counts.
pub(crate) fn compare(
    schema: &Schema,
    played: Vec<Played>,
    known: &mut [Known],
    is_kafka: bool,
) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let mut told = Vec::new();
    let tested = if is_kafka { "Kafka now" } else { "Thalweg" };
    let names: Vec<String> = played.iter().map(|(name, _)| name.clone()).collect();
    for (name, pairs) in played {
        let file = home().join("golden").join(format!("{name}.txt"));
        let golden = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()));
        let (wanted, found) = match (golden.and_then(|text| golden::parse(&text)), pairs) {
            (Ok(wanted), Ok(found)) => (wanted, found),
            (Err(e), _) | (_, Err(e)) => {
                println!("FAIL {name}: {e}");
                outcome.failed += 1;
                continue;
            }
        };
        if let Some(message) = out_of_step(&wanted, &found) {
            println!("FAIL {name}: {message}");
            outcome.failed += 1;
        }
        for (wanted, found) in
            wanted.iter().zip(&found).take_while(|(a, b)| a.request == b.request && a.version == b.version)
        {
            one(schema, &name, (wanted, found), known, &mut outcome, &mut told);
        }
    }
    told.iter().for_each(|difference| difference.print(tested));
    for line in known.iter().filter(|known| known.used == 0 && names.iter().any(|name| known.concerns(name))) {
        println!(
            "FAIL listed in known.txt, but there is no such difference any more (--forget takes it out): {}",
            line.line
        );
        outcome.vanished.push(line.line.clone());
        outcome.failed += 1;
    }
    Ok(outcome)
}

/// Where the requests are not those of the golden file: the scenario was changed since.
fn out_of_step(wanted: &[Pair], found: &[Pair]) -> Option<String> {
    let parted = wanted.iter().zip(found).find(|(a, b)| a.request != b.request || a.version != b.version);
    if let Some((wanted, found)) = parted {
        return Some(format!(
            "the golden file has `{}` version {:?} where the scenario asks `{}` version {:?}; record it anew if the scenario was changed",
            wanted.request, wanted.version, found.request, found.version
        ));
    }
    (wanted.len() != found.len())
        .then(|| format!("{} golden answers for {} requests; record it anew", wanted.len(), found.len()))
}

fn one(
    schema: &Schema,
    scenario: &str,
    (wanted, found): (&Pair, &Pair),
    known: &mut [Known],
    outcome: &mut Outcome,
    told: &mut Vec<Difference>,
) {
    let api = api(schema, &found.request);
    outcome.coverage.add(schema, found);
    let tally = outcome.apis.entry(api.clone()).or_default();
    tally.pairs += 1;
    if found.answer != Value::word("<closed>") {
        tally.versions.extend(found.version);
    }
    let mut fields = Vec::new();
    differences(&wanted.answer, &found.answer, "", &mut fields);
    let all = fields.len();
    fields.retain(|(field, _, _)| match known.iter_mut().find(|known| known.explains(scenario, found, field)) {
        Some(known) => {
            known.used += 1;
            false
        }
        None => true,
    });
    if fields.is_empty() {
        tally.listed += usize::from(all > 0);
        outcome.passed += 1;
        return;
    }
    outcome.failed += 1;
    let version = found.version.map_or("raw".to_owned(), |version| format!("version {version}"));
    match told.iter_mut().find(|earlier| earlier.api == api && earlier.fields == fields) {
        Some(earlier) => earlier.more += 1,
        None => {
            told.push(Difference { api, head: format!("{scenario}, {version}: {}", found.request), fields, more: 0 })
        }
    }
}

/// A difference that is not listed, with how often it was met.
struct Difference {
    api: String,
    /// Where it was met first.
    head: String,
    fields: Vec<(String, String, String)>,
    more: usize,
}

impl Difference {
    fn print(&self, tested: &str) {
        let cut = |text: &str, length: usize| text.chars().take(length).collect::<String>();
        let more = if self.more > 0 { format!("  (and {} like it)", self.more) } else { String::new() };
        println!("DIFF {}{more}", cut(&self.head, 400));
        for (field, wanted, found) in self.fields.iter().take(SHOWN_MAX) {
            let field = if field.is_empty() { "the answer" } else { field };
            println!("  {field}\n    Kafka    {}\n    {tested:<8} {}", cut(wanted, 600), cut(found, 600));
        }
        if self.fields.len() > SHOWN_MAX {
            println!("  and {} more", self.fields.len() - SHOWN_MAX);
        }
    }
}

/// The API that a request is for.
fn api(schema: &Schema, request: &str) -> String {
    let name = request.split(' ').find(|word| !word.starts_with('@')).unwrap_or_default();
    if schema.message(&format!("{name}Request")).is_ok() { name.to_owned() } else { "raw bytes".to_owned() }
}

/// The table of APIs in Markdown.
pub(crate) fn table(schema: &Schema, outcome: &Outcome, known: &[Known]) -> String {
    let mut out = String::from(
        "| API | Kafka 4.3.1 | Thalweg | answers compared | with known differences |\n| --- | --- | --- | --- | --- |\n",
    );
    let mut untold = Vec::new();
    for message in schema.apis() {
        let name = message.name().trim_end_matches("Request");
        let Some(tally) = outcome.apis.get(name) else {
            untold.push(name);
            continue;
        };
        let range = served(message);
        let ours: BTreeSet<i16> = tally.versions.iter().copied().filter(|version| range.contains(version)).collect();
        let (theirs, ours) = (versions(&range.collect()), versions(&ours));
        let _ = writeln!(out, "| {name} | {theirs} | {ours} | {} | {} |", tally.pairs, tally.listed);
    }
    let _ = writeln!(out, "\nNot compared yet: {}.", untold.join(", "));
    let _ = writeln!(out, "\n| known difference | in requests | fields |\n| --- | --- | --- |");
    for known in known.iter().filter(|known| known.used > 0) {
        let request = known.line.split(" | ").nth(1).unwrap_or_default();
        let _ = writeln!(out, "| {} | `{request}` | {} |", known.reason, known.used);
    }
    out
}

/// A set of versions in words: `3 to 7`, or the versions one by one where some are missing.
fn versions(of: &BTreeSet<i16>) -> String {
    match (of.first(), of.last()) {
        (Some(low), Some(high)) if low == high => low.to_string(),
        (Some(low), Some(high)) if of.len() == usize::from(low.abs_diff(*high)) + 1 => format!("{low} to {high}"),
        (None, _) => "none".to_owned(),
        _ => of.iter().map(i16::to_string).collect::<Vec<_>>().join(" "),
    }
}
