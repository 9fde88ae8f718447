//! The pages a pupil may see: the waiting page and plain messages, in German and English.

mod busy;
mod language;
mod message;
mod texts;
mod wait;

pub(crate) use busy::BusyPage;
pub(crate) use language::Language;
pub(crate) use message::Message;
pub(crate) use wait::WaitPage;
