//! Request paths in the one form they are compared in.

use std::borrow::Cow;

/// Brings a path into the form in which a backend would understand it, for comparing only.
///
/// `/%6Cogin`, `//login`, `/x/../login` and `/login;x` reach the login of most backends. Compared as they come, they
/// would be ways around the gate. Gating a request too many only costs it a turn, so in doubt two paths are equal.
/// Query and fragment are left out. Borrows when there is nothing to do.
pub(crate) fn normalise(path: &str) -> Cow<'_, [u8]> {
    let path = path.split(['?', '#']).next().unwrap_or(path).as_bytes();
    if is_normal(path) {
        return Cow::Borrowed(path);
    }
    let decoded = percent_decode(path);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut ends_in_slash = false;
    for segment in decoded.split(|byte| *byte == b'/') {
        let segment = segment
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or(segment);
        ends_in_slash = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut normal = Vec::with_capacity(decoded.len());
    for segment in segments {
        normal.push(b'/');
        normal.extend_from_slice(segment);
    }
    if ends_in_slash || normal.is_empty() {
        normal.push(b'/');
    }
    Cow::Owned(normal)
}

fn is_normal(path: &[u8]) -> bool {
    let plain = !path.iter().any(|byte| matches!(byte, b'%' | b';'));
    plain && path.starts_with(b"/") && !path.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

fn percent_decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        decoded.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &rest[3..] } else { tail };
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
