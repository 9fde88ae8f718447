//! Numbers and assumptions as people read them.

use std::fmt::Write as _;

use einlass_config::scenario::{Scenario, Size, Wave};
use einlass_simulator::Backend;

/// Seconds as a time people can grasp: `0.4 s`, `45 s`, `12 min 30 s`, `2 h 05 min`.
pub(super) fn time(seconds: f64) -> String {
    let whole = whole(seconds);
    match whole {
        // What one decimal would make 10.0 is 10.
        0..10 if seconds < 9.95 => format!("{seconds:.1} s"),
        0..10 => "10 s".to_owned(),
        10..120 => format!("{whole} s"),
        120..7_200 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
    }
}

/// A count with commas between its thousands.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 school`, `2 schools`.
pub(super) fn count(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {what}{ending}", thousands(number as u64))
}

/// A part of one in per cent.
pub(super) fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

/// What is assumed of a pool's backends.
pub(super) fn assumption(backend: &Backend, guessed: Option<&str>) -> String {
    let first = backend.cores.at(std::time::Duration::ZERO);
    let mut words = vec![match guessed {
        Some(why) => format!("{} (guessed: {why})", cores(first)),
        None if backend.cores.changes().next().is_some() => {
            let changes = backend.cores.changes();
            let later = changes.map(|at| {
                let at_seconds = at.as_secs_f64();
                format!("{} from {}", backend.cores.at(at), time(at_seconds))
            });
            format!("{}, {}", cores(first), later.collect::<Vec<_>>().join(", "))
        }
        None => cores(first),
    }];
    words.push(format!(
        "{} ms for a login, spread {}",
        backend.hash.as_millis(),
        backend.spread
    ));
    if backend.refused > 0.0 {
        words.push(format!("{} refused early", percent(backend.refused)));
    }
    if let Some(queue) = backend.queue {
        words.push(format!("more than {queue} at once turned away"));
    }
    for (from, until) in &backend.down {
        let (from, until) = (time(from.as_secs_f64()), time(until.as_secs_f64()));
        words.push(format!("down from {from} to {until}"));
    }
    words.join("; ")
}

fn cores(number: f64) -> String {
    let one = (number - 1.0).abs() < f64::EPSILON;
    format!("{number} core{}", if one { "" } else { "s" })
}

/// Who is assumed to come, and through how many gateways.
pub(super) fn crowd(scenario: &Scenario) -> String {
    let waves: Vec<String> = scenario.waves.iter().map(wave).collect();
    let mut gateways = count(scenario.gateways.skew.len(), "gateway");
    for cut_off in &scenario.gateways.cut_off {
        let (from, until) = (cut_off.from.as_secs_f64(), cut_off.until.as_secs_f64());
        let _ = write!(gateways, ", cut off from {} to {}", time(from), time(until));
    }
    format!(
        "{}; {gateways}; seed {}",
        waves.join("; then "),
        scenario.seed
    )
}

fn wave(wave: &Wave) -> String {
    let who = match wave.size {
        Size::Enrolled(part) if (part - 1.0).abs() < f64::EPSILON => {
            "everybody enrolled".to_owned()
        }
        Size::Enrolled(part) => format!("{} of the enrolled", percent(part)),
        Size::Pupils(pupils) => format!("{} pupils", thousands(pupils.into())),
    };
    let of = match (&wave.school, &wave.region) {
        (Some(school), _) => format!(" of {school}"),
        (None, Some(region)) => format!(" of {region}"),
        (None, None) => String::new(),
    };
    let from = match wave.from.as_secs_f64() {
        0.0 => String::new(),
        from => format!(" from {} on", time(from)),
    };
    let mut words = format!("{who}{of} within {}{from}", time(wave.over.as_secs_f64()));
    let shows: Vec<String> = wave.no_shows.iter().map(|step| percent(step.is)).collect();
    if wave.no_shows.iter().any(|step| step.is > 0.0) {
        let _ = write!(words, ", {} close the tab", shows.join(", then "));
    }
    if let Some(patience) = wave.patience {
        let _ = write!(
            words,
            ", giving up after {} on average",
            time(patience.as_secs_f64())
        );
    }
    words
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a morning"
)]
fn whole(seconds: f64) -> u64 {
    seconds.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts_are_shown_as_people_say_them() {
        let times = [0.44, 9.94, 9.96, 45.9, 750.0, 7_500.0].map(time);
        assert_eq!(
            times,
            [
                "0.4 s",
                "9.9 s",
                "10 s",
                "45 s",
                "12 min 30 s",
                "2 h 05 min"
            ]
        );
        let counts = [7, 1_000, 1_600_000].map(thousands);
        assert_eq!(counts, ["7", "1,000", "1,600,000"]);
    }
}
