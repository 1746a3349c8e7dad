//! What a schema file says, as values.

/// A range of versions, both ends included. Open ends are `i16::MAX`; an empty range has `low > high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub low: i16,
    pub high: i16,
}

impl Versions {
    pub const NONE: Self = Self { low: 0, high: -1 };

    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<i16>().map_err(|e| format!("`{text}`: {e}"));
        if text == "none" {
            return Ok(Self::NONE);
        }
        if let Some(low) = text.strip_suffix('+') {
            return Ok(Self { low: number(low)?, high: i16::MAX });
        }
        match text.split_once('-') {
            Some((low, high)) => Ok(Self { low: number(low)?, high: number(high)? }),
            None => Ok(Self { low: number(text)?, high: number(text)? }),
        }
    }

    pub fn is_empty(self) -> bool {
        self.low > self.high
    }

    pub fn and(self, other: Self) -> Self {
        let both = Self { low: self.low.max(other.low), high: self.high.min(other.high) };
        if both.is_empty() { Self::NONE } else { both }
    }

    pub fn contains(self, other: Self) -> bool {
        other.is_empty() || (self.low <= other.low && other.high <= self.high)
    }

    /// Without the versions in `upper`, which is empty or reaches to the end of this range.
    pub fn below(self, upper: Self) -> Self {
        if upper.is_empty() {
            return self;
        }
        let rest = Self { low: self.low, high: self.high.min(upper.low - 1) };
        if rest.is_empty() { Self::NONE } else { rest }
    }

    /// In words, for the generated documentation.
    pub fn words(self) -> String {
        match self {
            Self { low, high: i16::MAX } => format!("{low} and later"),
            Self { low, high } if low == high => low.to_string(),
            Self { low, high } => format!("{low} to {high}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
    Header,
    Metadata,
    Data,
    CoordinatorKey,
    CoordinatorValue,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub kind: Kind,
    pub key: Option<i16>,
    pub versions: Versions,
    pub flexible: Versions,
    pub listeners: Vec<String>,
    pub unstable: bool,
    /// The message itself first, then every struct inside it. Names are unique within a message.
    pub structs: Vec<Struct>,
}

impl Message {
    pub fn name(&self) -> &str {
        &self.structs[0].name
    }
}

#[derive(Clone, Debug)]
pub struct Struct {
    pub name: String,
    /// The versions of the message in which this struct appears.
    pub versions: Versions,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int8,
    Int16,
    Uint16,
    Uint32,
    Int32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    /// Records that a request brings.
    Records,
    /// Records of an answer, which need not be in memory.
    AnswerRecords,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    pub fn parse(text: &str) -> Self {
        if let Some(element) = text.strip_prefix("[]") {
            return Self::Array(Box::new(Self::parse(element)));
        }
        match text {
            "bool" => Self::Bool,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "uint16" => Self::Uint16,
            "uint32" => Self::Uint32,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "uuid" => Self::Uuid,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            name => Self::Struct(name.to_owned()),
        }
    }

    /// How many bytes every value takes, for types of fixed size.
    pub fn size(&self) -> Option<usize> {
        match self {
            Self::Bool | Self::Int8 => Some(1),
            Self::Int16 | Self::Uint16 => Some(2),
            Self::Uint32 | Self::Int32 => Some(4),
            Self::Int64 | Self::Float64 => Some(8),
            Self::Uuid => Some(16),
            _ => None,
        }
    }

    /// The name of a scalar in Rust, which is also the name of the methods that read and write it.
    pub fn scalar(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int8 => "i8",
            Self::Int16 => "i16",
            Self::Uint16 => "u16",
            Self::Uint32 => "u32",
            Self::Int32 => "i32",
            Self::Int64 => "i64",
            Self::Float64 => "f64",
            Self::Uuid => "uuid",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Records | Self::AnswerRecords => "records",
            Self::Struct(_) | Self::Array(_) => "",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub versions: Versions,
    pub nullable: Versions,
    pub tagged: Versions,
    pub tag: u32,
    pub flexible: Option<Versions>,
    pub default: Option<String>,
    pub ignorable: bool,
    pub key: bool,
}

impl Field {
    /// The versions of `within` that have this field.
    pub fn present(&self, within: Versions) -> Versions {
        self.versions.and(within)
    }

    /// The versions of `within` in which this field is a tagged one.
    pub fn as_tagged(&self, within: Versions) -> Versions {
        self.present(within).and(self.tagged)
    }

    /// The versions of `within` in which this field has its place among the others.
    pub fn in_place(&self, within: Versions) -> Versions {
        self.present(within).below(self.as_tagged(within))
    }

    /// Whether the Rust type is an `Option`.
    pub fn optional(&self, within: Versions) -> bool {
        matches!(self.ty, Type::Records | Type::AnswerRecords)
            || !self.nullable.and(self.present(within)).is_empty()
            || self.null_default()
    }

    pub fn null_default(&self) -> bool {
        self.default.as_deref() == Some("null")
    }

    /// The name in Rust: snake case, with an underscore behind what is a keyword.
    pub fn rust_name(&self) -> String {
        let name = snake(&self.name);
        match name.as_str() {
            "type" | "match" | "self" | "ref" | "move" | "use" | "in" | "where" => name + "_",
            _ => name,
        }
    }
}

/// `LeaderEpoch` to `leader_epoch`; a run of capitals is one word.
pub fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let lower_after = chars.get(i + 1).is_some_and(|n| n.is_lowercase());
        if c.is_uppercase() && i > 0 && (!chars[i - 1].is_uppercase() || lower_after) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
