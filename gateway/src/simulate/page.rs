//! One self-contained HTML page: tables, plots, and the numbers under the plots.

use askama::Template;
use einlass_simulator::{Pool, PoolOutcome};

use super::error::Error;
use super::plots::{self, Plot};
use super::rehearsal::Rehearsal;
use super::table::{self, Table};
use super::words::{thousands, time};

/// So many pools have plots: the regions' own first, then those with the longest waits.
const WITH_PLOTS: usize = 12;
/// So many rows of numbers under the plots.
const ROWS: usize = 24;

#[derive(Template)]
#[template(path = "simulate.html")]
struct Page<'a> {
    name: &'a str,
    assumed: &'a [String],
    tables: Vec<Table>,
    pools: Vec<Plotted<'a>>,
    /// Pools that are in the tables only.
    without: usize,
    took: String,
}

struct Plotted<'a> {
    name: &'a str,
    plots: Vec<Plot>,
    numbers: Table,
}

pub(super) fn show(rehearsal: &Rehearsal) -> Result<String, Error> {
    let mut pairs: Vec<(&Pool, &PoolOutcome)> = rehearsal
        .morning
        .scenario
        .pools
        .iter()
        .zip(&rehearsal.outcome.pools)
        .collect();
    pairs.sort_by(|(_, one), (_, other)| {
        let own = |pool: &PoolOutcome| pool.pool != pool.region;
        let longer = other.wait.p90.total_cmp(&one.wait.p90);
        own(one).cmp(&own(other)).then(longer)
    });
    let without = pairs.len().saturating_sub(WITH_PLOTS);
    pairs.truncate(WITH_PLOTS);
    let plotted = |(pool, outcome): (&'_ Pool, &'_ PoolOutcome)| {
        Ok((plots::all(pool, outcome)?, numbers(pool, outcome)))
    };
    let names: Vec<&str> = pairs.iter().map(|(pool, _)| &*pool.name).collect();
    let drawn: Result<Vec<_>, Error> = pairs.into_iter().map(plotted).collect();
    let pools = names.into_iter().zip(drawn?);
    let page = Page {
        name: &rehearsal.morning.scenario.name,
        assumed: &rehearsal.morning.assumed,
        tables: table::all(rehearsal),
        pools: pools
            .map(|(name, (plots, numbers))| Plotted {
                name,
                plots,
                numbers,
            })
            .collect(),
        without,
        took: format!("{:.1} s", rehearsal.took.as_secs_f64()),
    };
    Ok(page.render()?)
}

/// What the plots over time show, at some moments.
fn numbers(pool: &Pool, outcome: &PoolOutcome) -> Table {
    let every = outcome.series.len().div_ceil(ROWS).max(1);
    let seconds = outcome.series.iter().enumerate().step_by(every);
    let wait = |wait: Option<f32>| wait.map_or("–".to_owned(), |wait| time(wait.into()));
    let row = |(at, second): (usize, &einlass_simulator::Second)| {
        let capacity = pool
            .backend
            .capacity(std::time::Duration::from_secs(at as u64));
        vec![
            time(at as f64),
            thousands(second.waiting.into()),
            format!("{:.0}", second.in_flight),
            thousands(second.cap.into()),
            format!("{:.1}", second.cores),
            thousands(second.logins.into()),
            format!("{capacity:.1}"),
            wait(second.promised),
            wait(second.waited),
        ]
    };
    let columns = [
        "time",
        "waiting",
        "in flight",
        "cap",
        "cores",
        "logins/s",
        "capacity",
        "promised",
        "true wait",
    ];
    Table {
        words: 0,
        title: "Numbers",
        note: "Single seconds of the morning.",
        columns: columns.map(str::to_owned).to_vec(),
        rows: seconds.map(row).collect(),
    }
}
