//! School platforms and how their logins look.

use std::fmt;

use crate::gate::{Gate, RequestMatch};
use crate::report::Problem;
use crate::suggest::did_you_mean;

/// A kind of school platform. It decides which requests are the gate when the operator does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    /// Anything with `POST /login`.
    Generic,
    /// Django with its own views: `POST /accounts/login/` and `POST /admin/login/`.
    Django,
    /// Moodle: `POST /login/index.php`.
    Moodle,
    /// Nextcloud: `POST /login`, also as `/index.php/login`.
    Nextcloud,
    /// `IServ`: `POST /iserv/auth/login`, also as `/iserv/app/login`.
    IServ,
}

impl Platform {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::Generic,
        Self::Django,
        Self::Moodle,
        Self::Nextcloud,
        Self::IServ,
    ];

    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Django => "django",
            Self::Moodle => "moodle",
            Self::Nextcloud => "nextcloud",
            Self::IServ => "iserv",
        }
    }

    /// The requests that need admission: the login submits, and no login page.
    pub fn gate(self) -> Gate {
        let paths: &[&str] = match self {
            Self::Generic => &["/login"],
            Self::Django => &["/accounts/login/", "/admin/login/"],
            // With a path behind the script, PHP runs the same script.
            Self::Moodle => &["/login/index.php", "/login/index.php/*"],
            Self::Nextcloud => &["/login", "/index.php/login"],
            Self::IServ => &["/iserv/auth/login", "/iserv/app/login"],
        };
        // All of them are well-formed; the tests see to it.
        let submit = paths
            .iter()
            .filter_map(|path| RequestMatch::new("POST", path).ok())
            .collect();
        Gate {
            submit,
            page: Vec::new(),
        }
    }

    pub(crate) fn parse(written: &str) -> Result<Self, Problem> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.name() == written)
            .ok_or_else(|| {
                Problem::new(format!("unknown platform `{written}`"))
                    .help(did_you_mean(written, &Self::ALL.map(Self::name)))
            })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}
