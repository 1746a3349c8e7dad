//! What clients push: `MetricsData` of OpenTelemetry, as protobuf (KIP-714).
//!
//! Only what clients send is read: gauges and sums of numbers, with the attributes of their points and of the client.
//! Nothing is copied and nothing recurses; a length that goes beyond the bytes that are there ends the reading.

use std::fmt;

/// The bytes are no metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metrics are malformed: {0}")]
pub(crate) struct Malformed(&'static str);

/// How a number is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It stands for itself.
    Gauge,
    /// It is what was counted since the client started.
    Total,
    /// It is what was counted since the client's last push.
    Delta,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: Kind,
    /// Whether it may only grow; false for gauges.
    pub(crate) monotonic: bool,
    pub(crate) value: f64,
    pub(crate) attributes: Vec<(&'a str, Attribute<'a>)>,
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Attribute<'a> {
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
}

impl fmt::Display for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Double(value) => value.fmt(f),
        }
    }
}

/// Whoever takes what is read.
pub(crate) trait Sink {
    /// Something that is told of the client as a whole.
    fn resource(&mut self, name: &str, value: Attribute<'_>);
    /// A number.
    fn point(&mut self, point: &Point<'_>);
    /// A metric of another kind than those that are understood.
    fn skipped(&mut self);
}

/// Reads a push.
///
/// # Errors
/// If the bytes are no such message. What was read until then has gone to the sink.
pub(crate) fn read(bytes: &[u8], sink: &mut impl Sink) -> Result<(), Malformed> {
    for resource_metrics in messages(bytes, 1) {
        let resource_metrics = resource_metrics?;
        for resource in messages(resource_metrics, 1) {
            for attribute in messages(resource?, 1) {
                if let Some((name, value)) = attribute_of(attribute?)? {
                    sink.resource(name, value);
                }
            }
        }
        for scope_metrics in messages(resource_metrics, 2) {
            for metric in messages(scope_metrics?, 2) {
                read_metric(metric?, sink)?;
            }
        }
    }
    Ok(())
}

fn read_metric(metric: &[u8], sink: &mut impl Sink) -> Result<(), Malformed> {
    let mut name = "";
    let mut data = None;
    for field in Fields(metric) {
        match field? {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (number @ (5 | 7), Value::Bytes(bytes)) => data = Some((number, bytes)),
            _ => {}
        }
    }
    let Some((number, data)) = data else {
        sink.skipped();
        return Ok(());
    };
    let (mut kind, mut monotonic) = (Kind::Gauge, false);
    for field in Fields(data).filter(|_| number == 7) {
        match field? {
            (2, Value::Varint(1)) => kind = Kind::Delta,
            (2, Value::Varint(_)) => kind = Kind::Total,
            (3, Value::Varint(value)) => monotonic = value != 0,
            _ => {}
        }
    }
    for point in messages(data, 1) {
        let mut read = Point { name, kind, monotonic, value: 0.0, attributes: Vec::new() };
        for field in Fields(point?) {
            match field? {
                (4, Value::Fixed64(bits)) => read.value = f64::from_bits(bits),
                (6, Value::Fixed64(bits)) => read.value = bits.cast_signed() as f64,
                (7, Value::Bytes(bytes)) => read.attributes.extend(attribute_of(bytes)?),
                _ => {}
            }
        }
        sink.point(&read);
    }
    Ok(())
}

/// An attribute, if its value is a single one.
fn attribute_of(bytes: &[u8]) -> Result<Option<(&str, Attribute<'_>)>, Malformed> {
    let (mut name, mut value) = ("", None);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (2, Value::Bytes(bytes)) => {
                for field in Fields(bytes) {
                    value = match field? {
                        (1, Value::Bytes(bytes)) => Some(Attribute::Text(text(bytes)?)),
                        (2, Value::Varint(bits)) => Some(Attribute::Bool(bits != 0)),
                        (3, Value::Varint(bits)) => Some(Attribute::Int(bits.cast_signed())),
                        (4, Value::Fixed64(bits)) => Some(Attribute::Double(f64::from_bits(bits))),
                        _ => value,
                    };
                }
            }
            _ => {}
        }
    }
    Ok(value.map(|value| (name, value)))
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed("a text is no UTF-8"))
}

