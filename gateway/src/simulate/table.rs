//! The tables, and how they look on a terminal.

use std::fmt::Write as _;

use einlass_simulator::{Outcome, SchoolOutcome};

use super::rehearsal::{Changed, Rehearsal};
use super::summary::{PoolSummary, rows};
use super::words::{percent, thousands, time};

/// So many schools with the longest waits are named.
const LONGEST: usize = 10;

/// A heading, the columns' names, and the cells.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) title: &'static str,
    /// What the numbers mean, where the names do not say.
    pub(super) note: &'static str,
    /// So many columns from the left hold words, the others numbers.
    pub(super) words: usize,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// All of it as text.
pub(super) fn show(rehearsal: &Rehearsal) -> String {
    let mut out = format!("{}\n", rehearsal.morning.scenario.name);
    for sentence in &rehearsal.morning.assumed {
        let _ = writeln!(out, "  assumed: {sentence}");
    }
    for table in all(rehearsal) {
        let _ = write!(out, "\n{}", text(&table));
    }
    let _ = writeln!(
        out,
        "\nPlayed in {:.1} s, with all changes in {:.1} s",
        rehearsal.took.as_secs_f64(),
        rehearsal.took_in_all.as_secs_f64()
    );
    out
}

/// Every table that says something.
pub(super) fn all(rehearsal: &Rehearsal) -> Vec<Table> {
    let tables = [
        pools(&rehearsal.pools),
        longest(&rehearsal.outcome),
        by_size(&rehearsal.pools),
        changes(rehearsal),
        others(rehearsal),
    ];
    tables
        .into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect()
}

fn pools(pools: &[PoolSummary]) -> Table {
    let row = |row: &PoolSummary| {
        vec![
            row.pool.clone(),
            thousands(row.came),
            thousands(row.admitted),
            thousands(row.gave_up),
            thousands(row.left),
            waited(row, row.wait.p50),
            waited(row, row.wait.p90),
            waited(row, row.wait.p99),
            emptied(row),
            used(row),
            thousands(row.most_in_flight.into()),
            thousands(row.errors),
        ]
    };
    let columns = [
        "pool",
        "came",
        "in",
        "gave up",
        "left",
        "wait p50",
        "p90",
        "p99",
        "queue empty at",
        "used",
        "in flight",
        "errors",
    ];
    Table {
        words: 1,
        title: "What happens",
        note: "Waits are from coming to being in. `left` were neither in nor had given up when it ended; `used` is the part of the capacity used while somebody waited; `in flight` the most logins at once. Own servers are summed up: the worst of each.",
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows(pools).iter().map(row).collect(),
    }
}

fn longest(outcome: &Outcome) -> Table {
    let mut schools: Vec<(&str, &SchoolOutcome)> = outcome
        .pools
        .iter()
        .flat_map(|pool| pool.schools.iter().map(|school| (&*pool.pool, school)))
        .filter(|(_, school)| school.admitted > 0)
        .collect();
    schools.sort_by(|(_, one), (_, other)| other.wait.p90.total_cmp(&one.wait.p90));
    schools.truncate(LONGEST);
    let row = |(pool, school): (&str, &SchoolOutcome)| {
        vec![
            school.school.clone(),
            pool.to_owned(),
            thousands(school.pupils.into()),
            thousands(school.came),
            thousands(school.admitted),
            time(school.wait.p50),
            time(school.wait.p90),
            time(school.wait.max),
        ]
    };
    let columns = [
        "school", "pool", "pupils", "came", "in", "wait p50", "p90", "longest",
    ];
    Table {
        words: 2,
        title: "Schools with the longest waits",
        note: "",
        columns: columns.map(str::to_owned).to_vec(),
        rows: schools.into_iter().map(row).collect(),
    }
}

fn by_size(pools: &[PoolSummary]) -> Table {
    let shared = || pools.iter().filter(|pool| !pool.own_server);
    let classes = shared().next().map_or(&[][..], |pool| &pool.by_size);
    let labels = classes.iter().map(|class| class.label.clone());
    let row = |pool: &PoolSummary| {
        let cells = pool.by_size.iter().map(|class| match class.wait_p50 {
            Some(wait) => format!("{} ({})", time(wait), class.schools),
            None => "–".to_owned(),
        });
        std::iter::once(pool.pool.clone()).chain(cells).collect()
    };
    Table {
        words: 1,
        title: "Median wait by school size",
        note: "By enrolled pupils; in brackets how many schools.",
        columns: std::iter::once("pool".to_owned()).chain(labels).collect(),
        rows: shared().map(row).collect(),
    }
}

