//! TLS towards backends: part of `[region.NAME.upstream]`.

use std::path::{Path, PathBuf};

use crate::edge::Certificate;
use crate::host::Host;
use crate::pem::{self, Content};
use crate::report::Problem;
use crate::section::Section;

/// How backends prove who they are, and how we do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name that is asked for, and that the backends' certificates must hold. Must be written:
    /// without one nobody would be checked.
    pub server_name: String,
    /// Who signs the backends' certificates, PEM. Default: whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// What we show them. Default: nothing.
    pub client: Option<Certificate>,
}

const OTHERS: [&str; 4] = ["server_name", "ca_file", "client_certificate", "client_key"];

/// `None` without `tls = true`, or with a mistake, which has been recorded.
pub(crate) fn read(section: &mut Section<'_, '_>, config: &Path) -> Option<UpstreamTls> {
    let place = section.place_of("tls");
    let tls = section.take_bool("tls").unwrap_or(false);
    if !tls {
        for key in OTHERS {
            if let Some(place) = section.place_of(key) {
                let problem = Problem::new(format!("`{key}` needs `tls`")).help("write tls = true");
                section.report().add(&place, problem);
            }
        }
    }
    let named = section.has("server_name");
    let server_name = section.take_text("server_name", "a name", |written| {
        let host = Host::parse(written).ok().filter(|host| {
            // A port is no part of it, and an address is no name.
            !host.as_str().contains(':') && host.as_str().parse::<std::net::IpAddr>().is_err()
        });
        host.map(|host| host.as_str().to_owned()).ok_or_else(|| {
            Problem::new(format!("{written:?} is not the name of a server"))
                .help(r#"write a name that the backends' certificates hold, as in "app.example""#)
        })
    });
    let ca_file = pem::take(section, "ca_file", Content::Certificate, config);
    let halves = [
        section.place_of("client_certificate"),
        section.place_of("client_key"),
    ];
    let chain = pem::take(section, "client_certificate", Content::Certificate, config);
    let key = pem::take(section, "client_key", Content::Key, config);
    let lonely = match &halves {
        [Some(place), None] => Some((place, "client_certificate", "client_key")),
        [None, Some(place)] => Some((place, "client_key", "client_certificate")),
        _ => None,
    };
    if let Some((place, there, missing)) = lonely {
        let problem =
            Problem::new(format!("`{there}` needs `{missing}`")).help("name the PEM files of both");
        section.report().add(place, problem);
    }
    if !tls {
        return None;
    }
    if let (false, Some(place)) = (named, place) {
        let problem = Problem::new("`tls` needs `server_name`")
            .help("write the name that the backends' certificates hold; without one nobody would be checked");
        section.report().add(&place, problem);
    }
    let client = chain
        .zip(key)
        .map(|(chain, key)| Certificate { chain, key });
    Some(UpstreamTls {
        server_name: server_name?.value,
        ca_file,
        client,
    })
}
