//! The name a school is found by.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use idna::AsciiDenyList;
use thiserror::Error;

/// RFC 1035, section 2.3.4.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;
/// Names in Unicode are longer than their A-labels, but not by much. Bounds the work one header can cause.
const LONGEST_WRITTEN: usize = 1024;

/// A school's host in the one form it is compared in: lower case, IDN as A-labels, no trailing dot.
///
/// `gym.example` claims the host on every port; `gym.example:8443` claims that port only, and wins there over the
/// former. Ports 80 and 443 cannot be claimed: browsers leave them out of the `Host` header.
///
/// Borrows as `str`, so a map keyed by `Host` can be asked with what [`normalise`] returns. [`crate::HostTable`]
/// does so, ports included.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Box<str>);

/// Why a text is not the host of a school.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostError {
    /// Nothing was written.
    #[error("a host must not be empty")]
    Empty,
    /// A whole address was written.
    #[error("a host is only the name, without `https://` and without a path")]
    Url,
    /// `*.example` and the like.
    #[error(
        "wildcards are not possible: every school is named, because each has its own place in the room"
    )]
    Wildcard,
    /// Longer than DNS allows.
    #[error("a host has at most {LONGEST_NAME} characters, and {LONGEST_LABEL} between two dots")]
    TooLong,
    /// Two dots in a row, or one in front.
    #[error("there is nothing between two dots")]
    EmptyLabel,
    /// A character that no host name has.
    #[error("{0:?} cannot be part of a host")]
    Character(char),
    /// A name in Unicode that IDNA (UTS 46) does not allow.
    #[error("this is not a valid internationalised name")]
    Idn,
    /// What stands in brackets is not an IPv6 address.
    #[error("what stands in brackets is not an IPv6 address")]
    Ipv6,
    /// What follows the colon is not a port.
    #[error("what follows the colon is not a port (1 to 65535)")]
    Port,
    /// Port 80 or 443.
    #[error("port {0} would never match, browsers leave it out: write the host without it")]
    DefaultPort(u16),
}

// === impl Host ===

impl Host {
    /// Parses a host as an operator writes it: any case, Unicode or A-labels, a trailing dot or none, with or
    /// without a port.
    pub fn parse(written: &str) -> Result<Self, HostError> {
        if written.contains('/') {
            return Err(HostError::Url);
        }
        if written.contains('*') {
            return Err(HostError::Wildcard);
        }
        let host = Self(canonical(written)?.into_boxed_str());
        match host.port() {
            Some(port @ (80 | 443)) => Err(HostError::DefaultPort(port)),
            _ => Ok(host),
        }
    }

    /// The whole: `gym.example` or `gym.example:8443`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the port.
    pub fn name(&self) -> &str {
        without_port(&self.0)
    }

    /// The port, if only that one is claimed.
    pub fn port(&self) -> Option<u16> {
        split_port(&self.0).1?.parse().ok()
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(written: &str) -> Result<Self, HostError> {
        Self::parse(written)
    }
}

impl Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Host {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

// === the request path ===

/// Brings a `Host` header into the form a [`Host`] is compared in, its port kept. `None`: it is no host at all.
///
/// Allocates nothing when the header is in that form already, which is how every browser sends it.
pub fn normalise(header: &str) -> Option<Cow<'_, str>> {
    if is_canonical(header) {
        return Some(Cow::Borrowed(header));
    }
    canonical(header).ok().map(Cow::Owned)
}

/// The name of a normalised host, without its port.
pub(crate) fn without_port(host: &str) -> &str {
    split_port(host).0
}

/// A quick look: `false` only means that it takes a longer one.
fn is_canonical(header: &str) -> bool {
    let (name, port) = header
        .split_once(':')
        .map_or((header, None), |(name, port)| (name, Some(port)));
    let mut before = b'.';
    for byte in name.bytes() {
        let fits = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => true,
            b'.' => before != b'.',
            _ => false,
        };
        if !fits {
            return false;
        }
        before = byte;
    }
    let port_fits =
        port.is_none_or(|port| !port.starts_with(['0', '+']) && port.parse::<u16>().is_ok());
    before != b'.' && name.len() <= LONGEST_NAME && port_fits
}

fn canonical(written: &str) -> Result<String, HostError> {
    if written.len() > LONGEST_WRITTEN {
        return Err(HostError::TooLong);
    }
    let (name, port) = split_port(written);
    let mut host = canonical_name(name)?;
    // RFC 3986, section 3.2.3: a colon with nothing behind it is as good as none.
    if let Some(port) = port.filter(|port| !port.is_empty()) {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse::<u16>() {
            Ok(port) if port > 0 && digits => {
                host.push(':');
                host.push_str(&port.to_string());
            }
            _ => return Err(HostError::Port),
        }
    }
    Ok(host)
}

fn canonical_name(name: &str) -> Result<String, HostError> {
    if let Some(address) = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let address: Ipv6Addr = address.parse().map_err(|_| HostError::Ipv6)?;
        return Ok(format!("[{address}]"));
    }
    let mut canonical = name.to_ascii_lowercase();
    if !canonical.is_ascii() || canonical.contains("xn--") {
        canonical = idna::domain_to_ascii_cow(canonical.as_bytes(), AsciiDenyList::EMPTY)
            .map_err(|_| HostError::Idn)?
            .into_owned();
    }
    if canonical.ends_with('.') {
        canonical.pop();
    }
    if canonical.is_empty() {
        return Err(HostError::Empty);
    }
    for label in canonical.split('.') {
        if label.is_empty() {
            return Err(HostError::EmptyLabel);
        }
        if label.len() > LONGEST_LABEL {
            return Err(HostError::TooLong);
        }
        let odd = |c: &char| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
        if let Some(odd) = label.chars().find(odd) {
            return Err(HostError::Character(odd));
        }
    }
    if canonical.len() > LONGEST_NAME {
        Err(HostError::TooLong)
    } else {
        Ok(canonical)
    }
}

/// The name, and what stands behind its colon. The colons of an IPv6 address stand in brackets.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}