fn changes(rehearsal: &Rehearsal) -> Table {
    let cells = |row: &PoolSummary| {
        vec![
            waited(row, row.wait.p50),
            waited(row, row.wait.p90),
            waited(row, row.wait.p99),
            emptied(row),
            thousands(row.most_in_flight.into()),
        ]
    };
    let columns = [
        "pool",
        "change",
        "wait p50",
        "p90",
        "p99",
        "queue empty at",
        "in flight",
    ];
    Table {
        words: 2,
        title: "What would change",
        note: "The same morning, played again. Where the cap is fixed, it grows with the cores.",
        columns: columns.map(str::to_owned).to_vec(),
        rows: beside(rehearsal, &rehearsal.changed, cells),
    }
}

fn others(rehearsal: &Rehearsal) -> Table {
    let cells = |row: &PoolSummary| {
        vec![
            thousands(row.admitted),
            thousands(row.left),
            thousands(row.errors),
            waited(row, row.ended),
            waited(row, row.wait.p50),
            waited(row, row.wait.p99),
            used(row),
            format!("{:.1}", row.slowdown.p99),
        ]
    };
    let columns = [
        "pool",
        "way",
        "in",
        "left",
        "errors",
        "last in at",
        "wait p50",
        "p99",
        "used",
        "login p99",
    ];
    Table {
        words: 2,
        title: "Other ways to let logins in",
        note: "The same morning with each of them, set for the capacity at the start. `login p99` is how long a login takes at the backend, as a multiple of what it takes alone.",
        columns: columns.map(str::to_owned).to_vec(),
        rows: beside(rehearsal, &rehearsal.against, cells),
    }
}

/// Every pool as it is, and under it what becomes of it otherwise; nothing if there is no otherwise.
fn beside(
    rehearsal: &Rehearsal,
    otherwise: &[Changed],
    cells: impl Fn(&PoolSummary) -> Vec<String>,
) -> Vec<Vec<String>> {
    if otherwise.is_empty() {
        return Vec::new();
    }
    let otherwise: Vec<(&str, Vec<PoolSummary>)> = otherwise
        .iter()
        .map(|changed| (changed.what, rows(&changed.pools)))
        .collect();
    let mut lines = Vec::new();
    for (number, row) in rows(&rehearsal.pools).iter().enumerate() {
        let mut add = |pool: &str, what: &str, row: &PoolSummary| {
            let words = [pool.to_owned(), what.to_owned()];
            lines.push(words.into_iter().chain(cells(row)).collect());
        };
        add(&row.pool, "as it is", row);
        for (what, rows) in &otherwise {
            if let Some(row) = rows.get(number) {
                add("", what, row);
            }
        }
    }
    lines
}

/// A time of those who got in; nothing if nobody did.
fn waited(row: &PoolSummary, seconds: f64) -> String {
    if row.admitted == 0 {
        "–".to_owned()
    } else {
        time(seconds)
    }
}

/// The part of the capacity that was used; nothing if nobody got in.
fn used(row: &PoolSummary) -> String {
    if row.admitted == 0 {
        "–".to_owned()
    } else {
        percent(row.used)
    }
}

fn emptied(row: &PoolSummary) -> String {
    match row.queue_empty_at {
        None => "not yet".to_owned(),
        Some(at) if at <= 0.0 => "no queue".to_owned(),
        Some(at) => time(at),
    }
}

/// Columns side by side: words to the left, numbers to the right.
fn text(table: &Table) -> String {
    let lines = || std::iter::once(&table.columns).chain(&table.rows);
    let width = |column: usize| {
        let cells = lines().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let mut out = format!("{}\n", table.title);
    for line in lines() {
        let mut shown = String::from(" ");
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if column < table.words {
                write!(shown, " {cell:<width$}")
            } else {
                write!(shown, "  {cell:>width$}")
            };
        }
        let _ = writeln!(out, "{}", shown.trim_end());
    }
    if !table.note.is_empty() {
        let _ = writeln!(out, "  {}", table.note);
    }
    out
}
