//! PEM files: certificates and keys that are there and hold what they should.

use std::path::{Path, PathBuf};

use crate::file;
use crate::report::Problem;
use crate::section::Section;

/// What a file is to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    Certificate,
    Key,
}

impl Content {
    fn marker(self) -> &'static str {
        match self {
            Self::Certificate => "CERTIFICATE-----",
            Self::Key => "PRIVATE KEY-----",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Certificate => "a certificate",
            Self::Key => "a private key",
        }
    }
}

/// The path of a PEM file. Whether key and certificate belong together shows when they are used.
pub(crate) fn take(
    section: &mut Section<'_, '_>,
    key: &'static str,
    content: Content,
    config: &Path,
) -> Option<PathBuf> {
    let path = section.take_text(key, "a path", |named| {
        let path = file::beside(config, named);
        let bytes = file::read(&path)?;
        let marker = content.marker().as_bytes();
        if bytes.windows(marker.len()).any(|window| window == marker) {
            Ok(path)
        } else {
            Err(Problem::new(format!(
                "`{}` does not hold {} in PEM form",
                path.display(),
                content.name()
            )))
        }
    })?;
    Some(path.value)
}