/// A field's value as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

/// The fields of a message, in their order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?.try_into().map_err(|_| Malformed("a number is cut off"))?;
                Value::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| Malformed("a length is too large"))?;
                Value::Bytes(self.take(len)?)
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            _ => return Err(Malformed("a field has an unknown type")),
        };
        Ok((tag >> 3, value))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed("a field is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Malformed("a number is cut off"))?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed("a number is too long"))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            // Nothing can be found behind it.
            self.0 = &[];
        }
        Some(field)
    }
}

/// The messages in a field that may be repeated.
fn messages(bytes: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    Fields(bytes).filter_map(move |field| match field {
        Ok((found, Value::Bytes(bytes))) if found == number => Some(Ok(bytes)),
        Ok(_) => None,
        Err(e) => Some(Err(e)),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Sink for Seen {
        fn resource(&mut self, name: &str, value: Attribute<'_>) {
            self.0.push(format!("of the client: {name}={value}"));
        }

        fn point(&mut self, point: &Point<'_>) {
            let attributes: Vec<_> = point.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let Point { name, kind, monotonic, value, .. } = point;
            self.0.push(format!("{name}[{}] {kind:?} {monotonic} {value}", attributes.join(",")));
        }

        fn skipped(&mut self) {
            self.0.push("skipped".to_owned());
        }
    }

    /// A field of bytes.
    pub(in crate::telemetry) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let len = u8::try_from(bytes.len() & 0x7f).expect("seven bits");
        let more = u8::try_from(bytes.len() >> 7).expect("tests are short");
        let mut out = vec![number << 3 | 2, len | 0x80, more];
        out.extend_from_slice(bytes);
        out
    }

    fn attribute(number: u8, name: &str, value: &str) -> Vec<u8> {
        field(number, &[field(1, name.as_bytes()), field(2, &field(1, value.as_bytes()))].concat())
    }

    /// A push with one number: a gauge, or a sum of that temporality.
    pub(in crate::telemetry) fn push(name: &str, value: f64, sum: Option<u8>) -> Vec<u8> {
        let number = [vec![4 << 3 | 1], value.to_le_bytes().to_vec()].concat();
        let point = field(1, &[number, attribute(7, "topic", "t")].concat());
        let data = match sum {
            None => field(5, &point),
            Some(temporality) => field(7, &[point, vec![2 << 3, temporality, 3 << 3, 1]].concat()),
        };
        let metric = field(2, &[field(1, name.as_bytes()), data].concat());
        let resource = field(1, &attribute(1, "group_id", "g"));
        field(1, &[resource, field(2, &metric)].concat())
    }

    fn seen(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
        let mut seen = Seen::default();
        read(bytes, &mut seen).map(|()| seen.0)
    }

    #[test]
    fn gauges_and_sums_are_read_with_their_attributes() {
        let whole = [push("a.b", 1.5, None), push("c", 2.0, Some(1)), push("c", 3.0, Some(2))].concat();
        let client = "of the client: group_id=g";
        let expected = [
            client,
            "a.b[topic=t] Gauge false 1.5",
            client,
            "c[topic=t] Delta true 2",
            client,
            "c[topic=t] Total true 3",
        ];
        assert_eq!(seen(&whole).expect("it is well formed"), expected);
        let other = field(1, &field(2, &field(2, &[field(1, b"h"), field(9, b"")].concat())));
        assert_eq!(seen(&other).expect("it is well formed"), ["skipped"]);
    }

    #[test]
    fn what_is_damaged_is_refused_or_read_and_never_more() {
        let whole = push("a.b", 1.5, Some(1));
        for cut in 1..whole.len() {
            assert!(seen(&whole[..cut]).is_err(), "cut after {cut}");
        }
        let mut random = 1_u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut damaged = whole.clone();
            let at = (random >> 8) as usize % damaged.len();
            damaged[at] ^= (random >> 24) as u8 | 1;
            let _ = seen(&damaged);
        }
        assert_eq!(
            seen(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            Err(Malformed("a field is cut off"))
        );
        assert_eq!(seen(&[0xff; 11]), Err(Malformed("a number is too long")));
    }
}
