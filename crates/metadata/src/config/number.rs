//! Floating-point numbers as Java reads and writes them.

/// Reads what `Double.parseDouble` reads, hexadecimal floats aside.
pub(super) fn parse_double(text: &str) -> Option<f64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match digits {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(sign * f64::INFINITY),
        _ => {}
    }
    let digits = digits.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(digits);
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if !digits.chars().all(plain) || digits.starts_with(['+', '-']) {
        return None;
    }
    digits.parse::<f64>().ok().map(|n| sign * n)
}

/// Writes what `Double.toString` writes: at least one digit after the point, and an exponent outside 0.001..10^7.
pub(super) fn double_text(n: f64) -> String {
    if n.is_nan() {
        return "NaN".to_owned();
    }
    if n.is_infinite() {
        return if n > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if n == 0.0 || (1e-3..1e7).contains(&n.abs()) {
        return format!("{n:?}");
    }
    let text = format!("{n:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => format!("{digits}E{exponent}"),
        Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
        None => text,
    }
}
