//! "Did you mean …?"

/// The candidate closest to what was written, if it is close enough to be a slip of the finger.
pub(crate) fn closest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (written.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(written, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The help for a word nobody knows: the closest one, or all of them.
pub(crate) fn did_you_mean(written: &str, candidates: &[&str]) -> String {
    match closest(written, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("known here: {}", candidates.join(", ")),
    }
}

/// Edit distance where a swap of neighbours counts once (optimal string alignment), ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    // Long strings are no slips of the finger; this also bounds the work an odd file can cause.
    if a.len().abs_diff(b.len()) > 8 {
        return usize::MAX;
    }
    let mut two_above = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(two_above[j - 2] + 1);
            }
        }
        two_above = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 3] = ["backends", "schools", "hold"];

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        assert_eq!(did_you_mean("bakcends", &KEYS), "did you mean `backends`?");
        assert_eq!(did_you_mean("Hold", &KEYS), "did you mean `hold`?");
        assert_eq!(did_you_mean("school", &KEYS), "did you mean `schools`?");
    }

    #[test]
    fn something_else_entirely_is_shown_all_there_is() {
        assert_eq!(
            did_you_mean("color", &KEYS),
            "known here: backends, schools, hold"
        );
    }
}
