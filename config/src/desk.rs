//! `[desk]`: the operators' listener.

use std::net::SocketAddr;

use crate::address;
use crate::claims::Claims;
use crate::section::Section;
use crate::settings;

/// Where operators look: dashboard, metrics, health. Never public: it asks for no password.
#[derive(Clone, Debug, PartialEq)]
pub struct Desk {
    /// Address, plain HTTP. Default: `127.0.0.1:9090`.
    pub listen: SocketAddr,
}

pub(crate) fn read(mut section: Section<'_, '_>, claims: &mut Claims<'_>) -> Desk {
    let written = section.take_text("listen", "an address", address::listen);
    match &written {
        Some(written) => claims.listen("desk.listen", written),
        None => claims.listen_by_default("desk.listen", settings::DESK_LISTEN),
    }
    let listen = written.map_or(settings::DESK_LISTEN, |written| written.value);
    section.finish();
    Desk { listen }
}
