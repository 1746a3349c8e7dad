//! Requests that can be decoded and mean harm: every API at every version, with values at the ends of their ranges, names that
//! exist beside names that cannot, members, producers and topics of others, damaged batches.
//!
//! What answers name is asked about later, so that the node's state is reached and not only its checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::batches::{self, Arguments};
use crate::codec::{self, lower};
use crate::connection::Connection;
use crate::model::{Field, Message, Struct, Type};
use crate::play;
use crate::schema::{Schema, find, has, served};
use crate::value::Value;

/// Topics whose names begin so belong to somebody else: none of them is asked about.
const SPARED: &str = "bystander";
/// So many connections ask at once.
const CONNECTIONS: u64 = 8;
/// A connection that gets no answer within so long is given up: what was asked may wait for weeks.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many requests are sent before their answers are read, at most.
const PIPELINED_MAX: usize = 8;
/// So many values are kept of each field; a newer one takes the place of an older one.
const KEPT_MAX: usize = 32;
/// What is longer is not kept.
const KEPT_LENGTH_MAX: usize = 100;
/// APIs that change what a node promises to everybody: brokers that leave, quotas of all users, features.
const NOT_ASKED: [&str; 3] = ["UnregisterBroker", "AlterClientQuotas", "UpdateFeatures"];
/// APIs that change settings: never those of a broker, which are everybody's.
const SETTINGS: [&str; 2] = ["AlterConfigs", "IncrementalAlterConfigs"];

/// What became of the requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    answered: u64,
    /// By the node, or given up.
    closed: u64,
    /// The APIs that were answered, with the error codes that their answers hold.
    seen: BTreeSet<(String, String)>,
}

impl Tally {
    /// As one line.
    pub(crate) fn line(&self) -> String {
        let apis: BTreeSet<&String> = self.seen.iter().map(|(api, _)| api).collect();
        let Self { answered, closed, seen } = self;
        format!("{answered} answers, {closed} connections closed, {} APIs, {} kinds of answers", apis.len(), seen.len())
    }
}

/// Values that answers have named, by the field.
type Kept = BTreeMap<String, Vec<String>>;

/// Asks a node for so long.
pub(crate) fn ask(schema: &Schema, address: &str, seed: u64, seconds: u64) -> Result<Tally, String> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let apis = schema.apis();
    let apis: Vec<&Message> = apis.into_iter().filter(|api| !NOT_ASKED.contains(&name(api))).collect();
    let shared = Mutex::new((Tally::default(), Kept::new()));
    std::thread::scope(|scope| {
        let ask = |number| {
            let draw = Draw(seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(number));
            let mut asker = Asker { schema, apis: &apis, draw, kept: Kept::new(), shared: &shared };
            scope.spawn(move || asker.run(address, until))
        };
        let asking: Vec<_> = (0..CONNECTIONS).map(ask).collect();
        asking.into_iter().try_for_each(|one| one.join().map_err(|_| "an asker panicked".to_owned())?)
    })?;
    Ok(shared.into_inner().map_err(|e| e.to_string())?.0)
}

/// The API of a request.
fn name(request: &Message) -> &str {
    request.name().trim_end_matches("Request")
}

/// Random numbers.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// One connection's requests.
struct Asker<'a> {
    schema: &'a Schema,
    apis: &'a [&'a Message],
    draw: Draw,
    /// What is known of what answers have named.
    kept: Kept,
    shared: &'a Mutex<(Tally, Kept)>,
}

