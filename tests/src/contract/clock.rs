//! The contract of time and chance.

use std::collections::BTreeSet;

use saga_app::ports::Time;

/// Nor stands still for ever: who waits is later.
pub async fn waiting_takes_at_least_so_long(time: &impl Time) {
    for millis in [0, 1, 20] {
        let before = time.now();
        time.sleep(millis).await;
        assert!(time.now() >= before.plus_millis(millis.cast_signed()), "{millis}");
    }
}

/// Every number below the bound, and none other.
pub async fn chance_is_below_its_bound_and_reaches_all(time: &impl Time) {
    assert_eq!(time.below(1), 0);
    let seen: BTreeSet<u64> = (0..2_000).map(|_| time.below(7)).collect();
    assert_eq!(seen, (0..7).collect());
}
