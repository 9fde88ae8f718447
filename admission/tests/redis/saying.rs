//! What a gateway says to the ledger.

use einlass_admission::Serving;
use einlass_admission::ledger::{
    Caller, Events, Exchange, MemberId, Notice, Publish, Report, Seen,
};

/// A call of member `id` that wants a slot and knows what it has seen.
pub(crate) fn wants(id: u64, nonce: u32, seen: Seen) -> Exchange {
    Exchange {
        caller: Caller {
            member: MemberId(id),
            nonce,
            seen,
        },
        serving: Serving(1),
        share: 0,
        report: Report {
            in_flight: 0,
            buffered: 3,
            down: false,
        },
        events: Events::default(),
        learnt: Vec::new(),
        released: Vec::new(),
        sent: Vec::new(),
        keeps: Vec::new(),
        claims: Vec::new(),
    }
}

pub(crate) fn publication(id: u64, epoch: u32, fence: u64, serving: u64, cap: u32) -> Publish {
    Publish {
        member: MemberId(id),
        epoch,
        fence,
        serving: Serving(serving),
        cap,
        notice: Notice::default(),
        shares: vec![(MemberId(1), cap), (MemberId(2), 0)],
    }
}
