//! Schools that a scenario makes up: `schools = { count = 500, pupils = [200, 1400] }`, or one by one.

use crate::report::Problem;
use crate::section::Section;
use crate::settings;

use super::region::Taken;

/// A school that a scenario makes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct School {
    /// Its name: `REGION-7` for the seventh of a region, unless it was written.
    pub name: String,
    /// Enrolled pupils, its weight: 1 to 1,000,000.
    pub pupils: u32,
}

/// The keys of a region that make up schools.
pub(super) const KEYS: [&str; 2] = ["schools", "school"];

/// All that a region makes up; what is wrong with them has been said.
pub(super) fn take(region: &str, section: &mut Section<'_, '_>, taken: &mut Taken) -> Vec<School> {
    let mut schools = Vec::new();
    if section.has("schools") {
        let form = "a table such as { count = 500, pupils = [200, 1400] }";
        let made = section.take_section_like("schools", form);
        let place = made.place().clone();
        schools.extend(make(region, made));
        let twice = |school: &School| taken.add(region, &school.name).err();
        // One is enough to be told of.
        let twice: Vec<_> = schools.iter().filter_map(twice).collect();
        if let Some(problem) = twice.into_iter().next() {
            section.report().add(&place, problem);
        }
    }
    for mut written in section.take_sections("school").unwrap_or_default() {
        if !written.has("name") {
            written.mistake(Problem::new("a school needs a `name`"));
        }
        let name = written.take_text("name", "a text", |name| {
            taken.add(region, name).map(|()| name.to_owned())
        });
        let pupils = written.take(&settings::PUPILS);
        written.finish();
        schools.extend(name.map(|name| School {
            name: name.value,
            pupils,
        }));
    }
    schools
}

fn make(region: &str, mut section: Section<'_, '_>) -> Vec<School> {
    if !section.has("count") {
        section.mistake(Problem::new("`count` is missing: how many schools?"));
    }
    let count = section.take_optional("count", &settings::SCHOOLS);
    let place = section.place_of("pupils");
    let (least, most) = if section.is_list("pupils") {
        let mistakes = section.report().count();
        let written = section.take_scalars("pupils", &settings::PUPILS.range);
        let sound = section.report().count() == mistakes;
        match written.unwrap_or_default()[..] {
            [least, most] if least <= most => (least, most),
            _ if !sound => (1, 1),
            _ => {
                let problem = Problem::new("`pupils` must name the least and the most of a school")
                    .help("write [200, 1400], or one number for all of them");
                section
                    .report()
                    .add(&place.unwrap_or_else(|| section.place().clone()), problem);
                (1, 1)
            }
        }
    } else {
        let same = section.take(&settings::PUPILS);
        (same, same)
    };
    section.finish();
    (1..=count.unwrap_or(0))
        .map(|number| School {
            name: format!("{region}-{number}"),
            pupils: size(number, least, most),
        })
        .collect()
}

/// Sizes that fill the range evenly however many there are, in no order: the golden ratio's multiples.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between two numbers that fit"
)]
fn size(number: u32, least: u32, most: u32) -> u32 {
    let part = (f64::from(number) * 0.618_033_988_749_895).fract();
    least + (f64::from(most - least + 1) * part) as u32
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_fill_their_range_evenly() {
        let sizes: Vec<u32> = (1..=500).map(|number| size(number, 200, 1_400)).collect();
        assert!(sizes.iter().all(|size| (200..=1_400).contains(size)));
        let mean = sizes.iter().sum::<u32>() / 500;
        assert!((795..=805).contains(&mean), "{mean}");
        assert_eq!(size(3, 7, 7), 7);
    }
}
