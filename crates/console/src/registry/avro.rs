//! Avro's binary encoding (1.12), as JSON: what a record holds, and not how it could be written again. A branch of a union stands
//! alone, dates, times and decimals are texts that people read, and bytes are in hex.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// So many types has a schema at most, with those that it refers to.
const TYPES_MAX: usize = 20_000;
/// Values lie in each other so deep at most: a schema may contain itself.
const DEPTH_MAX: usize = 64;
/// What is decoded is no longer than this: an array may have millions of entries without a byte.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// A schema.
#[derive(Debug)]
pub(crate) struct Schema {
    types: Vec<Type>,
    root: usize,
}

#[derive(Clone, Debug)]
enum Type {
    /// A name that was used before it was defined; no schema that is done has one.
    Awaited,
    Null,
    Boolean,
    Int(Logical),
    Long(Logical),
    Float,
    Double,
    Bytes(Logical),
    String,
    Record(Vec<(String, usize)>),
    Enum(Vec<String>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Fixed(usize, Logical),
}

/// What a type means beyond its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Logical {
    None,
    Decimal {
        scale: usize,
    },
    Date,
    /// A time of day, so many in a second.
    Time {
        per_second: i64,
    },
    /// A time since 1970, so many in a second.
    Timestamp {
        per_second: i64,
    },
}

impl Schema {
    /// Reads a schema; `others` are those that it refers to, each before those that need it.
    pub(super) fn parse(text: &str, others: &[&str]) -> Result<Self, String> {
        let mut parser = Parser { types: Vec::new(), names: BTreeMap::new() };
        for other in others {
            parser.document(other)?;
        }
        let root = parser.document(text)?;
        if parser.types.iter().any(|found| matches!(found, Type::Awaited)) {
            return Err("the schema uses a name that it does not define".to_owned());
        }
        Ok(Self { types: parser.types, root })
    }

    /// What bytes hold, as JSON on one line.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<String, String> {
        let mut decoder = Decoder { schema: self, bytes, out: String::new() };
        decoder.value(self.root, 0)?;
        if !decoder.bytes.is_empty() {
            return Err(format!("{} bytes are left over", decoder.bytes.len()));
        }
        Ok(decoder.out)
    }
}

struct Parser {
    types: Vec<Type>,
    /// The named types by their full names.
    names: BTreeMap<String, usize>,
}

impl Parser {
    fn document(&mut self, text: &str) -> Result<usize, String> {
        // Its parser bounds how deep a document is, and so how deep the calls below go.
        let document = serde_json::from_str::<Value>(text).map_err(|e| format!("the schema is no JSON: {e}"))?;
        self.read(&document, "")
    }

    fn add(&mut self, found: Type) -> Result<usize, String> {
        if self.types.len() == TYPES_MAX {
            return Err(format!("the schema has more than {TYPES_MAX} types"));
        }
        self.types.push(found);
        Ok(self.types.len() - 1)
    }

    fn read(&mut self, schema: &Value, namespace: &str) -> Result<usize, String> {
        match schema {
            Value::String(name) => self.named(name, namespace, Logical::None),
            Value::Array(branches) => {
                let branches: Vec<usize> =
                    branches.iter().map(|branch| self.read(branch, namespace)).collect::<Result<_, _>>()?;
                self.add(Type::Union(branches))
            }
            Value::Object(_) => self.complex(schema, namespace),
            _ => Err("a schema is a name, a list or an object".to_owned()),
        }
    }

