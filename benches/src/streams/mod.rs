//! Long answers, long requests and open connections: what must pass through a gateway as it comes, without being
//! gathered there. The platform serves them under `/stream/`; a visitor asks for them and checks every byte.

pub(crate) mod pattern;
mod visitor;
pub(crate) mod websocket;

pub use visitor::{Echoes, Events, Visitor};
