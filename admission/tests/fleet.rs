//! Several gateways at one room: as good as one, whatever breaks between them.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail, and draws numbers"
)]

mod company;

use std::time::Duration;

use company::{Company, Fault, Outcome, Play};

const LONGEST: Duration = Duration::from_secs(240);

fn play(name: &str, plan: Company) -> Outcome {
    let pupils = plan.pupils;
    let outcome = Play::new(plan).run(LONGEST);
    println!(
        "{name}: {} of {pupils} in {:.1} s, used {:.3}, most {}, doubled {}, inversion {:?}, median {:.1} s, shared after {:?}\n  {:?}",
        outcome.admitted,
        outcome.ended.as_secs_f64(),
        outcome.used,
        outcome.most_in_flight,
        outcome.doubled,
        outcome.inversion,
        outcome.median_wait(),
        outcome.shared_after,
        outcome.begun,
    );
    assert_eq!(outcome.admitted, pupils, "{name}");
    outcome
}

#[test]
fn three_gateways_are_as_good_as_one() {
    let three = play("three", Company::default());
    let one = play(
        "one",
        Company {
            gateways: 1,
            skew: vec![1],
            ..Company::default()
        },
    );
    assert!(three.most_in_flight <= 12);
    assert!(three.used >= 0.97, "{}", three.used);
    assert_eq!(three.doubled, 0);
    assert!(three.inversion <= Duration::from_millis(100));
    let ratio = three.median_wait() / one.median_wait();
    assert!((0.95..1.05).contains(&ratio), "{ratio}");
}

#[test]
fn what_breaks_loses_nobody() {
    let s = Duration::from_secs;
    for (name, fault) in [
        ("down", Fault::Down(s(10))),
        ("wiped", Fault::Wiped),
        ("back in time", Fault::Back(s(4))),
        ("cut", Fault::Cut(0, s(8))),
        ("cut small", Fault::Cut(2, s(8))),
        ("paused", Fault::Paused(0, s(5))),
        ("paused small", Fault::Paused(1, s(5))),
        ("killed", Fault::Killed(0)),
        ("killed small", Fault::Killed(2)),
    ] {
        let outcome = play(
            name,
            Company {
                faults: vec![(s(10), fault)],
                // A ticket can enter at two gateways only if they cannot hear of one another.
                cheats: if matches!(fault, Fault::Down(_) | Fault::Cut(..)) { 0.0 } else { 0.05 },
                ..Company::default()
            },
        );
        assert_eq!(outcome.doubled, 0, "{name}");
        assert!(outcome.shared_after.unwrap() <= s(3), "{name}");
    }
}
