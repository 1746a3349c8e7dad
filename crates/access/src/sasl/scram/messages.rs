//! The four messages of an exchange (RFC 5802, section 7), read as strictly as Kafka reads them.

use thalweg_base::base64::{self, Alphabet};

/// `n,[a=AUTHZID],[m=..,]n=USER,r=NONCE[,EXTENSIONS]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sasl) struct ClientFirst {
    pub(in crate::sasl) authorization_id: Option<String>,
    pub(in crate::sasl) user: String,
    pub(in crate::sasl) nonce: String,
    /// The part that both sides sign.
    pub(in crate::sasl) bare: String,
    extensions: Vec<(String, String)>,
}

impl ClientFirst {
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let text = ascii(message)?.strip_prefix("n,")?;
        let (authorization_id, text) = text.split_once(',')?;
        // As in Kafka's comparison, the authorization id keeps its escapes.
        let authorization_id = match authorization_id.strip_prefix("a=") {
            Some(id) => Some(sasl_name(id).map(|_| id.to_owned())?),
            None if authorization_id.is_empty() => None,
            None => return None,
        };
        let mut parts = text.split(',');
        let mut part = parts.next()?;
        if let Some(reserved) = part.strip_prefix("m=") {
            (!reserved.is_empty()).then_some(())?;
            part = parts.next()?;
        }
        let raw_user = part.strip_prefix("n=")?;
        let nonce = printable(parts.next()?.strip_prefix("r=")?)?;
        let extensions = extensions(parts)?;
        let mut bare = format!("n={raw_user},r={nonce}");
        extensions.iter().for_each(|(key, value)| bare.push_str(&format!(",{key}={value}")));
        Some(Self { authorization_id, user: sasl_name(raw_user)?, nonce: nonce.to_owned(), bare, extensions })
    }

    /// Whether the user name is the id of a delegation token.
    pub(super) fn by_token(&self) -> bool {
        self.extensions.iter().any(|(key, value)| key == "tokenauth" && value.eq_ignore_ascii_case("true"))
    }
}

/// `r=NONCE,s=SALT,i=ITERATIONS[,EXTENSIONS]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sasl) struct ServerFirst {
    pub(in crate::sasl) nonce: String,
    pub(in crate::sasl) salt: Vec<u8>,
    pub(in crate::sasl) iterations: u32,
}

impl ServerFirst {
    pub(in crate::sasl) fn parse(message: &[u8]) -> Option<Self> {
        let mut parts = ascii(message)?.split(',').peekable();
        parts.next_if(|part| part.len() > 2 && part.starts_with("m="));
        let nonce = printable(parts.next()?.strip_prefix("r=")?)?.to_owned();
        let salt = strict_base64(parts.next()?.strip_prefix("s=")?)?;
        let iterations = parts.next()?.strip_prefix("i=")?;
        let digits = iterations.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = iterations.parse().ok().filter(|count| digits && *count > 0)?;
        extensions(parts)?;
        Some(Self { nonce, salt, iterations })
    }
}

/// `c=CHANNEL,r=NONCE[,EXTENSIONS],p=PROOF`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sasl) struct ClientFinal {
    pub(in crate::sasl) nonce: String,
    pub(in crate::sasl) proof: Vec<u8>,
    /// The part that both sides sign. As in Kafka, it holds no extensions.
    pub(in crate::sasl) without_proof: String,
}

impl ClientFinal {
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let (text, proof) = ascii(message)?.rsplit_once(",p=")?;
        let mut parts = text.split(',');
        let channel = parts.next()?.strip_prefix("c=")?;
        strict_base64(channel)?;
        let nonce = printable(parts.next()?.strip_prefix("r=")?)?;
        extensions(parts)?;
        Some(Self {
            nonce: nonce.to_owned(),
            proof: strict_base64(proof)?,
            without_proof: format!("c={channel},r={nonce}"),
        })
    }
}

/// `e=ERROR` or `v=SIGNATURE[,EXTENSIONS]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sasl) enum ServerFinal {
    Error(String),
    Signature(Vec<u8>),
}

impl ServerFinal {
    pub(in crate::sasl) fn parse(message: &[u8]) -> Option<Self> {
        let text = ascii(message)?;
        if let Some(error) = text.strip_prefix("e=") {
            let valid = !error.is_empty() && !error.contains(['=', ',']);
            return valid.then(|| Self::Error(error.to_owned()));
        }
        let mut parts = text.split(',');
        let signature = strict_base64(parts.next()?.strip_prefix("v=")?)?;
        extensions(parts)?;
        Some(Self::Signature(signature))
    }
}

/// A user name as a message carries it.
pub(in crate::sasl) fn escape(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

/// Text of ASCII without NUL, which is all that a message may hold.
fn ascii(message: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(message).ok()?;
    text.bytes().all(|byte| (1..=0x7f).contains(&byte)).then_some(text)
}

fn printable(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
}

/// A user name without its escapes `=2C` and `=3D`.
fn sasl_name(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        name.push_str(before);
        let (char, after) = match after.strip_prefix("2C") {
            Some(after) => (',', after),
            None => ('=', after.strip_prefix("3D")?),
        };
        name.push(char);
        rest = after;
    }
    name.push_str(rest);
    (!name.is_empty()).then_some(name)
}

/// Base64 with its padding.
fn strict_base64(text: &str) -> Option<Vec<u8>> {
    text.len().is_multiple_of(4).then(|| base64::decode(Alphabet::Standard, text))?
}

/// `KEY=VALUE` of each remaining part.
fn extensions<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Vec<(String, String)>> {
    let mut extensions = Vec::new();
    for part in parts {
        let (key, value) = part.split_once('=')?;
        let valid = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphabetic()) && !value.is_empty();
        valid.then(|| extensions.push((key.to_owned(), value.to_owned())))?;
    }
    Some(extensions)
}
