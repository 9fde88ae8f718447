//! The ledger in Redis and the one in memory, told the same by random gateways.

use std::time::Duration;

use einlass_admission::ledger::redis::RedisRoom;
use einlass_admission::ledger::{
    Caller, Events, Exchange, Exchanged, Join, Leave, MemberId, Merge, Notice, Publish, Registers,
    Report, Seen, TicketKey,
};
use einlass_admission::{Memory, RoomKey, SchoolKey, Serving, Turn};

use crate::reaching::connected;
use crate::server::RedisServer;

/// Both ledgers, told the same.
struct Pair {
    redis: RedisRoom,
    memory: Registers,
    now: u64,
    seen: [Seen; 3],
    fences: [u64; 3],
    draws: u64,
}

impl Pair {
    fn draw(&mut self, below: u64) -> u64 {
        self.draws ^= self.draws << 13;
        self.draws ^= self.draws >> 7;
        self.draws ^= self.draws << 17;
        self.draws % below
    }

    fn school(&mut self) -> SchoolKey {
        SchoolKey(100 + self.draw(4))
    }

    fn ticket(&mut self) -> TicketKey {
        TicketKey {
            epoch: 1 + u32::try_from(self.draw(2)).unwrap(),
            school: self.school(),
            tooth: self.draw(1_500),
        }
    }

    fn tickets(&mut self) -> Vec<TicketKey> {
        (0..self.draw(4)).map(|_| self.ticket()).collect()
    }

    fn caller(&mut self, who: usize) -> Caller {
        Caller {
            member: MemberId(who as u64),
            nonce: 1 + u32::try_from(self.draw(1 << 30)).unwrap(),
            seen: self.seen[who],
        }
    }

    async fn exchange(&mut self, who: usize) -> Exchanged {
        let small = |n: u64| u32::try_from(n).unwrap();
        let learnt = (0..self.draw(2))
            .map(|_| (self.school(), self.draw(500)))
            .collect();
        let call = Exchange {
            caller: self.caller(who),
            serving: Serving(self.draw(1 << 20) << 43),
            share: small(self.draw(5)),
            report: Report {
                in_flight: small(self.draw(6)),
                buffered: small(self.draw(20)),
                down: self.draw(5) == 0,
            },
            events: Events {
                latencies: (0..self.draw(3)).map(|n| small(n) * 1_000).collect(),
                arrived: (0..self.draw(2)).map(|n| Turn(u64::MAX - n)).collect(),
                losses: small(self.draw(3)),
                refused: 0,
                pages: small(self.draw(2)),
                typed: small(self.draw(2)),
                left: small(self.draw(2)),
            },
            learnt,
            released: self.tickets(),
            sent: self.tickets(),
            keeps: self.tickets(),
            claims: self.tickets(),
        };
        let redis = self.redis.exchange(&call).await.unwrap();
        self.now = redis.now;
        let mut memory = self.memory.exchange(self.now, &call);
        let mut sorted = redis.clone();
        for reply in [&mut memory, &mut sorted] {
            if let Some(conduct) = &mut reply.conduct {
                conduct.members.sort_by_key(|(id, ..)| *id);
            }
        }
        assert_eq!(sorted, memory, "{call:?}");
        self.seen[who] = redis.seen;
        if let Some(conduct) = &redis.conduct {
            self.fences[who] = conduct.fence;
        }
        redis
    }

    async fn any(&mut self) {
        let who = usize::try_from(self.draw(3)).unwrap();
        match self.draw(6) {
            0 => {
                let call = Join {
                    caller: self.caller(who),
                    schools: (0..=self.draw(2))
                        .map(|_| (self.school(), self.draw(2_000), 3))
                        .collect(),
                };
                let redis = self.redis.join(&call).await.unwrap();
                assert_eq!(redis, self.memory.join(self.now, &call));
            }
            1 => {
                let call = Publish {
                    member: MemberId(who as u64),
                    epoch: self.seen[who].epoch,
                    fence: self.fences[who],
                    serving: Serving(self.draw(1 << 20) << 43),
                    cap: 10,
                    notice: Notice {
                        capacity: Some(12.5),
                        coming: self.draw(100),
                        memory: Memory {
                            no_load: Some(0.25),
                            cap: Some(17.5),
                            ..Memory::default()
                        },
                        ..Notice::default()
                    },
                    shares: (0..3).map(|id| (MemberId(id), 3)).collect(),
                };
                let redis = self.redis.publish(&call).await.unwrap();
                assert_eq!(redis, self.memory.publish(&call));
            }
            2 => {
                let call = Merge {
                    caller: self.caller(who),
                    last: vec![(self.school(), self.draw(3_000))],
                    used: (0..self.draw(5))
                        .map(|_| (1, self.school(), self.draw(20), self.draw(u64::MAX)))
                        .collect(),
                };
                let redis = self.redis.merge(&call).await.unwrap();
                assert_eq!(redis, self.memory.merge(self.now, &call));
            }
            3 if self.draw(3) == 0 => {
                let call = Leave {
                    member: MemberId(who as u64),
                    events: Events {
                        left: 1,
                        ..Events::default()
                    },
                    sent: self.tickets(),
                    released: self.tickets(),
                };
                self.redis.leave(&call).await.unwrap();
                self.memory.leave(&call);
            }
            _ => {
                self.exchange(who).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_in_redis_answers_as_the_one_in_memory() {
    let mut server = RedisServer::start(&[]);
    for draws in [11, 12, 13] {
        server.cli(&["FLUSHALL"]);
        let ledger = connected(&server).await;
        let mut pair = Pair {
            redis: ledger.room(RoomKey(5)),
            memory: Registers::default(),
            now: u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap(),
            seen: [Seen::default(); 3],
            fences: [0; 3],
            draws,
        };
        // Nobody is new to the ledger in what follows, whatever is drawn first.
        for who in 0..3 {
            pair.exchange(who).await;
        }
        for _ in 0..150 {
            pair.any().await;
        }
        // After the time of recovery claims are decided and shares given.
        while pair.exchange(0).await.recovering {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for _ in 0..400 {
            pair.any().await;
        }
        // All leases run out.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        pair.exchange(0).await;
        for _ in 0..150 {
            pair.any().await;
        }
    }
    // A server that starts again does not believe what it reads.
    let ledger = connected(&server).await;
    let room = ledger.room(RoomKey(6));
    let call = Join {
        caller: Caller {
            member: MemberId(1),
            nonce: 77,
            seen: Seen::default(),
        },
        schools: vec![(SchoolKey(1), 0, 5)],
    };
    assert_eq!(room.join(&call).await.unwrap().epoch, 77);
    let next = Join {
        caller: Caller {
            nonce: 78,
            ..call.caller
        },
        ..call.clone()
    };
    assert_eq!(room.join(&next).await.unwrap().epoch, 77);
    server.cli(&["SAVE"]);
    server.restart();
    let ledger = connected(&server).await;
    let room = ledger.room(RoomKey(6));
    let joined = room.join(&next).await.unwrap();
    assert_eq!((joined.epoch, joined.upto), (78, vec![15]));
}
