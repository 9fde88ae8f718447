//! Where a session or a school is at home, for platforms whose sessions live on one server.
//!
//! A cookie of ours names the backend that began the session. It is encrypted: nobody learns an
//! address from it, and nobody chooses a backend with it. Schools are spread by rendezvous hashing,
//! so that a backend that comes or goes moves only the schools it has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use einlass_admission::{Keyring, RoomKey, seal};
use einlass_config::Affinity;
use http::HeaderMap;
use http::header::{COOKIE, SET_COOKIE};
use pingora_http::ResponseHeader;

use crate::cookies::{Baker, HOME, Jar, foreign};
use crate::proxy::Request;
use crate::random;
use crate::site::Pool;

/// How long a browser keeps our cookie. It is heeded only beside the platform's own.
const LIFETIME: Duration = Duration::from_hours(24);

/// Where a request would like to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Home {
    /// Anywhere.
    #[default]
    Anywhere,
    /// To this backend, as long as it is there, also while it is drained.
    Backend(SocketAddr),
    /// To the backend that is first for this hash.
    Hash(u64),
    /// To this backend, where its session is, and if that is gone to the first for this hash.
    BackendOr(SocketAddr, u64),
}

impl Home {
    /// The backend where its session is.
    pub(super) fn backend(self) -> Option<SocketAddr> {
        match self {
            Self::Backend(backend) | Self::BackendOr(backend, _) => Some(backend),
            Self::Anywhere | Self::Hash(_) => None,
        }
    }

    pub(super) fn hash(self) -> Option<u64> {
        match self {
            Self::Hash(hash) | Self::BackendOr(_, hash) => Some(hash),
            Self::Anywhere | Self::Backend(_) => None,
        }
    }
}

/// Where one request would like to go, and what the answer leaves behind.
pub(crate) struct Stay {
    pub(crate) home: Home,
    session: Option<Session>,
}

/// What it takes to remember where a session began.
struct Session {
    /// The cookie that says that there is one; where nobody has named it, any.
    cookie: Option<String>,
    keys: Arc<Keyring>,
    room: RoomKey,
    baker: Baker,
}

impl Stay {
    /// Of a request at this pool with these headers, as they came from the browser.
    pub(crate) fn of(
        keys: &Arc<Keyring>,
        pool: &Pool,
        request: &Request,
        headers: &HeaderMap,
    ) -> Self {
        let room = pool.room.key;
        let jar = Jar::of(headers);
        // It is heeded only beside a cookie of the platform's.
        let named = || jar.all(HOME).find_map(|value| open_home(keys, room, value));
        let (home, cookie) = match &pool.affinity {
            Affinity::None => {
                return Self {
                    home: Home::Anywhere,
                    session: None,
                };
            }
            // A school's backend may have been full, or drained, when a session began.
            Affinity::School => {
                let hash = request.seat.key.0;
                let has_any = foreign(headers).is_some();
                let home = has_any.then(named).flatten();
                let home = home.map_or(Home::Hash(hash), |at| Home::BackendOr(at, hash));
                (home, None)
            }
            Affinity::Cookie(cookie) => {
                let home = has_cookie(headers, cookie).then(named).flatten();
                let home = home.map_or(Home::Anywhere, Home::Backend);
                (home, Some(cookie.clone()))
            }
        };
        Self {
            home,
            session: Some(Session {
                cookie,
                keys: Arc::clone(keys),
                room,
                baker: request.baker(),
            }),
        }
    }

    /// Adds our cookie to an answer that begins a session.
    pub(crate) fn mark(&self, answer: &mut ResponseHeader, backend: SocketAddr) {
        if let Some(session) = &self.session
            && begins_session(&answer.headers, session.cookie.as_deref())
            // Many set some cookie with every answer.
            && (session.cookie.is_some() || self.home.backend() != Some(backend))
            && let Some(value) = seal_home(&session.keys, session.room, backend)
        {
            // The value is ASCII; an answer with too many fields goes without.
            let _ = answer.append_header(SET_COOKIE, session.baker.home(&value, LIFETIME));
        }
    }
}

/// The value of the cookie that names a backend.
fn seal_home(keys: &Keyring, room: RoomKey, backend: SocketAddr) -> Option<String> {
    let plain = backend.to_string();
    seal::seal(keys, &bound_to(room), random::bytes(), plain.as_bytes())
}

