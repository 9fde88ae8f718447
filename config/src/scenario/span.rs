//! Times of the morning between which something is the case: `down`, `cut_off`.

use std::time::Duration;

use crate::report::Problem;
use crate::scalar::Scalar as _;
use crate::section::Section;
use crate::settings;

/// From when until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The beginning, after the start of the morning.
    pub from: Duration,
    /// The end, later than the beginning.
    pub until: Duration,
}

/// A list of spans, none of which begins before the one above has ended.
pub(super) fn read(section: &mut Section<'_, '_>, key: &'static str) -> Option<Vec<Span>> {
    let mut spans: Vec<Span> = Vec::new();
    for mut item in section.take_sections(key)? {
        let Some(span) = one(&mut item) else {
            item.finish();
            continue;
        };
        if let Some(above) = spans.last()
            && span.from < above.until
        {
            item.mistake(Problem::new(format!(
                "`{key}` is out of order: from {}, but the one above lasts until {}",
                span.from.show(),
                above.until.show()
            )));
        }
        item.finish();
        spans.push(span);
    }
    Some(spans)
}

fn one(item: &mut Section<'_, '_>) -> Option<Span> {
    for key in ["from", "until"] {
        if !item.has(key) {
            item.mistake(
                Problem::new(format!("`{key}` is missing"))
                    .help(r#"write { from = "60s", until = "90s" }"#),
            );
        }
    }
    let from = item.take_optional("from", &settings::TIME);
    let until = item.take_optional("until", &settings::TIME);
    let (from, until) = (from?, until?);
    if until <= from {
        item.mistake(Problem::new(format!(
            "it ends at {}, which is not after its beginning at {}",
            until.show(),
            from.show()
        )));
        return None;
    }
    Some(Span { from, until })
}
