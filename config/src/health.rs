//! `[region.NAME.health]`: how it is found out whether a backend is there.

use std::time::Duration;

use crate::report::Problem;
use crate::section::Section;
use crate::settings;
use crate::suggest::did_you_mean;

/// Active checks of every backend of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// What is checked. Default: [`Check::Tcp`].
    pub check: Check,
    /// From one check of a backend to the next: 200 ms to 10 min. Default: 2 s.
    pub interval: Duration,
    /// How long a check may take: 50 ms to 1 min. Default: 1 s.
    pub timeout: Duration,
    /// Checks in a row that must pass until a backend is used again: 1 to 100. Default: 2.
    pub rise: u32,
    /// Checks in a row that must fail until a backend is left out: 1 to 100. Default: 2.
    pub fall: u32,
    /// The share of the interval by which checks are spread: 0 to 1. Default: 0.2.
    pub jitter: f64,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// `kind = "tcp"`: a connection is made, with TLS if the backends have it. Nothing is sent.
    Tcp,
    /// `kind = "http"`: a page is asked for.
    Http {
        /// Path and query. Default: `/`.
        path: String,
        /// The `Host` that is asked for. Default: that of the pool's first school.
        host: Option<String>,
        /// The answer that is expected: 100 to 599. Default: 200.
        status: u16,
    },
    /// `kind = "login"`: the login page is asked for, and must come with a field for a password.
    Login {
        /// Path and query. Default: that of the gate.
        path: Option<String>,
        /// The `Host` that is asked for. Default: that of the pool's first school.
        host: Option<String>,
    },
}

impl Default for Health {
    fn default() -> Self {
        Self {
            check: Check::Tcp,
            interval: settings::HEALTH_INTERVAL.default,
            timeout: settings::HEALTH_TIMEOUT.default,
            rise: settings::RISE.default,
            fall: settings::FALL.default,
            jitter: settings::JITTER.default,
        }
    }
}

pub(crate) fn read(mut section: Section<'_, '_>) -> Health {
    let health = Health {
        check: read_check(&mut section),
        interval: section.take(&settings::HEALTH_INTERVAL),
        timeout: section.take(&settings::HEALTH_TIMEOUT),
        rise: section.take(&settings::RISE),
        fall: section.take(&settings::FALL),
        jitter: section.take(&settings::JITTER),
    };
    section.finish();
    health
}

fn read_check(section: &mut Section<'_, '_>) -> Check {
    const KINDS: [&str; 3] = ["tcp", "http", "login"];
    let kind = section.take_text("kind", r#""tcp", "http" or "login""#, |written| {
        let known = KINDS.iter().find(|kind| **kind == written);
        known.copied().ok_or_else(|| {
            Problem::new(format!("unknown kind of check {written:?}"))
                .help(did_you_mean(written, &KINDS))
        })
    });
    let kind = kind.map_or("tcp", |kind| kind.value);
    let (vain, why): (&[&'static str], _) = match kind {
        "tcp" => (
            &["path", "host", "status"],
            "a check by \"tcp\" sends nothing",
        ),
        "login" => (&["status"], "a login page is expected with 200"),
        _ => (&[], ""),
    };
    for key in vain {
        if let Some(place) = section.place_of(key) {
            let problem = Problem::new(format!("`{key}` needs kind = \"http\"")).help(why);
            section.report().add(&place, problem);
        }
    }
    let path = section.take_text("path", "a path", |written| {
        let fits = written.starts_with('/') && written.bytes().all(|byte| byte.is_ascii_graphic());
        let help = r#"write it as it is asked for, as in "/health""#;
        fits.then(|| written.to_owned())
            .ok_or_else(|| Problem::new(format!("{written:?} is not a path")).help(help))
    });
    let host = section.take_text("host", "a host name", |written| {
        crate::school::parse_host(written).map(|_| written.to_owned())
    });
    let status = section.take(&settings::HEALTH_STATUS);
    let path = path.map(|path| path.value);
    let host = host.map(|host| host.value);
    match kind {
        "tcp" => Check::Tcp,
        "login" => Check::Login { path, host },
        _ => Check::Http {
            path: path.unwrap_or_else(|| settings::HEALTH_PATH.to_owned()),
            host,
            // The range ends at 599.
            status: u16::try_from(status).unwrap_or(u16::MAX),
        },
    }
}
