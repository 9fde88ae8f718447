//! `[store]`: where several gateways keep their rooms together.

use std::path::Path;
use std::time::Duration;

use crate::credentials::{self, Credentials, Keys};
use crate::file;
use crate::report::Problem;
use crate::secret::Secret;
use crate::section::Section;
use crate::settings;
use crate::topology::{self, Servers, Topology};

const SERVER: Keys = Keys {
    user: "user",
    file: "password_file",
    env: "password_env",
};
const SENTINEL: Keys = Keys {
    user: "sentinel_user",
    file: "sentinel_password_file",
    env: "sentinel_password_env",
};
const WITH_SENTINELS: [&str; 4] = ["master", SENTINEL.user, SENTINEL.file, SENTINEL.env];
const LONGEST_PREFIX: usize = 32;

/// A Redis, or several, that all gateways of a fleet use. Without the table there is one gateway,
/// and its rooms are in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Exactly one of `redis`, `sentinels` (with `master`) and `cluster`.
    pub topology: Topology,
    /// The ACL user; needs a password. Default: none, which is Redis's user `default`.
    pub user: Option<String>,
    /// From `password_file` or `password_env`. Default: none.
    pub password: Option<Secret>,
    /// The ACL user at the sentinels; needs a password. Default: none.
    pub sentinel_user: Option<String>,
    /// From `sentinel_password_file` or `sentinel_password_env`; only with `sentinels`. Default: none.
    pub sentinel_password: Option<Secret>,
    /// `ca_file`: who signs the servers' certificates, in PEM; only with `rediss://`.
    /// Default: the system's certificates.
    pub ca: Option<Vec<u8>>,
    /// How long one call may take: 50 ms to 2 s. Default: 250 ms.
    pub timeout: Duration,
    /// What all keys begin with: 1 to 32 characters of a-z, 0-9, `_` and `-`. Default: `einlass`.
    pub prefix: String,
    /// Refuse to start when Redis cannot be reached, instead of starting on our own. Default: false.
    pub required: bool,
}

/// `None` only after a mistake. Paths are relative to the folder of `config`.
pub(crate) fn read(mut section: Section<'_, '_>, config: &Path) -> Option<Store> {
    if !section.has("sentinels") {
        for key in WITH_SENTINELS {
            if let Some(place) = section.place_of(key) {
                let problem = Problem::new(format!("`{key}` is for `sentinels` only"))
                    .help("remove it, or name the sentinels");
                section.report().add(&place, problem);
            }
        }
    }
    let Servers { topology, tls } = topology::read(&mut section);
    let Credentials { user, password } = credentials::read(&mut section, &SERVER, config);
    let at_sentinels = credentials::read(&mut section, &SENTINEL, config);
    if let (Some(place), Some(false)) = (section.place_of("ca_file"), tls) {
        let problem =
            Problem::new("`ca_file` is for TLS only").help("write rediss:// in every address");
        section.report().add(&place, problem);
    }
    let ca = section.take_text("ca_file", "a path", |named| read_ca(named, config));
    let timeout = section.take(&settings::STORE_TIMEOUT);
    let prefix = section.take_text("prefix", "a text", prefix);
    let required = section.take_bool("required");
    section.finish();
    Some(Store {
        topology: topology?,
        user,
        password,
        sentinel_user: at_sentinels.user,
        sentinel_password: at_sentinels.password,
        ca: ca.map(|ca| ca.value),
        timeout,
        prefix: prefix.map_or_else(|| settings::STORE_PREFIX.to_owned(), |prefix| prefix.value),
        required: required.unwrap_or(settings::STORE_REQUIRED),
    })
}

fn read_ca(named: &str, config: &Path) -> Result<Vec<u8>, Problem> {
    let path = file::beside(config, named);
    let pem = file::read(&path)?;
    if String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return Ok(pem);
    }
    Err(Problem::new(format!(
        "`{}` does not hold a certificate in PEM form",
        path.display()
    )))
}

fn prefix(written: &str) -> Result<String, Problem> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    if (1..=LONGEST_PREFIX).contains(&written.len()) && written.chars().all(allowed) {
        return Ok(written.to_owned());
    }
    Err(Problem::new(format!(
        "`prefix` must be 1 to {LONGEST_PREFIX} characters of a-z, 0-9, _ and -"
    )))
}
