//! Plays a scenario against a node.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::batches::{self, Arguments};
use crate::codec::{self, Unsaid};
use crate::connection::Connection;
use crate::language::{Ask, Expr, Item, Line, Scenario, Statement};
use crate::mask::Masks;
use crate::model::Message;
use crate::schema::{Schema, is_flexible, served};
use crate::value::Value;

/// A request and its answer, ready to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Which statement asked, counted as they ran.
    pub(crate) turn: usize,
    /// The request, its version apart.
    pub(crate) request: String,
    /// Raw bytes have none.
    pub(crate) version: Option<i16>,
    pub(crate) answer: Value,
}

/// The plain values and the named ones of a list, struct or call.
type Parts = (Vec<Value>, Vec<(String, Value)>);

/// How long `until` and `learn` ask again.
const PATIENCE: Duration = Duration::from_secs(90);
/// Variables that stand for variables, at most so deep.
const DEPTH_MAX: usize = 40;

/// A player in the middle of a scenario.
pub(crate) struct Player<'a> {
    schema: &'a Schema,
    address: String,
    /// Where the controller listens.
    controller: String,
    connections: BTreeMap<String, Connection>,
    /// Requests whose answers are read later, by connection.
    open: BTreeMap<String, Vec<(String, i16, String)>>,
    /// What `let` and `for` have bound; the innermost comes last.
    variables: Vec<(String, Expr)>,
    /// What `save` and `learn` have taken out of answers.
    saved: BTreeMap<String, String>,
    masks: Masks,
    turn: usize,
    pairs: Vec<Pair>,
}

/// Plays all of a scenario against the node at an address, with its controller at another.
pub(crate) fn play(
    schema: &Schema,
    scenario: &Scenario,
    (address, controller): (&str, &str),
    literals: &[(String, String)],
) -> Result<Vec<Pair>, String> {
    let mut player = Player {
        schema,
        address: address.to_owned(),
        controller: controller.to_owned(),
        connections: BTreeMap::new(),
        open: BTreeMap::new(),
        variables: Vec::new(),
        saved: BTreeMap::new(),
        masks: Masks { literals: literals.to_vec(), ..Masks::default() },
        turn: 0,
        pairs: Vec::new(),
    };
    player.run(&scenario.lines)?;
    Ok(player.pairs)
}

