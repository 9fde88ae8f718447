//! The whole breadth on one page: 4 to 400 cores, 20 ms to 2 s for a hash, two to ten times the load, 1, 3 and 8
//! gateways, with a pacer that knows the backend from an earlier day and with one that knows nothing.
//!
//! `cargo run --package einlass-simulator --example matrix -- [--only TEXT] [FILE]` plays every cell with each seed,
//! writes what came of them as Markdown to the file or to the terminal, and fails if a cell of a known day misses what
//! is asked for. `--only` plays those cells whose names have the text in them.
//!
//! The figures are exact: the same on every machine.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a morning"
)]

#[path = "../tests/mornings/mod.rs"]
mod mornings;

use std::fmt::{self, Display, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use einlass_simulator::{PoolOutcome, Scenario, Second, simulate};
use mornings::{gateways, pool, settling};

const CORES: [f64; 3] = [4.0, 40.0, 400.0];
const HASHES: [f64; 3] = [0.02, 0.25, 2.0];
const LOADS: [f64; 3] = [2.0, 4.0, 10.0];
const GATEWAYS: [usize; 3] = [1, 3, 8];
const SEEDS: [u64; 2] = [7, 1_913];

/// What is asked for, of the capacity there truly is: used while somebody waits, and in any ten seconds once settled.
const USED: f64 = 0.95;
const LEAST: f64 = 0.9;
/// Of a hundred logins ninety-nine take no longer than so many times as long as alone.
const SLOWDOWN: f64 = 3.0;
/// Ten seconds after its start a morning is settled, if the pacer knows the backend.
const SETTLING: f64 = 10.0;
/// Somebody waits: more than so many seconds of work.
const BACKLOG: f64 = 2.0;
/// A pacer that knows nothing begins with so many slots, and hears of the first logins after so many times as long as
/// one takes: of those that began together the short ones end first.
const FIRST_SLOTS: f64 = 4.0;
const FIRST_LOGINS: f64 = 3.0;

/// What one morning is like.
#[derive(Clone, Copy, PartialEq)]
struct Cell {
    known: bool,
    cores: f64,
    hash: f64,
    load: f64,
    gateways: usize,
    seed: u64,
}

impl Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = if self.known { "known day" } else { "first day" };
        let (cores, hash, gateways) = (self.cores, self.hash, self.gateways);
        write!(f, "{day}, {cores} cores, {hash} s, {gateways} gateways, ")?;
        write!(f, "load {}, seed {}", self.load, self.seed)
    }
}

impl Cell {
    /// All of them; those that share a line of the table one after the other.
    fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for known in [true, false] {
            for (cores, hash) in CORES.into_iter().flat_map(|c| HASHES.map(|h| (c, h))) {
                for gateways in GATEWAYS {
                    for (load, seed) in LOADS.into_iter().flat_map(|l| SEEDS.map(|s| (l, s))) {
                        cells.push(Self {
                            known,
                            cores,
                            hash,
                            load,
                            gateways,
                            seed,
                        });
                    }
                }
            }
        }
        cells
    }

    /// Whether both are in one line of the table.
    fn is_beside(&self, other: &Self) -> bool {
        let all_but = Self {
            load: self.load,
            seed: self.seed,
            ..*other
        };
        *self == all_but
    }

    fn play(&self) -> Played {
        // There 800,000 logins are enough to say.
        let lasting = if self.cores / self.hash > 10_000.0 {
            40.0
        } else {
            120.0
        };
        let mut pool = pool(self.cores, self.hash, self.load, lasting);
        pool.admission.first_day = !self.known;
        let work = BACKLOG * pool.backend.capacity(Duration::ZERO);
        let mut outcome = simulate(&Scenario {
            name: self.to_string(),
            seed: self.seed,
            longest: Duration::from_hours(1),
            fleet: gateways(self.gateways),
            pools: vec![pool],
        });
        Played::new(self, work, &outcome.pools.remove(0))
    }

    /// Seconds until it must be known what the backend can do. To find that out from the first few slots takes the
    /// cap one doubling after the other, and each of them two logins' time: only what has begun under the higher cap
    /// says anything about it.
    fn settles(&self) -> f64 {
        if self.known {
            return SETTLING;
        }
        let doublings = (self.cores / FIRST_SLOTS).log2().ceil() + 1.0;
        let found = self.hash * (FIRST_LOGINS + 2.0 * doublings);
        SETTLING.max(found + settling(self.hash) - 10.0 * self.hash)
    }
}

/// What came of a cell.
struct Played {
    cell: Cell,
    used: f64,
    settled: f64,
    least: f64,
    slowdown: f64,
    errors: u64,
    misses: Vec<String>,
}

impl Played {
    fn new(cell: &Cell, work: f64, outcome: &PoolOutcome) -> Self {
        let (settled, least) = if cell.known {
            let least = outcome.used_least.unwrap_or(f64::NAN);
            (outcome.used_settled, least)
        } else {
            settled_later(&outcome.series, cell.settles(), work)
        };
        let mut played = Self {
            cell: *cell,
            used: outcome.used,
            settled,
            least,
            slowdown: outcome.slowdown.p99,
            errors: outcome.errors,
            misses: Vec::new(),
        };
        if cell.known {
            played.limit("used", outcome.used, outcome.used >= USED);
        }
        played.limit("used, settled", settled, settled >= USED);
        played.limit("least used in 10 s", least, least >= LEAST);
        let slow = played.slowdown;
        played.limit("login, 99 %", slow, slow <= SLOWDOWN);
        played.limit("errors", outcome.errors as f64, outcome.errors == 0);
        let left = (outcome.came - outcome.admitted - outcome.gave_up) as f64;
        played.limit("left outside", left, left <= 0.0);
        played
    }

