//! `einlass staff-pass`: a link for a school's staff, signed with the gateway's keys.

use std::path::PathBuf;
use std::time::Duration;

use einlass_admission::{SchoolKey, StaffPass, Unix};
use einlass_config::{Config, Host, HostTable, Mistakes};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::wall;
use crate::key_file::{self, KeyFileError};
use crate::staff::PATH;

/// The longest a pass may be good for. Links are passed on; a school year is long enough.
const LONGEST: Duration = Duration::from_hours(24 * 400);

/// What is asked for.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The gateway's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The school it is for.
    #[arg(long, value_name = "HOST")]
    host: String,
    /// Until when: "12h", "90d", or the last day in UTC, "2027-07-31".
    #[arg(long, value_name = "DURATION|DATE", allow_hyphen_values = true)]
    expires: String,
}

/// Why there is no pass.
#[derive(Debug, thiserror::Error)]
pub enum StaffPassError {
    /// The configuration has mistakes.
    #[error("{0}")]
    Config(#[from] Mistakes),
    /// There are no keys to sign with.
    #[error("{0}")]
    Keys(#[from] KeyFileError),
    /// No school has this host.
    #[error("no school of the configuration has the host {0:?}")]
    Host(String),
    /// The region's staff have no share.
    #[error(
        "a pass would gain nothing at {host}: write `staff_share = 0.05` in [region.{region}.admission]"
    )]
    NoShare {
        /// The school.
        host: String,
        /// Its region.
        region: String,
    },
    /// The end of its time cannot be understood.
    #[error(
        "--expires {0:?}: write how long it is good (\"12h\", \"90d\") or its last day (\"2027-07-31\")"
    )]
    Expires(String),
    /// The end of its time is over, or too far away.
    #[error("--expires {0:?}: a pass is good from now on, and for 400 days at most")]
    Range(String),
}

/// A link, and what it is good for.
#[derive(Debug)]
pub struct Link {
    /// To be opened in a browser.
    pub address: String,
    /// The school's host.
    pub host: String,
    /// The last second it is good for, RFC 3339.
    pub expires: String,
}

/// Makes a link.
pub fn make(arguments: &Arguments) -> Result<Link, StaffPassError> {
    let config = einlass_config::load(&arguments.config)?;
    let host = school(&config, &arguments.host)?;
    let expires = expires(&arguments.expires, wall())?;
    let keys = key_file::read(&config.state.directory)?;
    let pass = StaffPass {
        school: SchoolKey::of(host.as_str()),
        expires,
    };
    let seconds = i64::try_from(expires.0).ok();
    let until = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    Ok(Link {
        address: format!("https://{host}{PATH}?pass={}", pass.encode(&keys)),
        host: host.to_string(),
        // Within 400 days from now there is no second without a name.
        expires: until.map_or_else(String::new, |until| until.to_string()),
    })
}

/// The school as the gateway would find it, if its staff have a share.
fn school(config: &Config, asked: &str) -> Result<Host, StaffPassError> {
    let pools = config.pools().into_iter();
    let schools: HostTable<(Host, String, f64)> = pools
        .flat_map(|pool| {
            let (region, share) = (pool.region, pool.admission.staff_share);
            let schools = pool.schools.into_iter();
            schools.map(move |s| (s.host.clone(), (s.host, region.clone(), share)))
        })
        .collect();
    let (host, region, share) = schools
        .find(asked)
        .ok_or_else(|| StaffPassError::Host(asked.to_owned()))?;
    if *share <= 0.0 {
        return Err(StaffPassError::NoShare {
            host: host.to_string(),
            region: region.clone(),
        });
    }
    Ok(host.clone())
}

/// The last second of a pass that is made now.
fn expires(written: &str, now: Unix) -> Result<Unix, StaffPassError> {
    let last = match (humantime::parse_duration(written), written.parse::<Date>()) {
        (Ok(duration), _) => now.0.checked_add(duration.as_secs()),
        (_, Ok(date)) => last_second(date),
        _ => return Err(StaffPassError::Expires(written.to_owned())),
    };
    let good = now.0 + 1..=now.0 + LONGEST.as_secs();
    last.filter(|last| good.contains(last))
        .map(Unix)
        .ok_or_else(|| StaffPassError::Range(written.to_owned()))
}

fn last_second(date: Date) -> Option<u64> {
    let after = date.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    u64::try_from(after.timestamp().as_second() - 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-11 07:30:00 UTC.
    const NOW: Unix = Unix(1_799_652_600);

    #[test]
    fn a_pass_ends_after_a_time_or_with_a_day() {
        assert_eq!(expires("12h", NOW).unwrap(), Unix(NOW.0 + 43_200));
        assert_eq!(expires("90d", NOW).unwrap(), Unix(NOW.0 + 90 * 86_400));
        let midnight = NOW.0 - NOW.0 % 86_400;
        let today = expires("2027-01-11", NOW).unwrap();
        assert_eq!(today, Unix(midnight + 86_399), "the whole day");
        let friday = expires("2027-01-15", NOW).unwrap();
        assert_eq!(friday, Unix(midnight + 5 * 86_400 - 1));
    }

    #[test]
    fn a_pass_that_never_began_or_hardly_ends_is_refused() {
        for over in ["0s", "2027-01-10", "401d", "2029-01-01", "1970-01-01"] {
            let refused = expires(over, NOW);
            assert!(matches!(refused, Err(StaffPassError::Range(_))), "{over}");
        }
        for text in [
            "",
            "soon",
            "12",
            "-1h",
            "2027-13-01",
            "11.01.2027",
            "2027-01",
        ] {
            let refused = expires(text, NOW);
            assert!(matches!(refused, Err(StaffPassError::Expires(_))), "{text}");
        }
    }
}