    /// A primitive type, or a named one.
    fn named(&mut self, name: &str, namespace: &str, logical: Logical) -> Result<usize, String> {
        let primitive = match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" => Type::Int(logical),
            "long" => Type::Long(logical),
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes(logical),
            "string" => Type::String,
            _ => {
                let full = full_name(name, namespace);
                let found = self.names.get(&full).or_else(|| self.names.get(name)).copied();
                return found.map_or_else(|| self.define(full), Ok);
            }
        };
        self.add(primitive)
    }

    /// A place for a named type, whose definition may come later.
    fn define(&mut self, full: String) -> Result<usize, String> {
        if let Some(found) = self.names.get(&full) {
            return Ok(*found);
        }
        let at = self.add(Type::Awaited)?;
        self.names.insert(full, at);
        Ok(at)
    }

    fn complex(&mut self, schema: &Value, namespace: &str) -> Result<usize, String> {
        let kind = schema.get("type").ok_or("a schema lacks its type")?;
        let Some(kind) = kind.as_str() else { return self.read(kind, namespace) };
        let part = |name: &str| schema.get(name).ok_or_else(|| format!("a schema of the type {kind} lacks {name}"));
        match kind {
            "array" => {
                let items = self.read(part("items")?, namespace)?;
                self.add(Type::Array(items))
            }
            "map" => {
                let values = self.read(part("values")?, namespace)?;
                self.add(Type::Map(values))
            }
            "record" | "error" | "enum" | "fixed" => {
                let name = part("name")?.as_str().ok_or("a name is a text")?;
                let own = schema.get("namespace").and_then(Value::as_str);
                let full = full_name(name, own.unwrap_or(namespace));
                let inner = full.rsplit_once('.').map_or("", |(inner, _)| inner).to_owned();
                let at = self.define(full)?;
                self.types[at] = match kind {
                    "enum" => Type::Enum(symbols(part("symbols")?)?),
                    "fixed" => {
                        let size = part("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                        Type::Fixed(size.ok_or("a size is a number")?, logical(schema))
                    }
                    _ => Type::Record(self.fields(part("fields")?, &inner)?),
                };
                Ok(at)
            }
            name => self.named(name, namespace, logical(schema)),
        }
    }

    fn fields(&mut self, fields: &Value, namespace: &str) -> Result<Vec<(String, usize)>, String> {
        let fields = fields.as_array().ok_or("the fields of a record are a list")?;
        let field = |field: &Value| {
            let name = field.get("name").and_then(Value::as_str).ok_or("a field lacks its name")?;
            let kind = field.get("type").ok_or("a field lacks its type")?;
            Ok((name.to_owned(), self.read(kind, namespace)?))
        };
        fields.iter().map(field).collect()
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if namespace.is_empty() || name.contains('.') {
        return name.to_owned();
    }
    format!("{namespace}.{name}")
}

fn symbols(list: &Value) -> Result<Vec<String>, String> {
    let list = list.as_array().ok_or("the symbols of an enum are a list")?;
    list.iter().map(|symbol| Ok(symbol.as_str().ok_or("a symbol is a text")?.to_owned())).collect()
}

fn logical(schema: &Value) -> Logical {
    match schema.get("logicalType").and_then(Value::as_str).unwrap_or_default() {
        "decimal" => {
            let scale = schema.get("scale").and_then(Value::as_u64).unwrap_or(0);
            // A scale beyond all digits is no decimal that somebody reads: its bytes are shown.
            usize::try_from(scale)
                .ok()
                .filter(|scale| *scale <= 1000)
                .map_or(Logical::None, |scale| Logical::Decimal { scale })
        }
        "date" => Logical::Date,
        "time-millis" => Logical::Time { per_second: 1000 },
        "time-micros" => Logical::Time { per_second: 1_000_000 },
        "timestamp-millis" | "local-timestamp-millis" => Logical::Timestamp { per_second: 1000 },
        "timestamp-micros" | "local-timestamp-micros" => Logical::Timestamp { per_second: 1_000_000 },
        "timestamp-nanos" | "local-timestamp-nanos" => Logical::Timestamp { per_second: 1_000_000_000 },
        _ => Logical::None,
    }
}

struct Decoder<'a> {
    schema: &'a Schema,
    bytes: &'a [u8],
    out: String,
}