/// The backend that such a cookie names; `None` if it is not ours, or not of this pool.
fn open_home(keys: &Keyring, room: RoomKey, value: &str) -> Option<SocketAddr> {
    let plain = seal::open(keys, &bound_to(room), value)?;
    std::str::from_utf8(&plain).ok()?.parse().ok()
}

fn bound_to(room: RoomKey) -> String {
    format!("home {room:?}")
}

/// Whether an answer begins a session: it sets a cookie of that name, or any, to something.
fn begins_session(headers: &HeaderMap, name: Option<&str>) -> bool {
    let fields = headers.get_all(SET_COOKIE).into_iter();
    fields.filter_map(|field| field.to_str().ok()).any(|field| {
        let pair = field.split(';').next().unwrap_or(field);
        let set = pair.split_once('=').map(|(n, v)| (n.trim(), v.trim()));
        set.is_some_and(|(n, v)| name.is_none_or(|name| n == name) && !v.is_empty() && v != "\"\"")
    })
}

/// Whether a request carries a cookie of that name.
pub(crate) fn has_cookie(headers: &HeaderMap, name: &str) -> bool {
    let fields = headers.get_all(COOKIE).into_iter();
    fields
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .any(|pair| {
            let name_of = pair.trim_ascii().split(|byte| *byte == b'=').next();
            name_of == Some(name.as_bytes())
        })
}

/// How high a backend stands for a hash: the highest is at home (Thaler and Ravishankar's highest
/// random weight, with weights as in Schindelhauer and Schomaker).
pub(super) fn rendezvous(hash: u64, backend: SocketAddr, weight: f64) -> f64 {
    // FNV-1a over the address, then splitmix64: the same on every gateway and in every run.
    let mut mixed = 0xCBF2_9CE4_8422_2325_u64 ^ hash;
    for byte in backend.to_string().bytes() {
        mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    // Between 0 and 1, neither of them.
    let unit = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    weight / -unit.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn backend(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 1, 0, n], 8080))
    }

    fn home(hash: u64, backends: &[(u8, f64)]) -> SocketAddr {
        let height = |(n, weight): &(u8, f64)| rendezvous(hash, backend(*n), *weight);
        let highest = backends
            .iter()
            .max_by(|a, b| height(a).total_cmp(&height(b)));
        backend(highest.unwrap().0)
    }

    #[test]
    fn a_backend_that_goes_moves_only_its_own() {
        let all = [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0)];
        let homes: Vec<SocketAddr> = (0..10_000).map(|hash| home(hash * 977, &all)).collect();
        let at = |n| homes.iter().filter(|home| **home == backend(n)).count();
        assert!((1_850..2_150).contains(&at(1)), "{}", at(1));
        assert!((3_800..4_200).contains(&at(4)), "{}", at(4));
        for (hash, before) in (0..10_000_u64).zip(&homes) {
            let after = home(hash * 977, &all[..3]);
            assert!(*before == backend(4) || after == *before);
        }
    }

    #[test]
    fn the_cookie_names_its_backend_to_its_own_pool_only() {
        let keys = Keyring::parse(&Keyring::text(1, &[7; 32])).unwrap();
        let (north, south) = (RoomKey::of("north"), RoomKey::of("south"));
        let value = seal_home(&keys, north, backend(1)).unwrap();
        assert_eq!(open_home(&keys, north, &value), Some(backend(1)));
        assert_eq!(open_home(&keys, south, &value), None);
        assert_eq!(open_home(&keys, north, "10.1.0.1:8080"), None);
        assert!(!value.contains("8080"));
    }

    #[test]
    fn sessions_are_seen_in_both_directions() {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_static("csrf=1; Path=/"));
        assert!(!begins_session(&headers, Some("sessionid")));
        assert!(begins_session(&headers, None), "whatever it is called");
        headers.append(
            SET_COOKIE,
            HeaderValue::from_static("sessionid=; Max-Age=0"),
        );
        assert!(!begins_session(&headers, Some("sessionid")));
        headers.append(
            SET_COOKIE,
            HeaderValue::from_static("sessionid=abc; Secure"),
        );
        assert!(begins_session(&headers, Some("sessionid")));
        headers.append(COOKIE, HeaderValue::from_static("a=1; sessionid=abc"));
        assert!(has_cookie(&headers, "sessionid"));
        assert!(!has_cookie(&headers, "session"));
    }
}
