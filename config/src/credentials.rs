//! A user and a password, which stands in a file or in an environment variable, never in the configuration.

use std::env::{self, VarError};
use std::path::Path;

use crate::file;
use crate::report::Problem;
use crate::secret::Secret;
use crate::section::Section;

/// What the keys are called.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) user: &'static str,
    pub(crate) file: &'static str,
    pub(crate) env: &'static str,
}

#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// Paths are relative to the folder of `config`.
pub(crate) fn read(section: &mut Section<'_, '_>, keys: &Keys, config: &Path) -> Credentials {
    let places = [keys.user, keys.file, keys.env].map(|key| section.place_of(key));
    match &places {
        [Some(user), None, None] => {
            let problem = Problem::new(format!("`{}` needs a password", keys.user))
                .help(format!("add `{}` or `{}`", keys.file, keys.env));
            section.report().add(user, problem);
        }
        [_, Some(file), Some(env)] => {
            let message = format!(
                "`{}` cannot stand beside `{}`, at {file}",
                keys.env, keys.file
            );
            section
                .report()
                .add(env, Problem::new(message).help("keep one of them"));
        }
        _ => {}
    }
    let user = section.take_text(keys.user, "a name", |written| name(keys.user, written));
    let from_file = section.take_text(keys.file, "a path", |named| from_file(named, config));
    let from_env = section.take_text(keys.env, "the name of an environment variable", from_env);
    Credentials {
        user: user.map(|user| user.value),
        password: from_file.or(from_env).map(|password| password.value),
    }
}

/// What Redis calls a user or a master.
pub(crate) fn name(key: &str, written: &str) -> Result<String, Problem> {
    let separates = |c: char| c.is_whitespace() || c.is_control();
    if written.is_empty() || written.contains(separates) {
        return Err(Problem::new(format!(
            "`{key}` must have at least one character and no spaces"
        )));
    }
    Ok(written.to_owned())
}

fn from_file(named: &str, config: &Path) -> Result<Secret, Problem> {
    let path = file::beside(config, named);
    let text = file::read_text(&path).map_err(|unreadable| match unreadable.place {
        None => unreadable.problem,
        Some(_) => Problem::new(format!("`{}` is not UTF-8", path.display())),
    })?;
    filled(&text).ok_or_else(|| {
        Problem::new(format!("`{}` is empty", path.display())).help("put the password in it")
    })
}

fn from_env(name: &str) -> Result<Secret, Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(fits)
    {
        // Not repeated: it may be the password itself.
        return Err(
            Problem::new("this cannot be the name of an environment variable")
                .help("write the variable's name, such as EINLASS_REDIS_PASSWORD, not its content"),
        );
    }
    let trouble = |what: &str| {
        Problem::new(format!("the environment variable `{name}` {what}"))
            .help("give it the password where the gateway is started, or use a file")
    };
    let text = env::var(name).map_err(|error| match error {
        VarError::NotPresent => trouble("is not set"),
        VarError::NotUnicode(_) => trouble("is not UTF-8"),
    })?;
    filled(&text).ok_or_else(|| trouble("is empty"))
}

/// Editors and `echo` end a file with a newline, which is no part of the password.
fn filled(text: &str) -> Option<Secret> {
    let text = text.trim_end_matches(['\r', '\n']);
    (!text.is_empty()).then(|| Secret::new(text.to_owned()))
}
