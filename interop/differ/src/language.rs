//! Reads scenarios. The language is told in `../README.md`.

use crate::value::{Value, is_plain};

/// An expression; what it stands for is found when the statement runs, since variables are looked up then.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    /// A word; `$name` inside stands for a variable.
    Word(String),
    /// The same in quotes: never `null`.
    Quoted(String),
    List(Vec<Item>),
    Struct(Vec<Item>),
    Call(String, Vec<Item>),
}

/// A part of a list, struct or call.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Plain(Expr),
    Named(String, Expr),
    /// `...$name`: all parts of that list or struct.
    Spread(Expr),
}

/// What a scenario does.
#[derive(Clone, Debug)]
pub(crate) enum Statement {
    /// `let name = expression`
    Let(String, Expr),
    /// `for a b in items`, and the statements below it.
    For(Vec<String>, Vec<Item>, Vec<Line>),
    /// A request at one or several versions.
    Request(Box<Ask>),
    /// `raw expression`: these bytes, as a frame.
    Raw(String, Expr),
    /// `answer`: reads the answer to a request that was sent `later`.
    Answer(String),
    /// `close`: closes the connection.
    Close(String),
    /// `learn names`: waits until the topics are there and saves their ids as `$id_NAME`.
    Learn(Vec<Item>),
    /// `mask fields`: the values of these fields differ from run to run.
    Mask(Vec<String>),
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The name of the connection; empty for the usual one.
    pub(crate) connection: String,
    pub(crate) api: String,
    pub(crate) versions: String,
    pub(crate) fields: Vec<Item>,
    /// Ask again until what stands at this path is this.
    pub(crate) until: Option<(String, Expr)>,
    /// Names for parts of the answer.
    pub(crate) saves: Vec<(String, String)>,
    /// The header tells this version.
    pub(crate) shown: Option<Expr>,
    /// There will be no answer.
    pub(crate) unanswered: bool,
    /// The answer is read by a statement of its own.
    pub(crate) later: bool,
}

/// A statement and the number of its line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) statement: Statement,
}

/// A scenario.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Properties of the node beside the usual ones.
    pub(crate) properties: Vec<String>,
    pub(crate) lines: Vec<Line>,
}

/// A line with what is indented below it.
struct Block {
    number: usize,
    text: String,
    below: Vec<Block>,
}

/// Reads a whole scenario.
pub(crate) fn scenario(text: &str) -> Result<Scenario, String> {
    let lines: Vec<(usize, usize, &str)> = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.len() - line.trim_start().len(), line.trim()))
        .filter(|(_, _, line)| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let mut properties = Vec::new();
    let mut rest = lines.as_slice();
    while let Some((_, _, line)) = rest.first()
        && let Some(property) = line.strip_prefix("node ")
    {
        properties.push(property.to_owned());
        rest = &rest[1..];
    }
    Ok(Scenario { properties, lines: statements(&blocks(rest))? })
}

fn blocks(lines: &[(usize, usize, &str)]) -> Vec<Block> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some((number, indent, text)) = lines.get(at) {
        let end = lines[at + 1..].iter().position(|(_, other, _)| other <= indent).map_or(lines.len(), |n| at + 1 + n);
        out.push(Block { number: *number, text: (*text).to_owned(), below: blocks(&lines[at + 1..end]) });
        at = end;
    }
    out
}

fn statements(blocks: &[Block]) -> Result<Vec<Line>, String> {
    let line = |block: &Block| {
        let statement = statement(block)
            .map_err(|e| if e.starts_with("line ") { e } else { format!("line {}: {e}", block.number) })?;
        Ok(Line { number: block.number, statement })
    };
    blocks.iter().map(line).collect()
}

fn statement(block: &Block) -> Result<Statement, String> {
    let (connection, text) = match block.text.strip_prefix('@') {
        Some(rest) => rest.split_once(' ').ok_or("nothing follows the name of the connection")?,
        None => ("", block.text.as_str()),
    };
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "let" => {
            let (name, value) = rest.split_once('=').ok_or("let has no `=`")?;
            let text = format!("{value} {}", continued(&block.below));
            Ok(Statement::Let(name.trim().to_owned(), whole(&text)?))
        }
        "for" => {
            let (names, items) = rest.split_once(" in ").ok_or("for has no `in`")?;
            let names = names.split_whitespace().map(str::to_owned).collect();
            Ok(Statement::For(names, Parser::new(items).items(None)?, statements(&block.below)?))
        }
        "raw" => Ok(Statement::Raw(connection.to_owned(), whole(&format!("{rest} {}", continued(&block.below)))?)),
        "answer" => Ok(Statement::Answer(connection.to_owned())),
        "close" => Ok(Statement::Close(connection.to_owned())),
        "learn" => Ok(Statement::Learn(Parser::new(rest).items(None)?)),
        "mask" => Ok(Statement::Mask(rest.split_whitespace().map(str::to_owned).collect())),
        _ => request(connection, word, rest, &block.below),
    }
}