    fn limit(&mut self, what: &str, is: f64, holds: bool) {
        if !holds {
            self.misses.push(format!("{what}: {is:.3}"));
        }
    }
}

/// The part used from so many seconds on while more than `work` logins wait, and the least part in any ten seconds; no
/// numbers if there are none.
fn settled_later(series: &[Second], from: f64, work: f64) -> (f64, f64) {
    let used = |seconds: &[Second]| {
        let busy: f64 = seconds.iter().map(|s| f64::from(s.busy)).sum();
        busy / seconds.iter().map(|s| f64::from(s.cores)).sum::<f64>()
    };
    let from = series.len().min(from.ceil() as usize);
    let backlogged = |s: &Second| f64::from(s.waiting) > work;
    let until = series[from..].iter().position(|s| !backlogged(s));
    let settled = &series[from..until.map_or(series.len(), |n| from + n)];
    let least = settled.windows(10).map(used).fold(f64::NAN, f64::min);
    (used(settled), least)
}

/// Plays them, as many at a time as there are cores here.
fn play(cells: &[Cell]) -> Vec<Played> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut played = Vec::new();
        while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            let came = cell.play();
            eprintln!("{cell}: {}", came.misses.join(", "));
            played.push(came);
        }
        played
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut played: Vec<Played> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect()
    });
    played.sort_by_key(|came| cells.iter().position(|cell| *cell == came.cell));
    played
}

const HEAD: &str = "# The breadth of the pacer

The gateway's own room and pacer in virtual time, in front of modelled backends whose capacity nobody tells them: from \
4 to 400 cores, from 20 ms to 2 s for a hash, with 1, 3 and 8 gateways that share the room. Each line is the worst of \
six mornings: twice, four and ten times the load, with two seeds each. `make matrix` wrote this page; the figures are \
the same on every machine.

On a known day the pacer has learnt the backend's no-load latency and cap before, and begins at half of that cap. On a \
first day it knows nothing and begins with four slots. Asked for is: 95 % of the true capacity used while somebody \
waits, and from the tenth second on; never under 90 % in any ten seconds of that; of a hundred logins ninety-nine in \
three times the time that one takes alone; no errors, and nobody left outside.

What cannot be is not asked for, and what it is stands here: on a first day the use before the pool is known does not \
count, and with slow logins that is more than ten seconds. From four slots to 400 it takes seven doublings and one \
more to see that it is enough, each of them two logins' time, since only logins that began under the higher cap say \
anything about it; before that three logins' time for the first answers, since the short ones of those that began \
together end first; and two windows after it. That is 18 s at 4 cores and 2 s, 34 s at 40, 46 s at 400; at a quarter \
of a second and less it is within the ten.
";

/// The page.
fn page(played: &[Played]) -> Result<String, fmt::Error> {
    let mut page = HEAD.to_owned();
    for (known, day) in [(true, "Known day"), (false, "First day")] {
        let lines: Vec<&[Played]> = played
            .chunk_by(|one, other| one.cell.is_beside(&other.cell))
            .filter(|line| line[0].cell.known == known)
            .collect();
        if lines.is_empty() {
            continue;
        }
        writeln!(page, "\n## {day}\n")?;
        page += "| cores | hash | gateways | used | settled | least in 10 s | login, 99 % | errors | miss something |\n";
        page += "|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
        for line in lines {
            write_line(&mut page, line)?;
        }
    }
    let missed = || played.iter().filter(|came| !came.misses.is_empty());
    let (all, missing) = (played.len(), missed().count());
    writeln!(page, "\n{missing} of {all} mornings miss something.")?;
    if missing > 0 {
        page.push('\n');
    }
    for came in missed() {
        writeln!(page, "- {}: {}", came.cell, came.misses.join(", "))?;
    }
    Ok(page)
}

fn write_line(page: &mut String, line: &[Played]) -> fmt::Result {
    let least = |of: fn(&Played) -> f64| line.iter().map(of).fold(f64::INFINITY, f64::min);
    let Cell {
        cores,
        hash,
        gateways,
        ..
    } = line[0].cell;
    let slow = line.iter().map(|came| came.slowdown).fold(0.0, f64::max);
    let errors: u64 = line.iter().map(|came| came.errors).sum();
    let missing = line.iter().filter(|came| !came.misses.is_empty()).count();
    writeln!(
        page,
        "| {cores} | {hash} s | {gateways} | {:.1} % | {:.1} % | {:.1} % | {slow:.2} x | {errors} | {missing} of {} |",
        100.0 * least(|came| came.used),
        100.0 * least(|came| came.settled),
        100.0 * least(|came| came.least),
        line.len(),
    )
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (mut only, mut file) = (String::new(), None);
    while let Some(arg) = args.next() {
        if arg == "--only" {
            only = args.next().ok_or("--only needs a part of a name")?;
        } else {
            file = Some(arg);
        }
    }
    let mut cells = Cell::all();
    cells.retain(|cell| cell.to_string().contains(&only));
    if cells.is_empty() {
        return Err(format!("no cell has \"{only}\" in its name").into());
    }
    let played = play(&cells);
    let page = page(&played)?;
    match file {
        Some(file) => std::fs::write(&file, page).map_err(|why| format!("{file}: {why}"))?,
        None => print!("{page}"),
    }
    let missed = |came: &&Played| came.cell.known && !came.misses.is_empty();
    let bad = played.iter().filter(missed).count();
    if bad > 0 {
        eprintln!("{bad} mornings of a known day miss what is asked for");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
