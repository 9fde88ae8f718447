//! `[[wave]]`: some who come.

use std::time::Duration;

use crate::report::Problem;
use crate::scalar::Scalar as _;
use crate::section::Section;
use crate::settings;

use super::admission::choice;
use super::known::Known;
use super::steps::{self, Step};
use super::total::Total;

/// Some who come.
#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    /// Only to this region. Default: to all of them.
    pub region: Option<String>,
    /// Only of this school: a flood. Default: of all of them.
    pub school: Option<String>,
    /// How many: `enrolled = 0.8` or `pupils = 120000`. Default: everybody.
    pub size: Size,
    /// The first comes: 0 s to 24 h after the start. Default: 0 s.
    pub from: Duration,
    /// All have come so much later: 0 s to 24 h. Default: 5 min.
    pub over: Duration,
    /// How they spread over that time. Default: `even`.
    pub shape: Shape,
    /// The part who close the tab when they are told to wait, by when they come; at least one step. Default: 0.
    pub no_shows: Vec<Step>,
    /// How long somebody waits before giving up, on average: 1 s to 24 h. Default: as long as it takes.
    pub patience: Option<Duration>,
}

/// How many come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// This part of the enrolled pupils of each school: 0.001 to 1,000, more than 1 if some come more than once.
    Enrolled(f64),
    /// So many, over all schools by their enrolment: 1 to 20,000,000.
    Pupils(u32),
}

/// How arrivals spread over their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Evenly.
    Even,
    /// As after the bell: most at the beginning, falling to nothing in a straight line.
    Bell,
}

impl Default for Wave {
    fn default() -> Self {
        Self {
            region: None,
            school: None,
            size: Size::Enrolled(1.0),
            from: settings::FROM.default,
            over: settings::OVER.default,
            shape: Shape::Even,
            no_shows: vec![Step {
                at: Duration::ZERO,
                is: 0.0,
            }],
            patience: None,
        }
    }
}

/// Every wave, or the one that comes when none is written.
pub(super) fn read_all(root: &mut Section<'_, '_>, known: &Known, longest: Duration) -> Vec<Wave> {
    let place = root.place_of("wave");
    let mut total = Total::new(known);
    let Some(sections) = root.take_sections("wave") else {
        let wave = Wave::default();
        if place.is_none() {
            total.add(&wave, root);
        }
        return vec![wave];
    };
    if let (true, Some(place)) = (sections.is_empty(), place) {
        let problem = Problem::new("`wave` is empty: nobody comes")
            .help("leave it out, then everybody comes within five minutes");
        root.report().add(&place, problem);
    }
    sections
        .into_iter()
        .map(|mut section| {
            let wave = read(&mut section, known, longest);
            total.add(&wave, &section);
            section.finish();
            wave
        })
        .collect()
}

fn read(section: &mut Section<'_, '_>, known: &Known, longest: Duration) -> Wave {
    let region = section.take_text("region", "the name of a region", |written| {
        known.find_region(written)
    });
    let school = section.take_text("school", "the name of a school", |written| {
        known.find_school(written)
    });
    if let (Some(region), Some(school)) = (&region, &school)
        && let Some(real) = known.region_of(&school.value)
        && real != region.value
    {
        let problem = Problem::new(format!(
            "`{}` is a school of the region `{real}`",
            school.value
        ));
        section
            .report()
            .add(&school.place, problem.help("leave out `region`"));
    }
    let enrolled = section.take_optional("enrolled", &settings::ENROLLED);
    let at = section.place_of("pupils");
    let pupils = section.take_optional("pupils", &settings::COME);
    if let (Some(_), Some(at)) = (enrolled, at) {
        let problem = Problem::new("`pupils` cannot stand beside `enrolled`");
        section.report().add(&at, problem.help("keep one of them"));
    }
    let shapes = [("even", Shape::Even), ("bell", Shape::Bell)];
    let shape = section.take_text("shape", "`even` or `bell`", |written| {
        choice("shape", written, &shapes)
    });
    let begins = section.place_of("from");
    let from = section.take(&settings::FROM);
    if let (Some(place), true) = (begins, from >= longest) {
        let problem = Problem::new(format!(
            "the wave comes after {}, and the morning has ended by then",
            from.show()
        ));
        let help = format!("`longest` is {}", longest.show());
        section.report().add(&place, problem.help(help));
    }
    let default = Wave::default();
    Wave {
        region: region.map(|region| region.value),
        school: school.map(|school| school.value),
        size: pupils.map_or(Size::Enrolled(enrolled.unwrap_or(1.0)), Size::Pupils),
        from,
        over: section.take(&settings::OVER),
        shape: shape.map_or(default.shape, |shape| shape.value),
        no_shows: steps::read(section, "no_shows", &settings::NO_SHOWS).unwrap_or(default.no_shows),
        patience: section.take_optional("patience", &settings::PATIENCE),
    }
}
