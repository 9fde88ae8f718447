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

use proptest::collection::vec;
use proptest::prelude::*;

use company::{Company, Fault, Outcome, Play};

const LONGEST: Duration = Duration::from_mins(4);

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
                cheats: if matches!(fault, Fault::Down(_) | Fault::Cut(..)) {
                    0.0
                } else {
                    0.05
                },
                ..Company::default()
            },
        );
        assert_eq!(outcome.doubled, 0, "{name}");
        assert!(outcome.shared_after.unwrap() <= s(3), "{name}");
    }
}

fn fault(gateways: usize) -> impl Strategy<Value = Fault> {
    let time = (200..6_000_u64).prop_map(Duration::from_millis);
    let back = (200..4_000_u64).prop_map(Duration::from_millis);
    prop_oneof![
        time.clone().prop_map(Fault::Down),
        Just(Fault::Wiped),
        back.prop_map(Fault::Back),
        (0..gateways, time.clone()).prop_map(|(g, t)| Fault::Cut(g, t)),
        (0..gateways, time).prop_map(|(g, t)| Fault::Paused(g, t)),
        (0..gateways).prop_map(Fault::Killed),
    ]
}

prop_compose! {
    fn company()(gateways in 1..5_usize)(
        skew in vec(1..100_u32, gateways),
        cap in 3..20_u32,
        pupils in 50..400_usize,
        over in 1..10_u64,
        schools in vec(1..2_000_u32, 1..5),
        round_trip in 0..120_u64,
        faults in vec((4_200..14_000_u64, fault(gateways)), 0..4),
        cheats in 0.0..0.2_f64,
        seed in any::<u64>(),
    ) -> Company {
        let faults: Vec<_> = faults
            .into_iter()
            .map(|(at, fault)| (Duration::from_millis(at), fault))
            .collect();
        let apart = faults
            .iter()
            .any(|(_, fault)| matches!(fault, Fault::Down(_) | Fault::Cut(..)));
        Company {
            gateways: skew.len(),
            skew,
            cap,
            pupils,
            over: Duration::from_secs(over),
            schools,
            round_trip: Duration::from_millis(round_trip),
            faults,
            cheats: if apart { 0.0 } else { cheats },
            seed,
            ..Company::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// I1, I2, I5 and I10, whatever happens in whatever order.
    #[test]
    fn any_interleaving_keeps_places_caps_and_order(plan in company()) {
        let (pupils, cap) = (plan.pupils, plan.cap);
        let apart = plan
            .faults
            .iter()
            .filter(|(_, fault)| matches!(fault, Fault::Down(_) | Fault::Cut(..)))
            .count() as u32;
        let calm = plan.faults.is_empty();
        let outcome = Play::new(plan).run(LONGEST);
        prop_assert_eq!(outcome.admitted, pupils);
        prop_assert_eq!(outcome.doubled, 0);
        // One lease's worth more for each time somebody was out of sight.
        prop_assert!(outcome.most_in_flight <= cap * (1 + apart), "{}", outcome.most_in_flight);
        prop_assert!(outcome.shared_after.is_some_and(|t| t <= Duration::from_secs(3)), "{:?}", outcome.shared_after);
        if calm {
            prop_assert!(outcome.inversion <= Duration::from_millis(300), "{:?}", outcome.inversion);
        }
    }
}

/// A few thousand; a campaign asks for more by `PROPTEST_CASES`.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(3_000)
}
