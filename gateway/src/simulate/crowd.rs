//! Who comes to which pool.

use einlass_config::scenario::{Shape, Size, Step, Wave};
use einlass_simulator::Steps;

use super::draft::Draft;

/// The waves of each pool, in the order of the pools.
pub(super) fn waves(drafts: &[Draft], waves: &[Wave]) -> Vec<Vec<einlass_simulator::Wave>> {
    let mut by_pool = vec![Vec::new(); drafts.len()];
    for wave in waves {
        for (place, part) in shares(drafts, wave) {
            by_pool[place.pool].push(einlass_simulator::Wave {
                school: place.school,
                size: part,
                from: wave.from,
                over: wave.over,
                shape: match wave.shape {
                    Shape::Even => einlass_simulator::Shape::Even,
                    Shape::Bell => einlass_simulator::Shape::Bell,
                },
                no_shows: steps(&wave.no_shows),
                patience: wave.patience,
            });
        }
    }
    by_pool
}

/// Steps as the simulator wants them; none is 0.
pub(super) fn steps(said: &[Step]) -> Steps {
    let pairs = said.iter().map(|step| (step.at, step.is)).collect();
    Steps::new(pairs).unwrap_or_else(|| Steps::constant(0.0))
}

/// A pool by its place in the list, and one of its schools if only that is meant.
#[derive(Clone, Copy)]
struct Place {
    pool: usize,
    school: Option<usize>,
}

/// Which pools a wave comes to. So many pupils are dealt out by enrolment, and none is lost.
fn shares(drafts: &[Draft], wave: &Wave) -> Vec<(Place, einlass_simulator::Size)> {
    let places: Vec<Place> = (0..drafts.len())
        .filter_map(|pool| place(&drafts[pool], pool, wave))
        .collect();
    let pupils = match wave.size {
        Size::Enrolled(part) => {
            let part = einlass_simulator::Size::Enrolled(part);
            return places.into_iter().map(|place| (place, part)).collect();
        }
        Size::Pupils(pupils) => f64::from(pupils),
    };
    let all: f64 = places.iter().map(|place| enrolled(drafts, *place)).sum();
    let (mut seen, mut dealt) = (0.0, 0);
    let mut deal = |place: Place| {
        seen += enrolled(drafts, place);
        let until = whole(pupils * seen / all);
        let size = einlass_simulator::Size::Pupils(until - dealt);
        dealt = until;
        (place, size)
    };
    places.into_iter().map(&mut deal).collect()
}

/// Regions and schools that have a wave of their own and no pool that is played.
pub(super) fn shut_out<'w>(drafts: &[Draft], waves: &'w [Wave]) -> Vec<&'w str> {
    let none = |wave: &&Wave| {
        let mut pools = drafts.iter().enumerate();
        !pools.any(|(pool, draft)| place(draft, pool, wave).is_some())
    };
    let of = |wave: &'w Wave| wave.school.as_deref().or(wave.region.as_deref());
    waves.iter().filter(none).filter_map(of).collect()
}

fn place(draft: &Draft, pool: usize, wave: &Wave) -> Option<Place> {
    if wave
        .region
        .as_ref()
        .is_some_and(|name| *name != draft.region)
    {
        return None;
    }
    let school = match &wave.school {
        None => None,
        Some(name) => Some(draft.schools.iter().position(|s| s.name == *name)?),
    };
    Some(Place { pool, school })
}

fn enrolled(drafts: &[Draft], place: Place) -> f64 {
    let schools = &drafts[place.pool].schools;
    match place.school {
        Some(school) => f64::from(schools[school].pupils),
        None => schools.iter().map(|school| f64::from(school.pupils)).sum(),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of pupils that has been checked"
)]
fn whole(pupils: f64) -> u32 {
    pupils.round() as u32
}

#[cfg(test)]
mod tests {
    use einlass_config::scenario;

    use super::*;

    #[test]
    fn a_number_of_pupils_is_dealt_out_over_the_pools_and_none_is_lost() {
        let text = "[region.a]\nschools = { count = 7, pupils = [10, 90] }\nown_servers = { share = 0.4 }\n[region.b]\nschools = { count = 3 }\n[[wave]]\npupils = 1001";
        let scenario = scenario::load_str("s", text, None).unwrap();
        let drafts = super::super::draft::all(None, &scenario);
        assert_eq!(drafts.len(), 4);
        let sizes = waves(&drafts, &scenario.waves);
        let dealt: u32 = sizes
            .iter()
            .map(|waves| match waves[0].size {
                einlass_simulator::Size::Pupils(pupils) => pupils,
                einlass_simulator::Size::Enrolled(_) => panic!("not a number"),
            })
            .sum();
        assert_eq!(dealt, 1_001);
    }

    #[test]
    fn a_wave_of_one_school_comes_to_its_pool_only() {
        let text = "[region.a]\nschools = { count = 2 }\n[region.b]\nschools = { count = 3 }\n[[wave]]\nschool = \"b-2\"";
        let scenario = scenario::load_str("s", text, None).unwrap();
        let drafts = super::super::draft::all(None, &scenario);
        let waves = waves(&drafts, &scenario.waves);
        assert!(waves[0].is_empty());
        assert_eq!(waves[1][0].school, Some(1));
    }
}
