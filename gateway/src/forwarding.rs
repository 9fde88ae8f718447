//! Who the client is, and what the backend is told about it.
//!
//! Trusted proxies say it in `X-Forwarded-For` and `X-Forwarded-Proto`, or in `Forwarded` (RFC 7239). Each
//! adds to the end of what it was sent, so a chain is read from its end, and only as far as those who
//! wrote it are trusted. The backend is told in all of these fields, by us alone.

use std::net::{IpAddr, SocketAddr};

use einlass_config::IpNet;
use http::header::{CONNECTION, FORWARDED};
use http::{HeaderMap, HeaderName};
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields of a single hop (RFC 9110, 7.6.1), never passed on by our own client.
pub(crate) const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// Fields that say how long a message is and whom it is for: nobody takes those away by naming them.
const ESSENTIAL: [&str; 5] = [
    "host",
    "content-length",
    "content-type",
    "cookie",
    "set-cookie",
];

/// The fields of a message that are for the next hop alone: those of [`HOP_BY_HOP`], and those that its
/// `Connection` names.
pub(crate) fn of_one_hop(headers: &HeaderMap) -> Vec<HeaderName> {
    let nominated = entries(headers, &CONNECTION).into_iter().flatten();
    let nominated = nominated.filter_map(|name| HeaderName::try_from(name).ok());
    let nominated = nominated.filter(|name| !ESSENTIAL.contains(&name.as_str()));
    let always = HOP_BY_HOP.into_iter().map(HeaderName::from_static);
    always.chain(nominated).collect()
}

/// Where proxies and frameworks look for the client, its address or its path, besides whatever begins
/// with `x-forwarded`. With the path one could go around the gate.
const ONLY_OURS: [&str; 17] = [
    "forwarded",
    "forwarded-for",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "x-true-client-ip",
    "x-cluster-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-remote-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-url-scheme",
    "front-end-https",
];

/// The origin of a request.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The client, as far as trusted proxies tell.
    pub(crate) client: Option<IpAddr>,
    /// The browser came by TLS.
    pub(crate) secure: bool,
}

impl Origin {
    pub(crate) fn of(session: &Session, trusted: &[IpNet]) -> Self {
        let peer = session
            .client_addr()
            .and_then(|addr| addr.as_inet())
            .map(|addr| addr.ip().to_canonical());
        let tls = session.digest().is_some_and(|d| d.ssl_digest.is_some());
        let believed = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
        match peer {
            Some(peer) if believed(&peer) => {
                Self::told(&session.req_header().headers, peer, tls, believed)
            }
            client => Self {
                client,
                secure: tls,
            },
        }
    }

    /// What a trusted proxy tells.
    fn told(
        headers: &HeaderMap,
        proxy: IpAddr,
        tls: bool,
        believed: impl Fn(&IpAddr) -> bool,
    ) -> Self {
        let plain = |name| each(&entries(headers, name), |entry| Some(entry.to_owned()));
        let (mut chain, mut protos) = (plain(&FOR), plain(&PROTO));
        if chain.is_empty() {
            let elements = entries(headers, &FORWARDED);
            chain = each(&elements, |element| parameter(element, "for"));
            let told = each(&elements, |element| parameter(element, "proto"));
            if told.iter().any(Option::is_some) {
                protos = told;
            }
        }
        let (client, hops) = nearest_untrusted(&chain, believed);
        // The proxy that saw the client also saw how it came: its word stands as far from the end, unless
        // those behind it add none.
        let proto = protos
            .get(hops.clamp(1, protos.len().max(1)) - 1)
            .and_then(Option::as_ref);
        Self {
            client: client.or(Some(proxy)),
            secure: proto.map_or(tls, |proto| proto.eq_ignore_ascii_case("https")),
        }
    }

    /// What the backend is told. What the client said of these fields is dropped.
    pub(crate) fn apply(&self, header: &mut RequestHeader, host: &str) -> Result<()> {
        let names: Vec<HeaderName> = header.headers.keys().cloned().collect();
        for name in names.iter().filter(|name| only_ours(name)) {
            header.remove_header(name);
        }
        let (proto, port) = if self.secure {
            ("https", "443")
        } else {
            ("http", "80")
        };
        let node = match self.client {
            None => "unknown".to_owned(),
            Some(IpAddr::V4(ip)) => ip.to_string(),
            Some(IpAddr::V6(ip)) => format!("\"[{ip}]\""),
        };
        if let Some(client) = self.client {
            header.insert_header(FOR, client.to_string())?;
            header.insert_header(REAL_IP, client.to_string())?;
        }
        // A host that a school was found by holds nothing that would have to be escaped.
        let forwarded = format!("for={node};host=\"{host}\";proto={proto}");
        header.insert_header(FORWARDED, forwarded)?;
        header.insert_header(PROTO, proto)?;
        header.insert_header(PORT, port_of(host).unwrap_or(port))?;
        header.insert_header(HOST, host)
    }
}