impl Player<'_> {
    fn run(&mut self, lines: &[Line]) -> Result<(), String> {
        for line in lines {
            self.one(&line.statement)
                .map_err(|e| if e.starts_with("line ") { e } else { format!("line {}: {e}", line.number) })?;
        }
        Ok(())
    }

    fn one(&mut self, statement: &Statement) -> Result<(), String> {
        self.turn += 1;
        match statement {
            Statement::Let(name, value) => {
                self.variables.push((name.clone(), value.clone()));
                Ok(())
            }
            Statement::For(names, items, below) => self.repeat(names, items, below),
            Statement::Request(ask) => self.ask(ask),
            Statement::Raw(connection, bytes) => self.raw(connection, bytes),
            Statement::Answer(connection) => self.answer(connection),
            Statement::Close(connection) => {
                self.connections.remove(connection);
                Ok(())
            }
            Statement::Learn(names) => self.learn(names),
            Statement::Mask(fields) => {
                self.masks.fields.extend(fields.iter().cloned());
                Ok(())
            }
        }
    }

    fn repeat(&mut self, names: &[String], items: &[Item], below: &[Line]) -> Result<(), String> {
        for item in self.expand(items)? {
            let before = self.variables.len();
            match (names, item) {
                ([name], item) => self.variables.push((name.clone(), item)),
                (names, Expr::List(parts)) if parts.len() == names.len() => {
                    for (name, part) in names.iter().zip(parts) {
                        let Item::Plain(part) = part else { return Err("a list of plain values".to_owned()) };
                        self.variables.push((name.clone(), part));
                    }
                }
                (names, item) => return Err(format!("{} names for {item:?}", names.len())),
            }
            self.run(below)?;
            self.variables.truncate(before);
        }
        Ok(())
    }

    /// The values that a loop goes through: ranges and spread lists one by one.
    fn expand(&self, items: &[Item]) -> Result<Vec<Expr>, String> {
        let mut out = Vec::new();
        for item in items {
            match item {
                Item::Plain(Expr::Word(word)) if word.contains("..") && !word.starts_with("..") => {
                    let word = self.text(word, 0)?;
                    let (low, high) = word.split_once("..").unwrap_or_default();
                    let number = |text: &str| text.parse::<i64>().map_err(|e| format!("{word}: {e}"));
                    match (number(low), number(high)) {
                        (Ok(low), Ok(high)) => out.extend((low..=high).map(|n| Expr::Word(n.to_string()))),
                        _ => out.push(Expr::Word(word)),
                    }
                }
                Item::Plain(value) => out.push(value.clone()),
                Item::Spread(Expr::Word(name)) => match self.lookup(name.trim_start_matches('$'))? {
                    Expr::List(items) => out.extend(self.expand(&items)?),
                    other => return Err(format!("{name} is no list but {other:?}")),
                },
                other => return Err(format!("a loop does not go through {other:?}")),
            }
        }
        Ok(out)
    }

    fn lookup(&self, name: &str) -> Result<Expr, String> {
        if let Some((_, value)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            return Ok(value.clone());
        }
        self.saved.get(name).map(|text| Expr::Quoted(text.clone())).ok_or_else(|| format!("there is no ${name}"))
    }

    fn evaluate(&self, expression: &Expr, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err("a variable stands for itself".to_owned());
        }
        Ok(match expression {
            Expr::Word(text) if text == "null" => Value::Null,
            Expr::Word(text) => match text.strip_prefix('$').filter(|name| name.chars().all(is_name)) {
                Some(name) => self.evaluate(&self.lookup(name)?, depth + 1)?,
                None => Value::Word(self.text(text, depth)?),
            },
            Expr::Quoted(text) => Value::Word(self.text(text, depth)?),
            Expr::List(items) => Value::List(self.parts(items, depth)?.0),
            Expr::Struct(items) => Value::Struct(self.parts(items, depth)?.1),
            Expr::Call(name, items) => {
                let (plain, named) = self.parts(items, depth)?;
                self.call(name, &plain, &named)?
            }
        })
    }

    /// The plain and the named parts; later names count over earlier ones.
    fn parts(&self, items: &[Item], depth: usize) -> Result<Parts, String> {
        let (mut plain, mut named) = (Vec::new(), Vec::<(String, Value)>::new());
        let mut set = |name: String, value: Value| match named.iter_mut().find(|(known, _)| *known == name) {
            Some(slot) => slot.1 = value,
            None => named.push((name, value)),
        };
        for item in items {
            match item {
                Item::Plain(value) => plain.push(self.evaluate(value, depth)?),
                Item::Named(name, value) => set(name.clone(), self.evaluate(value, depth)?),
                Item::Spread(value) => match self.evaluate(value, depth)? {
                    Value::List(elements) => plain.extend(elements),
                    Value::Struct(fields) => fields.into_iter().for_each(|(name, value)| set(name, value)),
                    other => return Err(format!("{} has no parts", other.line())),
                },
            }
        }
        Ok((plain, named))
    }

    fn call(&self, name: &str, plain: &[Value], named: &[(String, Value)]) -> Result<Value, String> {
        let fields = Value::Struct(named.to_vec());
        match (name, plain) {
            ("repeat", [Value::Word(text), Value::Word(count)]) => {
                return Ok(Value::Word(text.repeat(count.parse().map_err(|e| format!("repeat {count}: {e}"))?)));
            }
            ("data", [Value::Word(message), Value::Word(version)]) => {
                let version: i16 = version.parse().map_err(|e| format!("version {version}: {e}"))?;
                let mut bytes = version.to_be_bytes().to_vec();
                codec::encode(self.schema.message(message)?, version, &fields, &mut bytes)
                    .map_err(|e| format!("{message}: {e:?}"))?;
                return Ok(Value::Word(codec::hex(&bytes)));
            }
            _ => {}
        }
        let bytes = batches::call(name, &Arguments { plain, named })?;
        let plain = plain.iter().map(Value::line).chain(
            named.iter().map(|(name, value)| format!("{name}={}", self.masks.request_field(name, value).line())),
        );
        Ok(Value::Made(format!("{name}({})", plain.collect::<Vec<_>>().join(" ")), bytes))
    }

    /// A word with its variables replaced.
    fn text(&self, word: &str, depth: usize) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
            match self.evaluate(&self.lookup(&after[..end])?, depth + 1)? {
                Value::Word(text) => out.push_str(&text),
                other => out.push_str(&other.line()),
            }
            rest = &after[end..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn versions(&self, text: &str, message: &Message) -> Result<Vec<i16>, String> {
        let text = self.text(text, 0)?;
        let range = served(message);
        let number = |text: &str, other: i16| {
            if text.is_empty() { Ok(other) } else { text.parse().map_err(|e| format!("version {text}: {e}")) }
        };
        Ok(match (text.as_str(), text.split_once("..")) {
            ("*", _) => range.collect(),
            ("last", _) => vec![*range.end()],
            (_, Some((low, high))) => (number(low, *range.start())?..=number(high, *range.end())?).collect(),
            (one, None) => vec![number(one, 0)?],
        })
    }

    fn ask(&mut self, ask: &Ask) -> Result<(), String> {
        let connection = self.text(&ask.connection, 0)?;
        let ask = &Ask { api: self.text(&ask.api, 0)?, connection, ..ask.clone() };
        let request = self.schema.message(&format!("{}Request", ask.api))?;
        let fields = self.evaluate(&Expr::Struct(ask.fields.clone()), 0)?;
        let told = self.told(ask, &fields);
        for version in self.versions(&ask.versions, request)? {
            let mut frame = Vec::new();
            let shown = match &ask.shown {
                Some(shown) => self.evaluate(shown, 0)?.line().parse().map_err(|e| format!("shown: {e}"))?,
                None => version,
            };
            header(self.schema, request, version, shown, &mut frame)?;
            match codec::encode(request, version, &fields, &mut frame) {
                Ok(()) => {}
                // One of several versions may lack a field; the only one may not.
                Err(Unsaid::Version) if ask.versions.contains("..") || ask.versions == "*" => continue,
                Err(Unsaid::Version) => return Err(format!("{} has no place for this at version {version}", ask.api)),
                Err(Unsaid::Wrong(what)) => return Err(what),
            }
            if ask.unanswered || ask.later {
                self.connection(&ask.connection).send(&frame);
                if ask.later {
                    self.open.entry(ask.connection.clone()).or_default().push((ask.api.clone(), version, told.clone()));
                }
                continue;
            }
            let answer = self.exchange(ask, version, &frame)?;
            self.pairs.push(Pair { turn: self.turn, request: told.clone(), version: Some(version), answer });
        }
        Ok(())
    }

    /// How a request is shown.
    fn told(&self, ask: &Ask, fields: &Value) -> String {
        let connection = if ask.connection.is_empty() { String::new() } else { format!("@{} ", ask.connection) };
        let shown = ask
            .shown
            .as_ref()
            .and_then(|shown| self.evaluate(shown, 0).ok())
            .map_or(String::new(), |v| format!(" shown={}", v.line()));
        format!("{connection}{} {}{shown}", ask.api, self.masks.request(fields).fields_line()).trim_end().to_owned()
    }

    /// Sends and reads, again while `until` is not fulfilled; saves and masks.
    fn exchange(&mut self, ask: &Ask, version: i16, frame: &[u8]) -> Result<Value, String> {
        let message = self.schema.message(&format!("{}Response", ask.api))?;
        let began = Instant::now();
        let decoded = loop {
            let bytes = match self.connection(&ask.connection).exchange(frame) {
                Ok(bytes) if ask.shown.is_some() => return Ok(Value::word(codec::hex(&bytes))),
                Ok(bytes) => bytes,
                Err(why) => break Err(format!("<{why}>")),
            };
            let decoded = decode(message, &ask.api, version, &bytes);
            let Some((path, wanted)) = &ask.until else { break decoded };
            let wanted = self.evaluate(wanted, 0)?;
            if decoded.as_ref().is_ok_and(|value| value.at(path) == Some(&wanted)) || began.elapsed() > PATIENCE {
                break decoded;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        for (name, path) in &ask.saves {
            let name = self.text(name, 0)?;
            // A node that does not give it goes on without it; what follows will differ.
            match decoded.as_ref().ok().and_then(|value| value.at(path)) {
                Some(Value::Word(text)) => self.save(&name, text.clone()),
                _ => self.save(&name, "-1".to_owned()),
            }
        }
        match decoded {
            Ok(value) => self.masks.answer(self.schema, message, &value),
            Err(why) => Ok(Value::Word(why)),
        }
    }

    fn save(&mut self, name: &str, text: String) {
        self.masks.name(&text, name);
        self.saved.insert(name.to_owned(), text);
    }

    fn answer(&mut self, connection: &str) -> Result<(), String> {
        let open = self.open.get_mut(connection).filter(|open| !open.is_empty()).ok_or("no answer is owed")?;
        let (api, version, request) = open.remove(0);
        let answer = match self.connection(connection).receive() {
            Ok(bytes) => {
                let message = self.schema.message(&format!("{api}Response"))?;
                match decode(message, &api, version, &bytes) {
                    Ok(value) => self.masks.answer(self.schema, message, &value)?,
                    Err(why) => Value::word(why),
                }
            }
            Err(why) => Value::word(format!("<{why}>")),
        };
        self.pairs.push(Pair { turn: self.turn, request, version: Some(version), answer });
        Ok(())
    }

    fn raw(&mut self, connection: &str, bytes: &Expr) -> Result<(), String> {
        let value = self.evaluate(bytes, 0)?;
        let frame = codec::bytes_of(&value).ok_or("no bytes")?;
        let answer = match self.connection(connection).exchange(&frame) {
            Ok(bytes) => codec::hex(&bytes),
            Err(why) => format!("<{why}>"),
        };
        self.pairs.push(Pair {
            turn: self.turn,
            request: format!("raw {}", value.line()),
            version: None,
            answer: Value::word(answer),
        });
        Ok(())
    }

    /// Waits until each topic is there and every partition's leader answers; saves the topic's id.
    fn learn(&mut self, names: &[Item]) -> Result<(), String> {
        let tree = |text: &str| crate::value::parse(text);
        for name in self.expand(names)? {
            let name = self.evaluate(&name, 0)?.line();
            let asked = tree(&format!("{{topics=[{{name={name}}}] allowAutoTopicCreation=false}}"))?;
            let found = self.quietly("Metadata", 12, &asked, "topics[0].errorCode")?;
            let id = found.text_at("topics[0].topicId");
            if !id.is_empty() {
                self.save(&format!("id_{}", name.replace(|c| !is_name(c), "_")), id.clone());
            }
            let Some(Value::List(partitions)) = found.at("topics[0].partitions") else { continue };
            for index in 0..partitions.len() {
                let part = format!("{{partitionIndex={index} timestamp=-1}}");
                let asked = tree(&format!("{{replicaId=-1 topics=[{{name={name} partitions=[{part}]}}]}}"))?;
                self.quietly("ListOffsets", 7, &asked, "topics[0].partitions[0].errorCode")?;
                // Kafka knows the name of a partition some moments before its topic's id.
                let asked = tree(&format!("{{topics=[{{topicId={id} partitions=[{{partition={index}}}]}}]}}"))?;
                self.quietly("Fetch", 13, &asked, "responses[0].partitions[0].errorCode")?;
            }
        }
        Ok(())
    }

    /// Asks until the error code at a path is none; the pair does not count.
    fn quietly(&mut self, api: &str, version: i16, fields: &Value, path: &str) -> Result<Value, String> {
        let schema = self.schema;
        let request = schema.message(&format!("{api}Request"))?;
        let response = schema.message(&format!("{api}Response"))?;
        let mut frame = Vec::new();
        header(self.schema, request, version, version, &mut frame)?;
        codec::encode(request, version, fields, &mut frame).map_err(|e| format!("{api}: {e:?}"))?;
        let began = Instant::now();
        loop {
            let answer = self.connection("").exchange(&frame).map_err(|why| format!("<{why}>"));
            let answer = answer.and_then(|bytes| decode(response, api, version, &bytes));
            if answer.as_ref().is_ok_and(|value| value.at(path) == Some(&Value::word(0))) || began.elapsed() > PATIENCE
            {
                return Ok(answer.unwrap_or(Value::Null));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A connection by its name; those whose name begins with `controller` go to the controller's listener.
    fn connection(&mut self, name: &str) -> &mut Connection {
        let address = if name.starts_with("controller") { &self.controller } else { &self.address };
        self.connections.entry(name.to_owned()).or_insert_with(|| Connection::new(address))
    }
}

/// Writes a request's header: for `version`, though it names the version `shown`.
pub(crate) fn header(
    schema: &Schema,
    request: &Message,
    version: i16,
    shown: i16,
    frame: &mut Vec<u8>,
) -> Result<(), String> {
    let header = Value::Struct(vec![
        ("requestApiKey".to_owned(), Value::word(request.key.unwrap_or(-1))),
        ("requestApiVersion".to_owned(), Value::word(shown)),
        ("correlationId".to_owned(), Value::word(7)),
        ("clientId".to_owned(), Value::word("differ")),
    ]);
    let of = if is_flexible(request, version) { 2 } else { 1 };
    codec::encode(schema.message("RequestHeader")?, of, &header, frame).map_err(|e| format!("header: {e:?}"))
}

/// Reads an answer, all of it.
pub(crate) fn decode(message: &Message, api: &str, version: i16, bytes: &[u8]) -> Result<Value, String> {
    // The header: the correlation id, and from flexible versions on an empty section of tags.
    let header = if is_flexible(message, version) && api != "ApiVersions" { 5 } else { 4 };
    let body = bytes.get(header..).ok_or("<an answer without header>")?;
    let (value, used) = codec::decode(message, version, body).map_err(|e| format!("<undecodable: {e}>"))?;
    if used < body.len() { Err(format!("<{} bytes behind the answer>", body.len() - used)) } else { Ok(value) }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