impl Asker<'_> {
    fn run(&mut self, address: &str, until: Instant) -> Result<(), String> {
        let mut connection = Connection::waiting(address, PATIENCE);
        while Instant::now() < until {
            let mut asked = Vec::new();
            for _ in 0..=self.draw.below(PIPELINED_MAX) {
                let api = self.apis[self.draw.below(self.apis.len())];
                let Some((version, frame)) = self.frame(api)? else { continue };
                connection.send(&frame);
                if !connection.is_open() {
                    asked.clear();
                    self.note(|tally| tally.closed += 1);
                    break;
                }
                asked.push((api, version));
            }
            for (api, version) in asked {
                let Ok(bytes) = connection.receive() else {
                    self.note(|tally| tally.closed += 1);
                    break;
                };
                self.take(api, version, &bytes)?;
            }
        }
        Ok(())
    }

    /// A request in bytes; `None` when its version has no place for a value.
    fn frame(&mut self, api: &Message) -> Result<Option<(i16, Vec<u8>)>, String> {
        let versions = served(api);
        let version = *versions.start() + self.draw.below((versions.end() - versions.start() + 1) as usize) as i16;
        let fields = self.fields(api, &api.structs[0], version)?;
        let mut frame = Vec::new();
        let shown = if self.draw.one_in(200) { version + 40 } else { version };
        play::header(self.schema, api, version, shown, &mut frame)?;
        Ok(codec::encode(api, version, &fields, &mut frame).is_ok().then_some((version, frame)))
    }

    fn fields(&mut self, api: &Message, of: &Struct, version: i16) -> Result<Value, String> {
        let mut fields = Vec::new();
        for field in of.fields.iter().filter(|field| has(field.versions, version)) {
            let is_null = has(field.nullable, version) && self.draw.one_in(5);
            let value = if is_null { Value::Null } else { self.value(api, field, &field.ty, version)? };
            fields.push((field.name.clone(), value));
        }
        Ok(Value::Struct(fields))
    }

    fn value(&mut self, api: &Message, field: &Field, ty: &Type, version: i16) -> Result<Value, String> {
        Ok(match ty {
            Type::Array(element) => {
                let count = match self.draw.below(60) {
                    0 if element.size().is_some() => 5000,
                    1 => 200,
                    _ => self.draw.below(4),
                };
                // What is nested in many is small.
                let count = if count > 4 && matches!(**element, Type::Struct(_)) { 40 } else { count };
                (0..count)
                    .map(|_| self.value(api, field, element, version))
                    .collect::<Result<_, _>>()
                    .map(Value::List)?
            }
            Type::Struct(name) => self.fields(api, find(api, name)?, version)?,
            Type::String => Value::Word(self.string(&lower(&field.name))),
            Type::Bytes => {
                let length = if self.draw.one_in(20) { 5000 } else { self.draw.below(40) };
                Value::Made(String::new(), (0..length).map(|_| self.draw.next() as u8).collect())
            }
            Type::Records | Type::AnswerRecords => Value::Made(String::new(), self.records()?),
            Type::Bool => Value::word(self.draw.one_in(2)),
            Type::Uuid => Value::Word(self.id(&lower(&field.name))),
            scalar => Value::word(self.number(api, &lower(&field.name), scalar)),
        })
    }

    /// A value that an answer has named in such a field.
    fn known(&mut self, field: &str) -> Option<String> {
        let known = self.kept.get(field)?;
        known.get(self.draw.below(known.len())).cloned()
    }

    fn string(&mut self, field: &str) -> String {
        if self.draw.one_in(2)
            && let Some(known) = self.known(field)
        {
            return known;
        }
        let field = field.to_ascii_lowercase();
        let usual: &[&str] = match field.as_str() {
            _ if self.draw.one_in(8) => &["", ".", "..", "a/b", "\0", "ä€𝄞", "*", "__cluster_metadata", "_"],
            f if f.contains("topic") || f == "name" => {
                &["h0", "h1", "h2", "h3", "__consumer_offsets", "__transaction_state", "__share_group_state"]
            }
            f if f.contains("group") || f == "key" => &["g0", "g1", "g2", "g3"],
            f if f.contains("transaction") => &["x0", "x1", "x2"],
            f if f.contains("protocol") => &["consumer", "range", "connect", "uniform", "share", "streams"],
            f if f.contains("regex") => &["h.*", "(a|a)*b", "[", "(?i)H.", "((((h*)*)*)*)*"],
            _ => &["a", "1", "h0", "g0", "true", "latest", "earliest", "delete", "compact"],
        };
        let text = self.draw.pick(usual).to_owned();
        if self.draw.one_in(60) { text.repeat(400) } else { text }
    }

    fn id(&mut self, field: &str) -> String {
        if self.draw.below(4) != 0
            && let Some(known) = self.known(field).or_else(|| self.known("topicId"))
        {
            return known;
        }
        let bytes = [(); 16].map(|()| if self.draw.one_in(2) { 0 } else { self.draw.next() as u8 });
        thalweg_base::Uuid(bytes).to_string()
    }

    fn number(&mut self, api: &Message, field: &str, ty: &Type) -> i64 {
        let bits = 8 * ty.size().unwrap_or(8) as u32;
        let (most, least) = (i64::MAX >> (64 - bits), i64::MIN >> (64 - bits));
        if field == "acks" {
            // The answer to 0 is none.
            return [-1, 1, 2][self.draw.below(3)];
        }
        if field == "resourceType" && SETTINGS.contains(&name(api)) {
            return [2, 2, 2, 0, 3, 16, 32, -1, most][self.draw.below(9)];
        }
        if self.draw.one_in(2)
            && let Some(known) = self.known(field).and_then(|known| known.parse().ok())
            && (least..=most).contains(&known)
        {
            return known;
        }
        let is_wait = field.ends_with("Ms") || field.contains("imeout") || field.ends_with("Bytes");
        match self.draw.below(if is_wait { 40 } else { 10 }) {
            0 => most,
            1 => least,
            2 => -1,
            3 => (self.draw.next() as i64) >> (64 - bits),
            4 => most / 2,
            _ => self.draw.below(if is_wait { 300 } else { 4 }) as i64,
        }
    }

    /// Batches as a client makes them, and damaged ones, with and without the right checksum.
    fn records(&mut self) -> Result<Vec<u8>, String> {
        let word = |name: &str, value: String| (name.to_owned(), Value::Word(value));
        let number = |draw: &mut Draw| [-1, 0, 1, 5, i64::from(i16::MAX)][draw.below(5)].to_string();
        let codec = self.draw.pick(&["none", "gzip", "snappy", "lz4", "zstd"]).to_owned();
        let size = if self.draw.one_in(50) { 200_000 } else { self.draw.below(200) };
        let producer = self.known("producerId").unwrap_or_else(|| number(&mut self.draw));
        let named = [
            word("codec", codec),
            word("size", size.to_string()),
            word("producer", producer),
            word("epoch", number(&mut self.draw)),
            word("sequence", number(&mut self.draw)),
            word("transactional", self.draw.one_in(3).to_string()),
            word("control", self.draw.one_in(20).to_string()),
        ];
        let plain = [Value::word(1 + self.draw.below(5))];
        let mut bytes = batches::call("batch", &Arguments { plain: &plain, named: &named })?;
        for _ in 0..self.draw.below(3) {
            let at = self.draw.below(bytes.len());
            let changed = Value::Made(String::new(), vec![self.draw.next() as u8]);
            let plain = [Value::Made(String::new(), bytes.clone()), Value::word(at), changed];
            let how = if at > 21 && self.draw.below(3) != 0 { "patched" } else { "damaged" };
            bytes = batches::call(how, &Arguments { plain: &plain, named: &[] })?;
        }
        if self.draw.one_in(20) {
            bytes.truncate(self.draw.below(bytes.len()));
        }
        Ok(bytes)
    }

    /// Looks at an answer, which must be one of this request, whole and right.
    fn take(&mut self, api: &Message, version: i16, bytes: &[u8]) -> Result<(), String> {
        let name = name(api);
        let response = self.schema.message(&format!("{name}Response"))?;
        let value = match play::decode(response, name, version, bytes) {
            Ok(value) => value,
            // Versions of it that do not exist are answered in another one.
            Err(_) if name == "ApiVersions" => return Ok(()),
            Err(why) => return Err(format!("{name} v{version}: {why}")),
        };
        let mut found = Kept::new();
        let mut codes = BTreeSet::new();
        collect(&value, &mut found, &mut codes);
        let mut shared = self.shared.lock().map_err(|e| e.to_string())?;
        let (tally, kept) = &mut *shared;
        tally.answered += 1;
        tally.seen.extend(codes.into_iter().map(|code| (name.to_owned(), code)));
        for (field, values) in found {
            let known = kept.entry(field).or_default();
            for value in values {
                if known.contains(&value) {
                    continue;
                }
                if known.len() < KEPT_MAX {
                    known.push(value);
                } else {
                    known[self.draw.below(KEPT_MAX)] = value;
                }
            }
        }
        self.kept.clone_from(kept);
        Ok(())
    }

    fn note(&self, note: impl FnOnce(&mut Tally)) {
        if let Ok(mut shared) = self.shared.lock() {
            note(&mut shared.0);
        }
    }
}

/// The values of an answer by their fields, and its error codes; nothing of what is spared.
fn collect(value: &Value, found: &mut Kept, codes: &mut BTreeSet<String>) {
    let is_spared = |value: &Value| matches!(value, Value::Word(word) if word.starts_with(SPARED));
    match value {
        Value::Struct(fields) if !fields.iter().any(|(_, value)| is_spared(value)) => {
            for (name, value) in fields {
                match value {
                    Value::Word(word) if name == "errorCode" => drop(codes.insert(word.clone())),
                    Value::Word(word) if word.len() <= KEPT_LENGTH_MAX && *name != "resourceType" => {
                        found.entry(name.clone()).or_default().push(word.clone());
                    }
                    other => collect(other, found, codes),
                }
            }
        }
        Value::List(elements) => elements.iter().for_each(|element| collect(element, found, codes)),
        _ => {}
    }
}
