//! `[desk]`: the operators' listener.

use std::net::SocketAddr;

use crate::address;
use crate::claims::Claims;
use crate::place::Placed;
use crate::section::Section;
use crate::settings;

/// Where operators look: dashboard, metrics, health. Never public: it asks for no password.
#[derive(Clone, Debug, PartialEq)]
pub struct Desk {
    /// Address, plain HTTP. Default: `127.0.0.1:9090`.
    pub listen: SocketAddr,
}

pub(crate) fn read(mut section: Section<'_, '_>, claims: &mut Claims<'_>) -> Desk {
    let listen = section
        .take_text("listen", "an address", address::listen)
        .unwrap_or_else(|| Placed::new(settings::DESK_LISTEN, section.place().clone()));
    claims.listen("desk.listen", &listen);
    section.finish();
    Desk {
        listen: listen.value,
    }
}
