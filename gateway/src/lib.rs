//! Einlass: a login gateway that lets everyone in when everyone comes at once.
//!
//! A request enters at the [`edge`], `proxy` finds its school and phase by phase decides what it
//! is, `gate` lets a login in or takes it to its `room`, `login` performs it at a backend, and
//! `pages` tell the pupil what happens. [`run`] puts it all together; [`simulate`] rehearses it.
//! A school's staff come in sooner with a link from [`staff_pass`].

mod backends;
mod clock;
mod cookies;
mod courier;
mod desk;
pub mod edge;
mod fault;
mod flights;
mod forwarding;
mod gate;
mod keeper;
pub mod key_file;
mod login;
mod metrics;
mod open_files;
mod overflow;
mod pages;
mod priority;
mod proxy;
mod random;
mod respond;
mod room;
pub mod run;
mod scribe;
mod sealed;
pub mod simulate;
mod site;
mod staff;
pub mod staff_pass;
mod standing;
mod store;
mod verdict;
