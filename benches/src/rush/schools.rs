//! The schools of a region, and which of them each pupil belongs to.

use std::path::Path;

use serde::Deserialize;

use super::plan::RushError;

/// A school as the crowd sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct School {
    /// What the pupils' browsers send as Host.
    pub host: String,
    /// Its weight at the gateway: its number of pupils.
    pub pupils: u32,
    /// Its part of the arrivals, relative to the others'. Its pupils, unless it floods or stays away.
    pub share: f64,
}

impl School {
    /// A school whose arrivals are as many as its weight suggests.
    pub fn new(host: impl Into<String>, pupils: u32) -> Self {
        Self {
            host: host.into(),
            pupils,
            share: f64::from(pupils),
        }
    }
}

/// Schools of 300 to 1,500 pupils.
pub fn generated(count: usize, seed: u64) -> Vec<School> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (1..=count)
        .map(|number| School::new(format!("schule-{number:04}.example"), rng.u32(300..=1500)))
        .collect()
}

#[derive(Deserialize)]
struct Row {
    host: String,
    pupils: u32,
    share: Option<f64>,
}

/// Reads `host,pupils[,share]` with a header line; other columns are left alone, so the gateway's own file works.
pub fn from_csv(path: &Path) -> Result<Vec<School>, RushError> {
    let mut rows = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)?;
    let schools = rows.deserialize().map(|row| {
        let Row {
            host,
            pupils,
            share,
        } = row?;
        Ok(School {
            share: share.unwrap_or_else(|| f64::from(pupils)),
            host,
            pupils,
        })
    });
    schools.collect()
}

/// The school of every pupil: exact quotas by the shares (largest remainder), in random order.
pub(super) fn assign(schools: &[School], pupils: u32, rng: &mut fastrand::Rng) -> Vec<u16> {
    let whole: f64 = schools.iter().map(|school| school.share).sum();
    let mut assigned = Vec::with_capacity(pupils as usize);
    let mut due = 0.0;
    for (index, school) in (0..u16::MAX).zip(schools) {
        due += f64::from(pupils) * school.share / whole;
        while (assigned.len() as f64) < due.round() {
            assigned.push(index);
        }
    }
    rng.shuffle(&mut assigned);
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_school_gets_its_share_of_the_crowd() {
        let schools = [
            School::new("a", 900),
            School::new("b", 100),
            School {
                share: 500.0,
                ..School::new("c", 1)
            },
        ];
        let assigned = assign(&schools, 1500, &mut fastrand::Rng::with_seed(1));
        let of = |school| assigned.iter().filter(|index| **index == school).count();
        assert_eq!((assigned.len(), of(0), of(1), of(2)), (1500, 900, 100, 500));
        assert!(!assigned.is_sorted());
    }

    #[test]
    fn the_gateways_own_file_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "host,pupils,backends\ngym.example,900,\nold.example,1100,192.168.7.2:80\n",
        )
        .unwrap();
        let schools = from_csv(file.path()).unwrap();
        assert_eq!(
            schools,
            [
                School::new("gym.example", 900),
                School::new("old.example", 1100)
            ]
        );
    }
}
