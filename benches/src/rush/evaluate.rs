//! From the pupils' stories to the report's figures.

use super::report::{EtaQuality, Fairness, Report, SchoolReport, Waits};
use super::schools::School;
use super::story::{Ending, Path, Story, Told};
use super::timeline::{self, Second};
use super::world::World;
use crate::platform::Snapshot;

/// The report of a finished rush.
pub(super) fn report(world: &World, mut timeline: Vec<Second>, platforms: Vec<Snapshot>) -> Report {
    let (plan, live) = (&world.plan, &world.plan.live);
    let stories = world.stories.lock();
    // The last second is a part of one: what is not in the timeline yet.
    let sampled = timeline
        .iter()
        .fold(Second::default(), |sum, second| Second {
            arrived: sum.arrived + second.arrived,
            got_in: sum.got_in + second.got_in,
            waiting: 0,
            polls: sum.polls + second.polls,
            errors: sum.errors + second.errors,
        });
    timeline.push(timeline::sums(live).since(sampled));

    let came_by = |path| {
        stories
            .iter()
            .filter(|story| story.ending == Ending::GotIn && story.path == path)
            .count() as u64
    };
    let ended = |ending| {
        stories
            .iter()
            .filter(|story| story.ending == ending)
            .count() as u64
    };
    let (fairness, schools) = schools(&plan.schools, &stories);
    Report {
        name: plan.name.clone(),
        seed: plan.seed,
        shape: plan.shape,
        arrive_over: plan.arrive_over.as_secs_f64(),
        seconds: world.epoch.elapsed().as_secs_f64(),
        started: stories.len() as u64,
        got_in: ended(Ending::GotIn),
        gave_up: ended(Ending::GaveUp),
        no_show: ended(Ending::NoShow),
        failed: ended(Ending::Failed),
        errors: world
            .errors
            .lock()
            .iter()
            .map(|(trouble, count)| (trouble.to_string(), *count))
            .collect(),
        straight: came_by(Path::Straight),
        held: came_by(Path::Held),
        waited: came_by(Path::Waited),
        wait: waits(stories.iter()),
        eta_first: eta_quality(stories.iter().filter_map(|story| story.promises().next())),
        eta_all: eta_quality(stories.iter().flat_map(Story::promises)),
        polls: live.polls(),
        polls_per_second_max: timeline
            .iter()
            .map(|second| second.polls)
            .max()
            .unwrap_or(0),
        order_inversions: live.inversions(),
        shown_place_grew: live.place_grew(),
        asked_again: live.asked_again(),
        sent_back: live.sent_back(),
        lost_place: live.lost_place(),
        mistyped: live.mistyped(),
        reloads: live.reloads(),
        pages: live.pages(),
        fairness,
        schools,
        timeline,
        platforms,
    }
}

fn waits<'a>(stories: impl Iterator<Item = &'a Story>) -> Waits {
    let mut waits: Vec<f64> = stories
        .filter_map(|story| story.wait)
        .map(f64::from)
        .collect();
    waits.sort_by(f64::total_cmp);
    let at = |fraction| percentile(&waits, fraction);
    Waits {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max: at(1.0),
    }
}

fn eta_quality(promises: impl Iterator<Item = (Told, f32)>) -> EtaQuality {
    let mut covered = 0;
    let mut errors = Vec::new();
    for (Told { eta, .. }, truth) in promises {
        covered += u64::from((eta.low..=eta.high).contains(&truth));
        errors.push(f64::from(truth - eta.likely));
    }
    errors.sort_by(f64::total_cmp);
    let count = errors.len() as u64;
    EtaQuality {
        count,
        covered: (count > 0).then(|| covered as f64 / count as f64),
        error_p10: percentile(&errors, 0.1),
        error_p50: percentile(&errors, 0.5),
        error_p90: percentile(&errors, 0.9),
    }
}

