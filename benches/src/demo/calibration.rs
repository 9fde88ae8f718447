//! How much this machine can hash, so that the crowd is neither bored nor here for ever.

use std::thread;
use std::time::{Duration, Instant};

use super::DemoError;
use super::grounds::Site;
use crate::platform::{HashCost, PlatformError};

/// What a login costs: as much as a sensibly configured platform spends on a password.
const HASH: Duration = Duration::from_millis(250);
/// Hashes that one [`HashCost::measure`] computes: the stored one, and three to compare.
const HASHES_PER_MEASURE: f64 = 4.0;
/// What is left for hashing by the crowd, the gateway and the pages.
const FOR_HASHING: f64 = 0.9;

/// The cost of a login that takes about 250 ms here, and what it really takes on an idle core.
pub(super) fn cost() -> Result<(HashCost, Duration), DemoError> {
    let cost = HashCost::about(HASH).map_err(PlatformError::from)?;
    let takes = cost.measure().map_err(PlatformError::from)?;
    Ok((cost, takes))
}

/// Logins per second that `workers` threads do on this machine with nothing else to do, at `takes` for each.
pub(super) fn undisturbed(workers: usize, takes: Duration) -> f64 {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    FOR_HASHING * workers.min(cores) as f64 / takes.as_secs_f64()
}

/// Logins per second that each of the sites can be expected to do while all of them are busy.
///
/// Measured with all their workers' threads at once: they share cores, caches and memory with each other and with
/// whatever else runs here.
pub(super) fn capacities(sites: &[Site], cost: HashCost) -> Result<Vec<f64>, DemoError> {
    let workers: usize = sites.iter().map(|site| site.workers).sum();
    let begun = Instant::now();
    let measured: Result<Vec<_>, _> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|_| scope.spawn(move || cost.measure()))
            .collect();
        // A thread that panicked has measured nothing; the others still tell how busy the machine is.
        let joined = threads.into_iter().filter_map(|thread| thread.join().ok());
        joined.collect()
    });
    measured.map_err(PlatformError::from)?;
    let per_worker = FOR_HASHING * HASHES_PER_MEASURE / begun.elapsed().as_secs_f64();
    let capacity = |site: &Site| site.workers as f64 * per_worker / f64::from(site.slowness);
    Ok(sites.iter().map(capacity).collect())
}
