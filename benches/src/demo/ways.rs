//! Every scenario, with the room and with other ways to let logins in, each played in virtual time by the gateway's
//! own `simulate`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::DemoError;
use super::machine::Machine;
use crate::table::{Table, seconds};

/// Scenarios, relative to where the program is run; those in folders of their own were made after the pacer was tuned
/// to the others, each folder after the one before, and nothing has been changed since those of the last were first
/// played.
const FOLDERS: [&str; 5] = [
    "benches/scenarios",
    "benches/scenarios/fresh",
    "benches/scenarios/made_2026_11_26",
    "benches/scenarios/made_2026_11_27",
    "benches/scenarios/made_2026_11_27_evening",
];
const OURS: &str = "Einlass";

/// What came of every scenario.
pub struct Ways {
    machine: Machine,
    mornings: Vec<Morning>,
}

struct Morning {
    name: String,
    /// What the scenario's file says of itself.
    about: String,
    lines: Vec<Line>,
}

/// A way to let logins in, and what came of a morning with it, over all pools: sums of people, the worst of the rest.
#[derive(Debug)]
struct Line {
    way: String,
    all: Pool,
}

#[derive(Deserialize)]
struct Report {
    pools: Vec<Pool>,
    against: Vec<Against>,
}

#[derive(Deserialize)]
struct Against {
    what: String,
    pools: Vec<Pool>,
}

#[derive(Debug, Default, Deserialize)]
struct Pool {
    came: u64,
    admitted: u64,
    gave_up: u64,
    left: u64,
    errors: u64,
    ended: f64,
    wait: Quantiles,
    used: f64,
    slowdown: Quantiles,
    /// Of logins over enrolled pupils, while all the schools wait; `None` if they hardly ever do.
    jain: Option<f64>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
struct Quantiles {
    p50: f64,
    p99: f64,
}

/// Plays all of them; takes minutes.
///
/// # Errors
/// No gateway beside this program, no scenarios where this is run, or a scenario that cannot be played.
pub fn ways() -> Result<Ways, DemoError> {
    let program = std::env::current_exe()?.with_file_name("einlass");
    if !program.exists() {
        return Err(DemoError::NoGateway(program));
    }
    let mut mornings = Vec::new();
    for file in scenarios()? {
        let morning = Morning::play(&program, &file)?;
        println!("{}\n{}", morning.name, morning.table().text());
        mornings.push(morning);
    }
    Ok(Ways {
        machine: Machine::this(),
        mornings,
    })
}

fn scenarios() -> Result<Vec<PathBuf>, DemoError> {
    let mut all = Vec::new();
    for folder in FOLDERS {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let file = entry?.path();
            if file.extension().is_some_and(|ending| ending == "toml") {
                files.push(file);
            }
        }
        files.sort();
        all.extend(files);
    }
    Ok(all)
}