/// The nearest-rank percentile of sorted values; 0 for none.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank is at most the length"
)]
pub(crate) fn percentile(sorted: &[f64], fraction: f64) -> f64 {
    let rank = (fraction * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

fn schools(plan: &[School], stories: &[Story]) -> (Fairness, Vec<SchoolReport>) {
    let mut by_school: Vec<Vec<&Story>> = vec![Vec::new(); plan.len()];
    for story in stories {
        by_school[usize::from(story.school)].push(story);
    }
    let window = contended(&by_school);
    let reports: Vec<SchoolReport> = plan
        .iter()
        .zip(&by_school)
        .map(|(school, stories)| {
            let turns = stories.iter().filter_map(|story| story.ready_at);
            let served = window.map_or(0, |(from, to)| {
                turns.filter(|at| *at >= from && *at <= to).count()
            }) as u64;
            SchoolReport {
                host: school.host.clone(),
                pupils: school.pupils,
                started: stories.len() as u64,
                got_in: stories
                    .iter()
                    .filter(|story| story.ending == Ending::GotIn)
                    .count() as u64,
                wait: waits(stories.iter().copied()),
                served,
                served_per_weight: served as f64 / f64::from(school.pupils.max(1)),
            }
        })
        .collect();
    let waited = reports
        .iter()
        .zip(&by_school)
        .filter(|(_, stories)| had_to_wait(stories));
    let jain = window.and_then(|_| jain(waited.map(|(report, _)| report.served_per_weight)));
    (
        Fairness {
            window: window.map(|(from, to)| (from.into(), to.into())),
            jain,
        },
        reports,
    )
}

fn had_to_wait(stories: &[&Story]) -> bool {
    stories.iter().any(|story| story.wait_from.is_some())
}

/// From when the last of the schools that had to wait began to, until the first of them had nobody waiting any more.
fn contended(by_school: &[Vec<&Story>]) -> Option<(f32, f32)> {
    let mut window: Option<(f32, f32)> = None;
    for stories in by_school.iter().filter(|stories| had_to_wait(stories)) {
        let from = stories
            .iter()
            .filter_map(|story| story.wait_from)
            .reduce(f32::min)?;
        let to = stories
            .iter()
            .filter_map(|story| story.ready_at)
            .reduce(f32::max)?;
        window = Some(window.map_or((from, to), |(latest, earliest)| {
            (latest.max(from), earliest.min(to))
        }));
    }
    window.filter(|(from, to)| from < to)
}

/// Jain, Chiu and Hawe, DEC-TR-301, 1984: (Σx)² / (n · Σx²).
fn jain(served: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for share in served {
        count += 1.0;
        sum += share;
        squares += share * share;
    }
    (squares > 0.0).then(|| sum * sum / (count * squares))
}

#[cfg(test)]
mod tests {
    use super::super::turn::Eta;
    use super::*;

    fn waited(school: u16, from: f32, ready: f32) -> Story {
        let mut story = Story::of(school);
        story.wait_began(from);
        story.ready(ready);
        story
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        for (fraction, expected) in [(0.5, 50.0), (0.9, 90.0), (0.99, 99.0), (1.0, 100.0)] {
            assert!((percentile(&values, fraction) - expected).abs() < 1e-9);
        }
        assert_eq!(percentile(&[], 0.5).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn a_school_served_twice_its_share_lowers_the_index() {
        assert!(jain([1.0, 1.0].into_iter()).unwrap() > 0.999);
        assert!((jain([1.0, 2.0].into_iter()).unwrap() - 0.9).abs() < 1e-9);
        assert_eq!(jain([0.0].into_iter()), None);
    }

    #[test]
    fn fairness_is_judged_while_all_who_wait_are_waiting() {
        let schools = [
            School::new("a", 100),
            School::new("b", 200),
            School::new("quiet", 50),
        ];
        let mut stories = vec![waited(0, 1.0, 3.0), waited(0, 1.0, 9.0), Story::of(2)];
        stories.extend([
            waited(1, 2.0, 2.5),
            waited(1, 2.0, 4.0),
            waited(1, 2.0, 6.0),
        ]);
        let (fairness, reports) = super::schools(&schools, &stories);
        assert_eq!(fairness.window, Some((2.0, 6.0)));
        assert_eq!(
            (reports[0].served, reports[1].served, reports[2].served),
            (1, 3, 0)
        );
        let expected = jain([0.01, 0.015].into_iter()).unwrap();
        assert!((fairness.jain.unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn an_eta_is_covered_when_the_truth_lies_within() {
        let eta = Eta {
            low: 1.0,
            likely: 2.0,
            high: 4.0,
        };
        let told = Told { at: 0.0, eta };
        let quality = eta_quality([(told, 3.0), (told, 5.0)].into_iter());
        assert_eq!((quality.count, quality.covered), (2, Some(0.5)));
        assert!((quality.error_p90 - 3.0).abs() < 1e-9);
    }
}