impl<'a> Decoder<'a> {
    fn value(&mut self, kind: usize, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("its values lie in each other more than {DEPTH_MAX} deep"));
        }
        if self.out.len() > TEXT_BYTES_MAX {
            return Err(format!("it would be longer than {TEXT_BYTES_MAX} bytes of text"));
        }
        match &self.schema.types[kind] {
            Type::Awaited => return Err("the schema is not whole".to_owned()),
            Type::Null => self.out.push_str("null"),
            Type::Boolean => {
                let text = match self.take(1)? {
                    [0] => "false",
                    [1] => "true",
                    _ => return Err("a boolean is neither 0 nor 1".to_owned()),
                };
                self.out.push_str(text);
            }
            Type::Int(logical) => {
                let number = i32::try_from(self.long()?).map_err(|_| "an int is out of range".to_owned())?;
                self.number(i64::from(number), *logical);
            }
            Type::Long(logical) => {
                let number = self.long()?;
                self.number(number, *logical);
            }
            Type::Float => {
                let bytes: [u8; 4] = self.array()?;
                let number = f32::from_le_bytes(bytes);
                self.float(number.is_finite(), &number.to_string());
            }
            Type::Double => {
                let bytes: [u8; 8] = self.array()?;
                let number = f64::from_le_bytes(bytes);
                self.float(number.is_finite(), &number.to_string());
            }
            Type::Bytes(logical) => {
                let bytes = self.counted()?;
                self.bytes_as(bytes, *logical);
            }
            Type::Fixed(size, logical) => {
                let bytes = self.take(*size)?;
                self.bytes_as(bytes, *logical);
            }
            Type::String => {
                let text = self.text()?;
                self.quoted(text);
            }
            Type::Enum(symbols) => {
                let at = usize::try_from(self.long()?).ok();
                let symbol = at.and_then(|at| symbols.get(at)).ok_or("an enum has no such symbol")?;
                self.quoted(symbol);
            }
            Type::Union(branches) => {
                let at = usize::try_from(self.long()?).ok();
                let branch = *at.and_then(|at| branches.get(at)).ok_or("a union has no such branch")?;
                self.value(branch, depth + 1)?;
            }
            Type::Record(fields) => self.record(fields, depth)?,
            Type::Array(items) => self.blocks(*items, ['[', ']'], depth)?,
            Type::Map(values) => self.blocks(*values, ['{', '}'], depth)?,
        }
        Ok(())
    }

    fn record(&mut self, fields: &[(String, usize)], depth: usize) -> Result<(), String> {
        for (at, (name, kind)) in fields.iter().enumerate() {
            self.out.push_str(if at == 0 { "{" } else { "," });
            self.quoted(name);
            self.out.push(':');
            self.value(*kind, depth + 1)?;
        }
        self.out.push_str(if fields.is_empty() { "{}" } else { "}" });
        Ok(())
    }

    /// The entries of an array or, each behind its key, of a map.
    fn blocks(&mut self, kind: usize, [open, close]: [char; 2], depth: usize) -> Result<(), String> {
        self.out.push(open);
        let mut is_first = true;
        loop {
            let mut count = self.long()?;
            if count < 0 {
                // The length of the block in bytes follows, for those who pass over it.
                self.long()?;
                count = count.checked_neg().ok_or("a block has too many entries")?;
            }
            if count == 0 {
                self.out.push(close);
                return Ok(());
            }
            for _ in 0..count {
                if !std::mem::replace(&mut is_first, false) {
                    self.out.push(',');
                }
                if open == '{' {
                    let key = self.text()?;
                    self.quoted(key);
                    self.out.push(':');
                }
                self.value(kind, depth + 1)?;
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or("it ends too early")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "it ends too early".to_owned())
    }

    /// A number in zigzag, seven bits a byte.
    fn long(&mut self) -> Result<i64, String> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()));
            }
        }
        Err("a number has more than ten bytes".to_owned())
    }

    fn counted(&mut self) -> Result<&'a [u8], String> {
        let count = usize::try_from(self.long()?).map_err(|_| "a length is negative".to_owned())?;
        self.take(count)
    }

    fn text(&mut self) -> Result<&'a str, String> {
        std::str::from_utf8(self.counted()?).map_err(|_| "a string is no UTF-8".to_owned())
    }

    fn quoted(&mut self, text: &str) {
        self.out.push_str(&Value::from(text).to_string());
    }

    fn float(&mut self, is_finite: bool, text: &str) {
        // JSON has no word for the others.
        let quote = if is_finite { "" } else { "\"" };
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{quote}{text}{quote}");
    }

    fn number(&mut self, number: i64, logical: Logical) {
        let text = match logical {
            Logical::Date => date(number),
            Logical::Time { per_second } => Some(time_of_day(number, per_second)),
            Logical::Timestamp { per_second } => timestamp(number, per_second),
            Logical::None | Logical::Decimal { .. } => None,
        };
        match text {
            Some(text) => self.quoted(&text),
            None => self.out.push_str(&number.to_string()),
        }
    }

    fn bytes_as(&mut self, bytes: &[u8], logical: Logical) {
        let decimal = match logical {
            Logical::Decimal { scale } => decimal(bytes, scale),
            _ => None,
        };
        match decimal {
            Some(text) => self.quoted(&text),
            None => {
                self.out.push('"');
                for byte in bytes {
                    let _ = write!(self.out, "{byte:02x}");
                }
                self.out.push('"');
            }
        }
    }
}