impl Morning {
    fn play(program: &Path, file: &Path) -> Result<Self, DemoError> {
        let folder = tempfile::tempdir()?;
        let json = folder.path().join("report.json");
        let status = Command::new(program)
            .args(["simulate", "--once", "--against", "--scenario"])
            .arg(file)
            .arg("--json")
            .arg(&json)
            .stdout(Stdio::null())
            .status()?;
        let unplayable = |reason: String| DemoError::Unplayable {
            scenario: file.to_path_buf(),
            reason,
        };
        if !status.success() {
            return Err(unplayable(status.to_string()));
        }
        let report: Report = serde_json::from_slice(&std::fs::read(&json)?)
            .map_err(|error| unplayable(error.to_string()))?;
        let ours = Line::of(OURS, &report.pools);
        let others = report.against.iter();
        let others = others.map(|other| Line::of(&other.what, &other.pools));
        let text = std::fs::read_to_string(file)?;
        let about = text.lines().map_while(|line| line.strip_prefix('#'));
        Ok(Self {
            name: file
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            about: about.map(str::trim).collect::<Vec<_>>().join(" "),
            lines: std::iter::once(ours).chain(others).collect(),
        })
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            "",
            "in",
            "gave up",
            "left outside",
            "errors",
            "last in at",
            "wait, median",
            "wait, 99 %",
            "capacity used",
            "login, 99 %",
            "Jain's index",
        ]);
        for line in &self.lines {
            table.row([
                line.way.clone(),
                line.all.admitted.to_string(),
                line.all.gave_up.to_string(),
                line.all.left.to_string(),
                line.all.errors.to_string(),
                seconds(line.all.ended),
                seconds(line.all.wait.p50),
                seconds(line.all.wait.p99),
                format!("{:.1} %", 100.0 * line.all.used),
                format!("{:.1}", line.all.slowdown.p99),
                line.all
                    .jain
                    .map_or_else(|| "–".to_owned(), |jain| format!("{jain:.3}")),
            ]);
        }
        table
    }

    /// Ways that let more people in than ours, or the same number sooner.
    fn better(&self) -> impl Iterator<Item = &Line> {
        let ours = self.lines.first();
        self.lines
            .iter()
            .skip(1)
            .filter(move |line| ours.is_some_and(|ours| line.beats(ours)))
    }
}

impl Quantiles {
    fn worse(self, other: Self) -> Self {
        Self {
            p50: self.p50.max(other.p50),
            p99: self.p99.max(other.p99),
        }
    }
}

impl Line {
    fn of(way: &str, pools: &[Pool]) -> Self {
        let start = Pool {
            used: 1.0,
            ..Pool::default()
        };
        let all = pools.iter().fold(start, |mut all, pool| {
            all.came += pool.came;
            all.admitted += pool.admitted;
            all.gave_up += pool.gave_up;
            all.left += pool.left;
            all.errors += pool.errors;
            all.ended = all.ended.max(pool.ended);
            all.used = all.used.min(pool.used);
            all.wait = all.wait.worse(pool.wait);
            all.slowdown = all.slowdown.worse(pool.slowdown);
            all.jain = all.jain.into_iter().chain(pool.jain).reduce(f64::min);
            all
        });
        Self {
            way: way.to_owned(),
            all,
        }
    }

    fn beats(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.all, &other.all);
        ours.admitted > theirs.admitted
            || (ours.admitted == theirs.admitted && ours.ended < theirs.ended)
    }

    /// When everybody was in, or how many never were.
    fn brief(&self) -> String {
        match self.all.left {
            0 => seconds(self.all.ended),
            left => format!("{left} left"),
        }
    }
}

impl Ways {
    /// What is shown at the end.
    pub fn text(&self) -> String {
        self.overview().text()
    }

    /// The whole report as a document; `command` is what makes it again.
    pub fn markdown(&self, command: &str) -> String {
        let mut text = String::from("# The room against other ways to let logins in\n\n");
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Made by `{command}` on {}, in virtual time: the figures are the same on every machine.\n\n{READING}\n\
             When the last of those who got in was in, or how many were left outside when the morning ended:\n\n{}\n",
            self.machine,
            self.overview().markdown(),
        );
        text += "Where another way let more people in than Einlass, or as many sooner:\n\n";
        let mut lost = 0;
        for morning in &self.mornings {
            for line in morning.better() {
                lost += 1;
                let ours = morning.lines.first().map_or(0.0, |ours| ours.all.ended);
                let _ = writeln!(
                    text,
                    "- `{}`: {}, {} in, the last at {} (Einlass: {})",
                    morning.name,
                    line.way,
                    line.all.admitted,
                    seconds(line.all.ended),
                    seconds(ours),
                );
            }
        }
        if lost == 0 {
            text += "- nowhere\n";
        }
        for morning in &self.mornings {
            let _ = write!(
                text,
                "\n## {}\n{}\n\n{}",
                morning.name,
                morning.about,
                morning.table().markdown()
            );
        }
        text
    }

    /// Nothing is promised of scenarios, but that every pupil is accounted for.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for morning in &self.mornings {
            for line in &morning.lines {
                if line.all.came != line.all.admitted + line.all.gave_up + line.all.left {
                    broken.push(format!("{}, {}: somebody is lost", morning.name, line.way));
                }
            }
        }
        broken
    }

    fn overview(&self) -> Table {
        let ways = self.mornings.first();
        let ways = ways.into_iter().flat_map(|morning| &morning.lines);
        let columns = ways.map(|line| line.way.clone());
        let mut table = Table::of(std::iter::once(String::new()).chain(columns).collect());
        for morning in &self.mornings {
            let cells = morning.lines.iter().map(Line::brief);
            table.add(std::iter::once(morning.name.clone()).chain(cells).collect());
        }
        table
    }
}