/// Whether a field is for us alone to write. Servers by the rules of CGI do not tell `_` from `-`.
fn only_ours(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    name.starts_with("x-forwarded") || ONLY_OURS.contains(&name.as_str())
}

/// The port that a host names.
fn port_of(host: &str) -> Option<&str> {
    let (_, port) = host.rsplit_once(':')?;
    (!port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(port)
}

/// The entries of a list in all fields of a name, from the last to the first. A field that is no text
/// is one entry that says nothing.
fn entries<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<Option<&'a str>> {
    let mut entries = Vec::new();
    for field in headers.get_all(name) {
        match field.to_str() {
            Ok(field) => entries.extend(split(field, ',').map(Some)),
            Err(_) => entries.push(None),
        }
    }
    entries.reverse();
    entries
}

fn each(entries: &[Option<&str>], of: impl Fn(&str) -> Option<String>) -> Vec<Option<String>> {
    entries.iter().map(|entry| entry.and_then(&of)).collect()
}

/// The parts between separators that do not stand in quotes, without the space around them.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let here = c == separator && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        here
    })
    .map(str::trim)
}

/// A parameter of an element of `Forwarded` (RFC 7239, section 4).
fn parameter(element: &str, wanted: &str) -> Option<String> {
    let mut pairs = split(element, ';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
    let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    // Neither an address nor a scheme holds anything that would have to be escaped.
    Some(quoted.unwrap_or(value).to_owned())
}

/// The last address in the chain that is not one of our own proxies, and how far from the end it
/// stands. An entry that names no address ends the chain.
fn nearest_untrusted(
    chain: &[Option<String>],
    believed: impl Fn(&IpAddr) -> bool,
) -> (Option<IpAddr>, usize) {
    let mut last = None;
    for (index, entry) in chain.iter().enumerate() {
        let Some(ip) = entry.as_deref().and_then(address) else {
            return (last, index);
        };
        last = Some(ip);
        if !believed(&ip) {
            return (last, index + 1);
        }
    }
    (last, chain.len())
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = || entry.parse().ok();
    let with_port = || entry.parse::<SocketAddr>().ok().map(|a| a.ip());
    let bracketed = || {
        let inner = entry.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse().ok()
    };
    let ip: IpAddr = bare().or_else(with_port).or_else(bracketed)?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const OURS: &str = "10.0.0.1";

    /// What a proxy at [`OURS`] tells, which came without TLS; 10.0.0.0/8 is trusted.
    fn told(fields: &[(&'static str, &[u8])]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let net: IpNet = "10.0.0.0/8".parse().unwrap();
        let proxy = OURS.parse().unwrap();
        let origin = Origin::told(&headers, proxy, false, |ip| net.contains(ip));
        (origin.client.unwrap().to_string(), origin.secure)
    }

    fn client(chain: &[u8]) -> String {
        told(&[("x-forwarded-for", chain)]).0
    }

    #[test]
    fn the_client_is_the_last_one_nobody_trusts() {
        for (chain, expected) in [
            (&b"203.0.113.9"[..], "203.0.113.9"),
            (b"198.51.100.1, 203.0.113.9,10.0.0.7", "203.0.113.9"),
            (b"203.0.113.9:4711, 10.0.0.7:1", "203.0.113.9"),
            (b"2001:db8::1", "2001:db8::1"),
            (b"[2001:db8::1]", "2001:db8::1"),
            (b"[2001:db8::1]:4711", "2001:db8::1"),
            (b"::ffff:203.0.113.9", "203.0.113.9"),
            (b"10.0.0.8", "10.0.0.8"),
            (b"", OURS),
            (b"203.0.113.9, unknown", OURS),
            (b"203.0.113.9, nonsense, 10.0.0.7", "10.0.0.7"),
        ] {
            let what = String::from_utf8_lossy(chain);
            assert_eq!(client(chain), expected, "{what}");
        }
    }

    #[test]
    fn a_field_that_is_no_text_ends_the_chain() {
        let forged: &[u8] = b"203.0.113.9";
        let (client, _) = told(&[
            ("x-forwarded-for", forged),
            ("x-forwarded-for", b"\xE4"),
            ("x-forwarded-for", b"10.0.0.7"),
        ]);
        assert_eq!(client, "10.0.0.7");
    }

    #[test]
    fn the_scheme_is_that_of_the_hop_that_saw_the_client() {
        let one: &[u8] = b"203.0.113.9";
        let two: &[u8] = b"203.0.113.9, 10.0.0.7";
        for (chain, protos, secure) in [
            (one, vec![&b"https"[..]], true),
            (one, vec![b"HTTPS"], true),
            (one, vec![b"http"], false),
            // The first was the client's own.
            (one, vec![b"https, http"], false),
            (one, vec![b"https", b"http"], false),
            (two, vec![b"https, http"], true),
            (two, vec![b"https", b"http"], true),
            (two, vec![b"https"], true),
            (two, vec![b"https, http, http"], false),
        ] {
            let mut fields = vec![("x-forwarded-for", chain)];
            fields.extend(protos.iter().map(|proto| ("x-forwarded-proto", *proto)));
            assert_eq!(told(&fields).1, secure, "{fields:?}");
        }
        assert!(told(&[("x-forwarded-proto", b"https")]).1);
    }

    #[test]
    fn forwarded_is_read_where_there_is_no_x_forwarded_for() {
        for (field, expected, secure) in [
            (&b"for=203.0.113.9;proto=https"[..], "203.0.113.9", true),
            (
                b"for=198.51.100.1, For=\"203.0.113.9:47\" ; Proto=HTTPS;by=_x, for=10.0.0.7;proto=http",
                "203.0.113.9",
                true,
            ),
            (b"for=\"[2001:db8::1]:4711\"", "2001:db8::1", false),
            (b"for=203.0.113.9, for=\"a,b;for=1.2.3.4\"", OURS, false),
            (b"for=unknown;proto=https", OURS, true),
            (b"proto=https", OURS, true),
        ] {
            let what = String::from_utf8_lossy(field);
            let told = told(&[("forwarded", field)]);
            assert_eq!(told, (expected.to_owned(), secure), "{what}");
        }
        let (client, secure) = told(&[
            ("forwarded", b"for=198.51.100.1;proto=https"),
            ("x-forwarded-for", b"203.0.113.9"),
        ]);
        assert_eq!((client.as_str(), secure), ("203.0.113.9", false));
        // An older proxy says only how the browser came.
        let (client, secure) = told(&[
            ("forwarded", b"for=203.0.113.9"),
            ("x-forwarded-proto", b"https"),
        ]);
        assert_eq!((client.as_str(), secure), ("203.0.113.9", true));
    }

    #[test]
    fn what_connection_names_is_for_one_hop() {
        let mut headers = HeaderMap::new();
        for field in ["X-Trace, close", "Content-Length, Foo, not a name"] {
            headers.append(CONNECTION, HeaderValue::from_static(field));
        }
        let names = of_one_hop(&headers);
        for name in ["x-trace", "foo", "connection", "upgrade", "keep-alive"] {
            assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
        }
        assert!(!names.iter().any(|n| n == "content-length"));
    }

    #[test]
    fn a_backend_hears_only_us() {
        let mut header = RequestHeader::build("GET", b"/", None).unwrap();
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-ssl",
            "x-forwarded-scheme",
            "x-forwarded-server",
            "x_forwarded_for",
            "x-real-ip",
            "x-client-ip",
            "true-client-ip",
            "x-original-url",
        ] {
            header.insert_header(name, "lie").unwrap();
        }
        header.insert_header("accept", "text/html").unwrap();
        let origin = Origin {
            client: "2001:db8::1".parse().ok(),
            secure: true,
        };
        origin.apply(&mut header, "gym.example:8443").unwrap();
        let fields: Vec<(&str, &str)> = header
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(fields.len(), 7, "{fields:?}");
        for field in [
            ("accept", "text/html"),
            (
                "forwarded",
                "for=\"[2001:db8::1]\";host=\"gym.example:8443\";proto=https",
            ),
            ("x-forwarded-for", "2001:db8::1"),
            ("x-forwarded-host", "gym.example:8443"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "2001:db8::1"),
        ] {
            assert!(fields.contains(&field), "{field:?} in {fields:?}");
        }
    }
}
