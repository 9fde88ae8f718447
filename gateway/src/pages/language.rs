//! Which language a browser asks for.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

use super::texts::{ENGLISH, GERMAN, Texts};

/// The languages of our pages. German first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    #[default]
    German,
    English,
}

impl Language {
    /// The language with the highest quality in `Accept-Language` (RFC 9110, 12.5.4); German when
    /// none of ours is asked for.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(ACCEPT_LANGUAGE).into_iter();
        let ranges = fields
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(','));
        let mut best = (0.0, Self::default());
        for range in ranges {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or_default().trim();
            let language = match tag
                .split('-')
                .next()
                .map(str::to_ascii_lowercase)
                .as_deref()
            {
                Some("de") => Self::German,
                Some("en") => Self::English,
                _ => continue,
            };
            let quality = parts
                .find_map(|p| p.trim().strip_prefix("q=")?.parse::<f64>().ok())
                .unwrap_or(1.0);
            if quality > best.0 {
                best = (quality, language);
            }
        }
        best.1
    }

    pub(crate) fn texts(self) -> &'static Texts {
        match self {
            Self::German => &GERMAN,
            Self::English => &ENGLISH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Language;
    use http::{HeaderMap, HeaderValue, header::ACCEPT_LANGUAGE};

    fn of(field: &'static str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(field));
        Language::of(&headers)
    }

    #[test]
    fn the_language_with_the_highest_quality_wins() {
        assert_eq!(of("de-DE,de;q=0.9,en;q=0.8"), Language::German);
        assert_eq!(of("fr, en;q=0.3, de;q=0.7"), Language::German);
        assert_eq!(of("en-GB,de;q=0.5"), Language::English);
        assert_eq!(of("de;q=0, en;q=0.1"), Language::English);
    }

    #[test]
    fn german_is_what_is_left() {
        assert_eq!(of("tr"), Language::German);
        assert_eq!(of(";;q=,"), Language::German);
        assert_eq!(Language::of(&HeaderMap::new()), Language::German);
    }
}
