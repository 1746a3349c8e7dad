//! `docs/compatibility.md`: what a user may count on, on one screen, and the details behind it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::lists::{self, Listed};
use crate::test::root;

const PAGE: &str = "docs/compatibility.md";
/// What stands before the generated part of the page.
const BEGIN: &str = "<!-- written by `cargo xtask judge --write-docs` -->";
/// The libraries, as `interop/clients/kafka.tsv` names them and as people do.
const LIBRARIES: &[(&str, &str)] = &[
    ("java", "Java, kafka-clients 4.3.1"),
    ("confluent", "Python, confluent-kafka 2.16 (librdkafka)"),
    ("kafka-python", "Python, kafka-python 3.0"),
    ("kafkajs", "Node.js, kafkajs 2.2"),
    ("franz-go", "Go, franz-go 1.22"),
];

/// Writes the page. `table` is the differ's.
pub fn write(table: &Path) -> Result<(), String> {
    let (head, _) = page()?;
    fs::write(root().join(PAGE), format!("{head}{BEGIN}\n\n{}", generated(table)?)).map_err(|e| format!("{PAGE}: {e}"))
}

/// Whether the page says what would be written.
pub fn check(table: &Path) -> Result<(), String> {
    let (_, told) = page()?;
    match told.trim() == generated(table)?.trim() {
        true => Ok(()),
        false => Err(format!("FAIL {PAGE} is not what was found: cargo xtask judge --write-docs writes it")),
    }
}

/// The page before the mark and after it.
fn page() -> Result<(String, String), String> {
    let text = fs::read_to_string(root().join(PAGE)).map_err(|e| format!("{PAGE}: {e}"))?;
    let (head, told) = text.split_once(BEGIN).ok_or_else(|| format!("{PAGE} has lost its mark"))?;
    Ok((head.to_owned(), told.to_owned()))
}

fn generated(table: &Path) -> Result<String, String> {
    let table = fs::read_to_string(table).map_err(|e| format!("{}: {e}", table.display()))?;
    let (scenarios, features) = (scenarios()?, features()?);
    let mut out = String::from(
        "| compared with Kafka 4.3.1 | how much | as in Kafka | what is not |\n| --- | --- | --- | --- |\n",
    );
    let requests = Requests::of(&table);
    let _ = writeln!(
        out,
        "| [raw requests](#requests) | {} answers of {} APIs | {} | {} |",
        grouped(requests.answers),
        requests.apis,
        grouped(requests.answers - requests.listed),
        requests.told(),
    );
    let steps: usize = scenarios.iter().map(|scenario| scenario.steps).sum();
    let missing: usize = scenarios.iter().map(Scenario::missing).sum();
    let _ = writeln!(
        out,
        "| [Kafka's command line tools](#command-lines) | {} command lines | {} | {} |",
        grouped(steps),
        grouped(steps - missing),
        reasons(scenarios.iter().flat_map(|scenario| &scenario.listed)),
    );
    let disk = lists::disk()?;
    let _ = writeln!(
        out,
        "| [data directories](../interop/disk/README.md) | Kafka's opened and given back, and the same writes to both | \
         all but {} lines | {} |",
        disk.len(),
        reasons(&disk),
    );
    for &(library, title) in LIBRARIES {
        let own: Vec<&Feature> = features.iter().filter(|feature| feature.library == library).collect();
        let works = own.iter().filter(|feature| feature.listed.is_none() && feature.on_kafka).count();
        let on_kafka = own.iter().filter(|feature| feature.on_kafka).count();
        let missing = reasons(own.iter().filter_map(|feature| feature.listed.as_ref()));
        let _ = writeln!(out, "| [{title}](#clients) | {on_kafka} features | {works} | {missing} |");
    }
    out.push_str("\n## Requests\n\n");
    out.push_str(&table);
    out.push_str("\n## Command lines\n\n");
    command_lines(&mut out, &scenarios);
    out.push_str("\n## Clients\n\n");
    clients(&mut out, &features);
    Ok(out)
}

/// The sums of the differ's table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Requests {
    apis: usize,
    answers: usize,
    listed: usize,
    /// How many APIs there is no scenario for; empty when there is one for each.
    untold: String,
}

impl Requests {
    /// What is not as in Kafka, in short.
    fn told(&self) -> String {
        let untold = if self.untold.is_empty() { "" } else { &format!("; {} APIs are not compared", self.untold) };
        format!("{} answers differ for known reasons{untold}", self.listed)
    }

    fn of(table: &str) -> Self {
        let mut sums = Self::default();
        for line in table.lines() {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            if let [_, _, _, answers, listed] = cells[..]
                && let (Ok(answers), Ok(listed)) = (answers.parse::<usize>(), listed.parse::<usize>())
            {
                sums.apis += 1;
                sums.answers += answers;
                sums.listed += listed;
            }
            if let Some(names) = line.strip_prefix("Not compared yet: ").filter(|names| names.len() > 1) {
                sums.untold = names.split(", ").count().to_string();
            }
        }
        sums
    }
}

/// A scenario of command lines that is played against a node.
struct Scenario {
    name: String,
    steps: usize,
    listed: Vec<Listed>,
}

