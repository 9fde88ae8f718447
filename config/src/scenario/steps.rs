//! A number that changes over the morning: `cores = 8`, or a list of `{ at = "60s", is = 4 }`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::report::Problem;
use crate::scalar::Scalar as _;
use crate::section::Section;
use crate::settings;

/// From when on a value holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// After the start of the morning. Before the first step its value holds too.
    pub at: Duration,
    /// The value.
    pub is: f64,
}

/// A single value or steps in the order of their times; never empty.
pub(super) fn read(
    section: &mut Section<'_, '_>,
    key: &'static str,
    range: &RangeInclusive<f64>,
) -> Option<Vec<Step>> {
    if !section.is_list(key) {
        let at = Duration::ZERO;
        let is = section.take_optional(key, range)?;
        return Some(vec![Step { at, is }]);
    }
    let place = section.place_of(key)?;
    let items = section.take_sections(key)?;
    if items.is_empty() {
        let problem = Problem::new(format!("`{key}` is empty"))
            .help(r#"write a number, or steps such as [{ at = "0s", is = 8 }]"#);
        section.report().add(&place, problem);
    }
    let mut steps: Vec<Step> = Vec::with_capacity(items.len());
    for mut item in items {
        if let Some(step) = one(&mut item, range) {
            if let Some(above) = steps.last()
                && step.at <= above.at
            {
                item.mistake(Problem::new(format!(
                    "`{key}` is out of order: {} does not come after {}",
                    step.at.show(),
                    above.at.show()
                )));
            }
            steps.push(step);
        }
        item.finish();
    }
    (!steps.is_empty()).then_some(steps)
}

fn one(item: &mut Section<'_, '_>, range: &RangeInclusive<f64>) -> Option<Step> {
    for key in ["at", "is"] {
        if !item.has(key) {
            item.mistake(
                Problem::new(format!("`{key}` is missing")).help(r#"write { at = "60s", is = 4 }"#),
            );
        }
    }
    let at = item.take_optional("at", &settings::TIME);
    let is = item.take_optional("is", range);
    Some(Step { at: at?, is: is? })
}