/// A day, so many after 1970-01-01; `None` of one outside of the calendar.
fn date(days: i64) -> Option<String> {
    let time = crate::text::time(days.checked_mul(86_400_000)?);
    time.split_once('T').map(|(date, _)| date.to_owned())
}

/// A time, so many parts of a second after 1970 began; `None` of one outside of the calendar.
fn timestamp(number: i64, per_second: i64) -> Option<String> {
    let per_ms = per_second / 1000;
    let (time, rest) = (crate::text::time(number.div_euclid(per_ms)), number.rem_euclid(per_ms));
    let before = time.strip_suffix('Z')?;
    match per_ms.ilog10() as usize {
        0 => Some(time),
        digits => Some(format!("{before}{rest:0digits$}Z")),
    }
}

fn time_of_day(number: i64, per_second: i64) -> String {
    let (seconds, rest) = (number.div_euclid(per_second), number.rem_euclid(per_second));
    let digits = per_second.ilog10() as usize;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{rest:0digits$}", seconds % 60)
}

/// A whole number in two's complement, with so many of its digits behind the point; `None` of one that is longer than 128 bits.
fn decimal(bytes: &[u8], scale: usize) -> Option<String> {
    let fill = if bytes.first()? & 128 == 0 { 0 } else { 255 };
    let mut whole = [fill; 16];
    let from = whole.len().checked_sub(bytes.len())?;
    whole[from..].copy_from_slice(bytes);
    let number = i128::from_be_bytes(whole);
    let digits = format!("{:0width$}", number.unsigned_abs(), width = scale + 1);
    let (before, behind) = digits.split_at(digits.len() - scale);
    let sign = if number < 0 { "-" } else { "" };
    Some(if scale == 0 { format!("{sign}{before}") } else { format!("{sign}{before}.{behind}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(schema: &str, bytes: &[u8]) -> Result<String, String> {
        Schema::parse(schema, &[])?.decode(bytes)
    }

    #[test]
    fn records_are_read_as_avro_writes_them() {
        let schema = r#"{"type":"record","name":"a.R","fields":[
            {"name":"b","type":"boolean"},{"name":"i","type":"int"},{"name":"l","type":"long"},{"name":"f","type":"float"},
            {"name":"d","type":"double"},{"name":"s","type":"string"},{"name":"y","type":"bytes"},
            {"name":"u","type":["null","string"]},{"name":"n","type":["null","R"]},
            {"name":"e","type":{"type":"enum","name":"E","symbols":["X","Y"]}},{"name":"x","type":{"type":"fixed","name":"F","size":2}},
            {"name":"a","type":{"type":"array","items":"E"}},{"name":"m","type":{"type":"map","values":"long"}}]}"#;
        let mut bytes = vec![1, 3, 128, 1];
        bytes.extend(1.5_f32.to_le_bytes());
        bytes.extend(f64::NAN.to_le_bytes());
        bytes.extend([4, b'"', b'x', 2, 255, 2, 2, b'u', 0, 2, 1, 2]);
        // Two entries with their length, and none more; one of a map.
        bytes.extend([3, 4, 0, 2, 0, 2, 2, b'k', 1, 0]);
        let text = r#"{"b":true,"i":-2,"l":64,"f":1.5,"d":"NaN","s":"\"x","y":"ff","u":"u","n":null,"e":"Y","x":"0102","a":["X","Y"],"m":{"k":-1}}"#;
        assert_eq!(decoded(schema, &bytes).as_deref(), Ok(text));
    }

    #[test]
    fn dates_times_and_decimals_are_readable() {
        let of = |logical: &str, kind: &str, bytes: &[u8]| {
            decoded(&format!(r#"{{"type":"{kind}","logicalType":"{logical}","scale":2,"precision":9}}"#), bytes)
        };
        let zigzag = |number: i64| {
            let (mut rest, mut bytes) = ((number << 1 ^ number >> 63).cast_unsigned(), Vec::new());
            while rest > 127 {
                bytes.push((rest as u8 & 127) | 128);
                rest >>= 7;
            }
            bytes.push(rest as u8);
            bytes
        };
        assert_eq!(of("date", "int", &zigzag(20_000)).as_deref(), Ok("\"2024-10-04\""));
        assert_eq!(of("time-millis", "int", &zigzag(3_723_004)).as_deref(), Ok("\"01:02:03.004\""));
        assert_eq!(of("timestamp-millis", "long", &zigzag(1)).as_deref(), Ok("\"1970-01-01T00:00:00.001Z\""));
        assert_eq!(
            of("timestamp-micros", "long", &zigzag(1_000_002)).as_deref(),
            Ok("\"1970-01-01T00:00:01.000002Z\"")
        );
        assert_eq!(of("decimal", "bytes", &[4, 4, 210]).as_deref(), Ok("\"12.34\""));
        assert_eq!(of("decimal", "bytes", &[2, 255]).as_deref(), Ok("\"-0.01\""));
        assert_eq!(of("decimal", "bytes", &[0]).as_deref(), Ok("\"\""));
    }

    #[test]
    fn a_schema_uses_what_another_defines() {
        let other = r#"{"type":"record","name":"Inner","namespace":"shop","fields":[{"name":"n","type":"int"}]}"#;
        let outer = r#"{"type":"record","name":"Outer","namespace":"shop","fields":[{"name":"i","type":"Inner"}]}"#;
        let schema = Schema::parse(outer, &[other]).expect("a schema");
        assert_eq!(schema.decode(&[2]).as_deref(), Ok(r#"{"i":{"n":1}}"#));
        assert!(Schema::parse(outer, &[]).is_err());
    }

    #[test]
    fn bytes_that_lie_are_refused_and_bounded() {
        let itself = r#"{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}"#;
        assert!(decoded(itself, &[]).is_err(), "values in each other without end");
        let nulls = r#"{"type":"array","items":"null"}"#;
        let endless = [254, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert!(decoded(nulls, &endless).is_err(), "entries without bytes");
        assert!(decoded(r#""bytes""#, &endless).is_err(), "a length beyond the bytes");
        assert!(decoded(r#""bytes""#, &[1]).is_err(), "a negative length");
        assert!(decoded(r#""long""#, &[255; 11]).is_err() && decoded(r#""long""#, &[]).is_err());
        assert!(decoded(r#""int""#, &[2, 2]).is_err(), "bytes that are left over");
        assert!(decoded(r#"["null"]"#, &[2]).is_err() && decoded(r#"["null"]"#, &[1]).is_err());
        assert!(decoded(nulls, &[1, 1, 0]).is_ok() && decoded(r#""string""#, &[2, 255]).is_err());
        for wrong in
            ["", "{}", "3", r#"{"type":"array"}"#, r#"{"type":"record","name":"R","fields":3}"#, r#""Unknown""#]
        {
            assert!(Schema::parse(wrong, &[]).is_err(), "{wrong}");
        }
        assert!(Schema::parse(&"[".repeat(100_000), &[]).is_err());
    }

    #[test]
    fn no_bytes_end_the_process() {
        let schema = r#"{"type":"record","name":"R","fields":[{"name":"u","type":["null","R",{"type":"map","values":"R"},
            {"type":"array","items":{"type":"bytes","logicalType":"decimal","scale":3}},{"type":"long","logicalType":"timestamp-micros"},
            {"type":"int","logicalType":"time-millis"},{"type":"int","logicalType":"date"},"string","double"]}]}"#;
        let schema = Schema::parse(schema, &[]).expect("a schema");
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..40)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let byte = (state >> 56) as u8;
                    if byte & 3 == 0 { byte } else { byte & 31 }
                })
                .collect();
            let _ = schema.decode(&bytes);
        }
    }
}
