//! Calls as arguments of Redis Functions, and their answers read back.

use redis::{Cmd, Value};

use super::LedgerError;
use crate::ledger::{
    Caller, Conduct, Events, Exchange, Exchanged, Join, Joined, LEASE, Leave, MOST_EVENTS,
    MemberId, Merge, Notice, PACER_LEASE, Publish, RECOVERY, Report, SILENCE, Seen, TicketKey,
};
use crate::turn::{SchoolKey, Serving};

/// Tickets to a page of used ones: one bit each, 128 bytes.
const PAGE: u64 = 1_024;
const BLOCK: u64 = 64;

pub(super) fn exchange(cmd: &mut Cmd, call: &Exchange, lifetime: u64) {
    cmd.arg(member(call.caller.member));
    caller(cmd, &call.caller);
    cmd.arg(watermark(call.serving))
        .arg(call.share)
        .arg(call.report.in_flight)
        .arg(call.report.buffered)
        .arg(u8::from(call.report.down))
        .arg(happened(&call.events))
        .arg(lifetime)
        .arg(MOST_EVENTS);
    for time in [LEASE, PACER_LEASE, SILENCE, RECOVERY] {
        cmd.arg(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }
    teeth(cmd, &call.learnt);
    for tickets in [&call.released, &call.sent, &call.keeps, &call.claims] {
        self::tickets(cmd, tickets);
    }
}

pub(super) fn leave(cmd: &mut Cmd, call: &Leave, lifetime: u64) {
    cmd.arg(member(call.member))
        .arg(happened(&call.events))
        .arg(lifetime)
        .arg(MOST_EVENTS);
    for tickets in [&call.released, &call.sent] {
        self::tickets(cmd, tickets);
    }
}

fn happened(events: &Events) -> String {
    if events.is_empty() {
        return String::new();
    }
    // Lists of numbers: nothing that serde could refuse.
    serde_json::to_string(events).unwrap_or_default()
}

fn tickets(cmd: &mut Cmd, tickets: &[TicketKey]) {
    cmd.arg(tickets.len());
    for ticket in tickets {
        cmd.arg(page(ticket.epoch, ticket.school, ticket.tooth / PAGE))
            .arg(ticket.tooth % PAGE);
    }
}

pub(super) fn join(cmd: &mut Cmd, call: &Join) {
    caller(cmd, &call.caller);
    cmd.arg(call.schools.len());
    for (key, floor, count) in &call.schools {
        cmd.arg(school(*key)).arg(*floor).arg(*count);
    }
}

pub(super) fn publish(cmd: &mut Cmd, call: &Publish) {
    cmd.arg(member(call.member))
        .arg(call.epoch)
        .arg(call.fence)
        .arg(watermark(call.serving))
        .arg(call.cap)
        .arg(serde_json::to_string(&call.notice).unwrap_or_default())
        .arg(call.shares.len());
    for (id, slots) in &call.shares {
        cmd.arg(member(*id)).arg(*slots);
    }
}

pub(super) fn merge(cmd: &mut Cmd, call: &Merge, lifetime: u64) {
    caller(cmd, &call.caller);
    cmd.arg(lifetime);
    teeth(cmd, &call.last);
    cmd.arg(call.used.len());
    for (epoch, school, block, bits) in &call.used {
        let blocks = PAGE / BLOCK;
        cmd.arg(page(*epoch, *school, block / blocks))
            .arg(block % blocks * (BLOCK / 8))
            // Redis counts bits from the highest of each byte.
            .arg(bits.reverse_bits().to_be_bytes().as_slice());
    }
}

/// Of the claims of a call those whose places in it, after `place`, are not below zero.
fn claims(
    call: &Exchange,
    answered: &Value,
    place: fn(i64) -> i64,
) -> Result<Vec<TicketKey>, LedgerError> {
    let mut claims = Vec::new();
    for index in array(answered)? {
        let Ok(place) = usize::try_from(place(number(index)?)) else {
            continue;
        };
        claims.push(*call.claims.get(place).ok_or_else(|| bad(index))?);
    }
    Ok(claims)
}

pub(super) fn exchanged(value: &Value, call: &Exchange) -> Result<Exchanged, LedgerError> {
    let [
        now,
        epoch,
        version,
        recovering,
        share,
        serving,
        cap,
        notice,
        last,
        refused,
        fence,
        members,
        events,
    ] = &array(value)?[..]
    else {
        return Err(LedgerError::answer("an exchange has 13 parts", value));
    };
    let mut teeth = Vec::new();
    for pair in array(last)?.chunks_exact(2) {
        teeth.push((SchoolKey(hex(&pair[0])?), number(&pair[1])?));
    }
    let fence: u64 = number(fence)?;
    let notice = text(notice)?;
    Ok(Exchanged {
        now: number(now)?,
        seen: Seen {
            epoch: number(epoch)?,
            version: number(version)?,
        },
        recovering: number::<u8>(recovering)? == 1,
        share: number(share)?,
        serving: Serving(text(serving)?.parse().map_err(|_| bad(serving))?),
        cap: number(cap)?,
        notice: if notice.is_empty() {
            None
        } else {
            Some(serde_json::from_str::<Notice>(notice).map_err(|_| bad(value))?)
        },
        last: teeth,
        refused: claims(call, refused, |index| index)?,
        undecided: claims(call, refused, |index| -1 - index)?,
        conduct: (fence > 0)
            .then(|| {
                Ok::<_, LedgerError>(Conduct {
                    fence,
                    members: array(members)?.iter().map(row).collect::<Result<_, _>>()?,
                    events: array(events)?
                        .iter()
                        .map(|e| serde_json::from_str::<Events>(text(e)?).map_err(|_| bad(e)))
                        .collect::<Result<_, _>>()?,
                })
            })
            .transpose()?,
    })
}

pub(super) fn joined(value: &Value, call: &Join) -> Result<Joined, LedgerError> {
    let [epoch, upto] = &array(value)?[..] else {
        return Err(LedgerError::answer("a join has 2 parts", value));
    };
    let upto: Vec<u64> = array(upto)?.iter().map(number).collect::<Result<_, _>>()?;
    if upto.len() != call.schools.len() {
        return Err(LedgerError::answer("a join has a turn per school", value));
    }
    Ok(Joined {
        epoch: number(epoch)?,
        upto,
    })
}

pub(super) fn accepted(value: &Value) -> Result<bool, LedgerError> {
    Ok(number::<u8>(value)? == 1)
}

fn caller(cmd: &mut Cmd, caller: &Caller) {
    cmd.arg(caller.nonce)
        .arg(caller.seen.epoch)
        .arg(caller.seen.version);
}

fn teeth(cmd: &mut Cmd, teeth: &[(SchoolKey, u64)]) {
    cmd.arg(teeth.len());
    for (key, tooth) in teeth {
        cmd.arg(school(*key)).arg(*tooth);
    }
}

/// "member held in-flight buffered down"
fn row(value: &Value) -> Result<(MemberId, u32, Report), LedgerError> {
    let line = text(value)?;
    let mut parts = line.split(' ');
    let id = parts
        .next()
        .and_then(|id| u64::from_str_radix(id, 16).ok())
        .ok_or_else(|| bad(value))?;
    let mut next = || {
        parts
            .next()
            .and_then(|n| n.parse::<u32>().ok())
            .ok_or_else(|| bad(value))
    };
    let held = next()?;
    let report = Report {
        in_flight: next()?,
        buffered: next()?,
        down: next()? != 0,
    };
    Ok((MemberId(id), held, report))
}

fn member(id: MemberId) -> String {
    format!("{:016x}", id.0)
}

fn school(key: SchoolKey) -> String {
    format!("{:016x}", key.0)
}

fn page(epoch: u32, school: SchoolKey, page: u64) -> String {
    format!("{epoch}:{:016x}:{page}", school.0)
}

fn watermark(serving: Serving) -> String {
    format!("{:020}", serving.0)
}

fn array(value: &Value) -> Result<&Vec<Value>, LedgerError> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(bad(other)),
    }
}

fn number<T: TryFrom<i64>>(value: &Value) -> Result<T, LedgerError> {
    match value {
        Value::Int(number) => T::try_from(*number).map_err(|_| bad(value)),
        other => Err(bad(other)),
    }
}

fn text(value: &Value) -> Result<&str, LedgerError> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).map_err(|_| bad(value)),
        Value::SimpleString(text) => Ok(text),
        other => Err(bad(other)),
    }
}

fn hex(value: &Value) -> Result<u64, LedgerError> {
    u64::from_str_radix(text(value)?, 16).map_err(|_| bad(value))
}

fn bad(value: &Value) -> LedgerError {
    LedgerError::answer("something else was expected", value)
}