const READING: &str = "\
Einlass is the gateway's own room and pacer, which are not told the capacity, but know from an earlier day what the \
backends could do then, as a gateway does that has run before; where a scenario says so it is the first day. The others are models, each set as \
somebody would who knows what the backends can do at the start of the morning: a *fixed cap* of 1.25 logins in flight \
per core and an *AIMD cap* (one more a second, halved by a time-out of 5 s), both with the room in front; *one line for \
all*, which is the room and its pacer without schools; a *fixed rate* of 75 % of the capacity, with pages that ask every \
5 s; *whole minutes*, the same rate in portions of a minute from which those count who were called within 5 minutes and \
have not come, with pages that look every 20 s; *replaced on expiry*, so many let in at once that the backends would be \
full if nobody stayed away, and replaced after a minute; and a *rate per address* of one login a second, with a school \
behind each address.

*Left outside* were neither in nor had given up when the scenario ended. *Capacity used* counts the time in which \
somebody waited, and *login, 99 %* is how long a login takes at the backend as a multiple of what it takes alone. *Jain's index* \
says how evenly the schools were served for their size while all of them waited: 1 is even, and the fewer of them are \
served the nearer it is to 0. Of a \
scenario with several pools people are summed up, and of the rest the worst pool is shown.

The fixed cap is told what Einlass has to find out on a first day, and has the same room in front; so little more can \
be expected while the capacity stays as it was, and not where it grows. Whoever closes the tab when told to wait gets in \
where nobody is told to: that is why the rate per address lets more people in where there are no-shows.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn line(admitted: u64, ended: f64) -> Line {
        Line {
            way: String::new(),
            all: Pool {
                admitted,
                ended,
                ..Pool::default()
            },
        }
    }

    #[test]
    fn more_people_are_better_than_sooner_and_sooner_is_better_than_later() {
        assert!(line(10, 90.0).beats(&line(9, 60.0)));
        assert!(line(9, 50.0).beats(&line(9, 60.0)));
        assert!(!line(9, 60.0).beats(&line(9, 60.0)));
        assert!(!line(8, 10.0).beats(&line(9, 60.0)));
    }

    #[test]
    fn several_pools_are_one_line_with_the_worst_of_each() {
        let pool = |admitted, used, p99| Pool {
            came: admitted + 1,
            admitted,
            gave_up: 0,
            left: 1,
            errors: 0,
            ended: p99,
            wait: Quantiles { p50: 1.0, p99 },
            used,
            slowdown: Quantiles::default(),
            jain: Some(1.0 - p99 / 10.0),
        };
        let line = Line::of("x", &[pool(3, 0.9, 7.0), pool(4, 0.8, 5.0)]);
        assert_eq!((line.all.admitted, line.all.left), (7, 2));
        assert!((line.all.used - 0.8).abs() < 1e-9 && (line.all.wait.p99 - 7.0).abs() < 1e-9);
        assert!(line.all.jain.is_some_and(|jain| (jain - 0.3).abs() < 1e-9));
        assert_eq!(line.brief(), "2 left");
    }
}