fn request(connection: &str, api: &str, rest: &str, below: &[Block]) -> Result<Statement, String> {
    let (versions, fields) = rest.split_once(' ').unwrap_or((rest, ""));
    if versions.is_empty() {
        return Err(format!("{api} at which versions?"));
    }
    let mut ask = Ask {
        connection: connection.to_owned(),
        api: api.to_owned(),
        versions: versions.to_owned(),
        fields: Vec::new(),
        until: None,
        saves: Vec::new(),
        shown: None,
        unanswered: false,
        later: false,
    };
    let mut text = fields.to_owned();
    for block in below {
        let (word, rest) = block.text.split_once(' ').unwrap_or((&block.text, ""));
        let equation = || {
            let (left, right) = rest.split_once(" = ").ok_or_else(|| format!("{word} has no ` = `"))?;
            Ok::<_, String>((left.trim().to_owned(), right.trim().to_owned()))
        };
        match word {
            "until" => {
                let (path, value) = equation()?;
                ask.until = Some((path, whole(&value)?));
            }
            "save" => ask.saves.push(equation()?),
            "shown" => ask.shown = Some(whole(rest)?),
            "unanswered" => ask.unanswered = true,
            "later" => ask.later = true,
            _ => {
                text.push(' ');
                text.push_str(&continued(std::slice::from_ref(block)));
            }
        }
    }
    ask.fields = Parser::new(&text).items(None)?;
    Ok(Statement::Request(Box::new(ask)))
}

/// The text of lines that only go on.
fn continued(below: &[Block]) -> String {
    below.iter().map(|block| format!("{} {}", block.text, continued(&block.below))).collect::<Vec<_>>().join(" ")
}

fn whole(text: &str) -> Result<Expr, String> {
    let mut parser = Parser::new(text);
    let value = parser.expression()?;
    match parser.peek() {
        None => Ok(value),
        Some(c) => Err(format!("`{c}` after the end of `{}`", text.trim())),
    }
}

/// Reads a value as it is printed.
pub(crate) fn value(text: &str) -> Result<Value, String> {
    constant(&whole(text)?)
}

/// An expression without variables and calls.
fn constant(expression: &Expr) -> Result<Value, String> {
    Ok(match expression {
        Expr::Word(text) if text == "null" => Value::Null,
        Expr::Word(text) | Expr::Quoted(text) => Value::Word(text.clone()),
        Expr::List(items) => Value::List(
            items
                .iter()
                .map(|item| match item {
                    Item::Plain(element) => constant(element),
                    _ => Err("a list holds plain values".to_owned()),
                })
                .collect::<Result<_, _>>()?,
        ),
        Expr::Struct(items) => Value::Struct(
            items
                .iter()
                .map(|item| match item {
                    Item::Named(name, value) => Ok((name.clone(), constant(value)?)),
                    _ => Err("a struct holds named values".to_owned()),
                })
                .collect::<Result<_, _>>()?,
        ),
        Expr::Call(name, _) => return Err(format!("{name}() is not a value")),
    })
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn new(rest: &'a str) -> Self {
        Self { rest }
    }

    /// The next character that is not blank.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\t', ',']);
        self.rest.chars().next()
    }

    fn eat(&mut self, text: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(text) else { return false };
        self.rest = rest;
        true
    }

    /// Parts up to a closing character, or to the end.
    fn items(&mut self, close: Option<char>) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        loop {
            match (self.peek(), close) {
                (None, None) => return Ok(items),
                (None, Some(close)) => return Err(format!("`{close}` is missing")),
                (Some(c), Some(close)) if c == close => {
                    self.rest = &self.rest[c.len_utf8()..];
                    return Ok(items);
                }
                _ => {}
            }
            if self.eat("...") {
                items.push(Item::Spread(self.expression()?));
                continue;
            }
            let first = self.expression()?;
            if !self.eat("=") {
                items.push(Item::Plain(first));
                continue;
            }
            let Expr::Word(name) = first else { return Err("a field's name is a word".to_owned()) };
            items.push(Item::Named(name, self.expression()?));
        }
    }

    fn expression(&mut self) -> Result<Expr, String> {
        match self.peek() {
            None => Err("a value is missing".to_owned()),
            Some('[') => {
                self.rest = &self.rest[1..];
                Ok(Expr::List(self.items(Some(']'))?))
            }
            Some('{') => {
                self.rest = &self.rest[1..];
                Ok(Expr::Struct(self.items(Some('}'))?))
            }
            Some('"') => self.quoted(),
            Some(c) if is_plain(c) || c == '$' => {
                let end = self.rest.find(|c| !is_plain(c) && c != '$').unwrap_or(self.rest.len());
                let word = self.rest[..end].to_owned();
                self.rest = &self.rest[end..];
                if self.eat("(") { Ok(Expr::Call(word, self.items(Some(')'))?)) } else { Ok(Expr::Word(word)) }
            }
            Some(c) => Err(format!("`{c}` begins no value")),
        }
    }

    fn quoted(&mut self) -> Result<Expr, String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(Expr::Quoted(text));
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('u') => {
                        let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                        let code = u32::from_str_radix(&digits, 16).map_err(|e| format!("\\u{digits}: {e}"))?;
                        text.push(char::from_u32(code).ok_or("\\u names no character")?);
                    }
                    Some(c) => text.push(c),
                    None => break,
                },
                c => text.push(c),
            }
        }
        Err("a closing quote is missing".to_owned())
    }
}