impl Scenario {
    /// How many of its steps are not as in Kafka.
    fn missing(&self) -> usize {
        if self.listed.iter().any(|listed| listed.what[1] == "all") { self.steps } else { self.listed.len() }
    }
}

fn scenarios() -> Result<Vec<Scenario>, String> {
    let golden = root().join("interop/golden");
    let read = |path: std::path::PathBuf| fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(golden.join("scenarios")).map_err(|e| format!("interop/golden/scenarios: {e}"))? {
        let name = entry.map_err(|e| e.to_string())?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".scn").map(str::to_owned));
    }
    names.sort();
    let mut listed = lists::command_lines()?;
    let mut scenarios = Vec::new();
    for name in names {
        // Without a node it is the tools that are compared.
        if read(golden.join(format!("scenarios/{name}.scn")))?.lines().any(|line| line.trim() == "@cluster none") {
            continue;
        }
        let expected = read(golden.join(format!("expected/{name}.out")))?;
        let steps = expected.lines().filter(|line| line.starts_with("exit ")).count();
        let (own, others) = listed.into_iter().partition(|line| line.what[0] == name);
        listed = others;
        scenarios.push(Scenario { name, steps, listed: own });
    }
    Ok(scenarios)
}

/// A feature of a client library.
struct Feature {
    library: String,
    area: String,
    name: String,
    on_kafka: bool,
    listed: Option<Listed>,
}

/// Every feature of every library, as the last run against Kafka had them, and whether it is known not to work here.
fn features() -> Result<Vec<Feature>, String> {
    let file = "interop/clients/kafka.tsv";
    let text = fs::read_to_string(root().join(file)).map_err(|e| format!("{file}: {e}"))?;
    let known = lists::clients()?;
    let mut features = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [library, area, name, result] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("{file}: cannot read: {line}"));
        };
        let fits = |pattern: &str, text: &str| pattern == "*" || pattern == text;
        let is_it = |known: &&Listed| matches!(&known.what[..], [a, b, c] if fits(a, library) && fits(b, area) && fits(c, name));
        let listed = known.iter().find(is_it).filter(|_| result == "ok");
        features.push(Feature {
            library: library.to_owned(),
            area: area.to_owned(),
            name: name.to_owned(),
            on_kafka: result == "ok",
            listed: listed.map(|known| Listed { what: known.what.clone(), reason: known.reason.clone() }),
        });
    }
    Ok(features)
}

fn command_lines(out: &mut String, scenarios: &[Scenario]) {
    out.push_str("| scenario | command lines | as in Kafka | what is not |\n| --- | --- | --- | --- |\n");
    for scenario in scenarios {
        let (name, steps) = (&scenario.name, scenario.steps);
        let _ = writeln!(out, "| {name} | {steps} | {} | {} |", steps - scenario.missing(), reasons(&scenario.listed));
    }
}

fn clients(out: &mut String, features: &[Feature]) {
    out.push_str("| library | area | Apache Kafka 4.3.1 | Thalweg | what does not work |\n");
    out.push_str("| --- | --- | --- | --- | --- |\n");
    for &(library, title) in LIBRARIES {
        let mut areas: Vec<(&str, Vec<&Feature>)> = Vec::new();
        for feature in features.iter().filter(|feature| feature.library == library) {
            match areas.iter_mut().find(|(area, _)| *area == feature.area) {
                Some((_, own)) => own.push(feature),
                None => areas.push((&feature.area, vec![feature])),
            }
        }
        let mut title = title;
        for (area, own) in areas {
            let on_kafka = own.iter().filter(|feature| feature.on_kafka).count();
            let missing: Vec<&str> =
                own.iter().filter(|feature| feature.listed.is_some()).map(|feature| &*feature.name).collect();
            let (all, works) = (own.len(), on_kafka - missing.len());
            let told = if missing.len() == all && all > 1 { "all".to_owned() } else { missing.join("; ") };
            let _ = writeln!(out, "| {title} | {area} | {on_kafka} of {all} | {works} of {all} | {told} |");
            title = "";
        }
    }
}

/// The different reasons of some lines, each once, with how many lines have it, the most frequent first.
fn reasons<'a>(listed: impl IntoIterator<Item = &'a Listed>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    listed.into_iter().for_each(|line| *counts.entry(&line.reason).or_default() += 1);
    let mut told: Vec<(&str, usize)> = counts.into_iter().collect();
    told.sort_by_key(|&(reason, count)| (std::cmp::Reverse(count), reason));
    told.iter().map(|(reason, _)| *reason).collect::<Vec<_>>().join("; ")
}

/// A number with commas between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Requests, grouped};

    #[test]
    fn the_sums_of_the_differs_table() {
        let table = "| API | Kafka | ours | n | m |\n| --- | --- | --- | --- | --- |\n| Fetch | 4 to 18 | 4 to 18 | 1441 | 4 |\n\
                     | Produce | 3 to 13 | 3 to 13 | 59 | 0 |\n\nNot compared yet: A, B.\n";
        let sums = Requests { apis: 2, answers: 1500, listed: 4, untold: "2".to_owned() };
        assert_eq!(Requests::of(table), sums);
    }

    #[test]
    fn large_numbers_have_commas() {
        assert_eq!([grouped(7), grouped(999), grouped(15561), grouped(1_000_000)], ["7", "999", "15,561", "1,000,000"]);
    }
}
