//! A ticket in two gateways' hands: who has claimed it first decides, and until then the other waits.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use einlass_admission::ledger::{
    Caller, Events, Exchange, Exchanged, LEASE, MemberId, Registers, Report, Seen, TicketKey,
};
use einlass_admission::{SchoolKey, Serving};

/// Milliseconds: long after the registers began, so that they are not recovering.
const BEGUN: u64 = 1_000_000;

struct Ledger {
    registers: Registers,
    now: u64,
}

impl Ledger {
    /// With two gateways that are known to it.
    fn awake() -> Self {
        let mut ledger = Self {
            registers: Registers::default(),
            now: BEGUN,
        };
        ledger.say(1, |_| {});
        ledger.say(2, |_| {});
        ledger.now += 2 * u64::try_from(LEASE.as_millis()).unwrap();
        ledger.say(1, |_| {});
        ledger.say(2, |_| {});
        ledger
    }

    fn say(&mut self, member: u64, what: impl FnOnce(&mut Exchange)) -> Exchanged {
        let mut call = Exchange {
            caller: Caller {
                member: MemberId(member),
                nonce: 7,
                seen: Seen::default(),
            },
            serving: Serving(1),
            share: 0,
            report: Report {
                in_flight: 0,
                buffered: 1,
                down: false,
            },
            events: Events::default(),
            learnt: Vec::new(),
            released: Vec::new(),
            sent: Vec::new(),
            keeps: Vec::new(),
            claims: Vec::new(),
        };
        what(&mut call);
        // Often enough that the ledger never takes itself for cut off.
        self.now += 100;
        self.registers.exchange(self.now, &call)
    }
}

fn ticket() -> TicketKey {
    TicketKey {
        epoch: 1,
        school: SchoolKey::of("gym.example"),
        tooth: 12,
    }
}

fn both_have_claimed() -> Ledger {
    let mut ledger = Ledger::awake();
    while ledger.say(1, |_| {}).recovering {
        ledger.say(2, |_| {});
    }
    let first = ledger.say(1, |call| call.claims.push(ticket()));
    assert_eq!((first.refused, first.undecided), (vec![], vec![]));
    let second = ledger.say(2, |call| call.claims.push(ticket()));
    assert_eq!((second.refused, second.undecided), (vec![], vec![ticket()]));
    ledger
}

#[test]
fn a_ticket_that_was_given_back_is_the_other_gateways() {
    let mut ledger = both_have_claimed();
    ledger.say(1, |call| call.released.push(ticket()));
    let second = ledger.say(2, |call| call.claims.push(ticket()));
    assert_eq!((second.refused, second.undecided), (vec![], vec![]));
}

#[test]
fn a_ticket_that_has_entered_is_refused() {
    let mut ledger = both_have_claimed();
    ledger.say(1, |call| call.sent.push(ticket()));
    let second = ledger.say(2, |call| call.claims.push(ticket()));
    assert_eq!((second.refused, second.undecided), (vec![ticket()], vec![]));
}

#[test]
fn a_ticket_of_a_gateway_that_died_is_the_other_gateways() {
    let mut ledger = both_have_claimed();
    let mut tries = 0_u32;
    // As long as its lease runs it may still come back.
    while ledger.say(2, |call| call.claims.push(ticket())).undecided == [ticket()] {
        tries += 1;
    }
    let exchanges = u32::try_from(LEASE.as_millis() / 100).unwrap();
    let in_time = exchanges - 2..=exchanges + 1;
    assert!(in_time.contains(&tries), "{tries} exchanges of {exchanges}");
    let third = ledger.say(1, |call| call.claims.push(ticket()));
    assert_eq!(third.undecided, [ticket()]);
}
