//! How often and how long connecting is tried again.

use std::time::{Duration, Instant};

use super::ReconnectPolicy;

/// The attempts that are left in a series of failures.
#[derive(Debug)]
pub(crate) struct ReconnectBudget {
    policy: ReconnectPolicy,
    attempts: u32,
    series: Option<Instant>,
    jitter: Jitter,
}

/// Spreads delays, so that many clients do not come back at the same moment. Not for secrets.
#[derive(Debug)]
struct Jitter(u64);

impl ReconnectBudget {
    /// A full budget. `seed` decides the jitter.
    pub(crate) fn new(policy: ReconnectPolicy, seed: u64) -> Self {
        Self {
            policy,
            attempts: 0,
            series: None,
            jitter: Jitter(seed),
        }
    }

    /// Ends the series of failures: the budget is full again.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
        self.series = None;
    }

    /// Time in which the peer was there does not count.
    pub(crate) fn excuse(&mut self, lifetime: Duration) {
        self.series = self.series.map(|first| first.checked_add(lifetime).unwrap_or(first));
    }

    /// Attempts of this series so far.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempts
    }

    /// Time since the first failure of this series.
    pub(crate) fn elapsed(&self, now: Instant) -> Duration {
        self.series
            .map_or(Duration::ZERO, |first| now.saturating_duration_since(first))
    }

    /// Records a failure and gives the time to wait before the next attempt, or `None` once the attempts or the time
    /// are spent. The first failure of a series starts its clock. The last delay is cut to the time that is left.
    pub(crate) fn next_backoff(&mut self, now: Instant) -> Option<Duration> {
        let first = *self.series.get_or_insert(now);
        let left = self
            .policy
            .max_total
            .checked_sub(now.saturating_duration_since(first))?;
        if self.attempts >= self.policy.max_attempts || left.is_zero() {
            return None;
        }
        let delay = self.delay();
        self.attempts += 1;
        Some(delay.min(left))
    }

    fn delay(&mut self) -> Duration {
        let growth = self
            .policy
            .multiplier
            .powi(i32::try_from(self.attempts).unwrap_or(i32::MAX));
        let grown = self.policy.initial_backoff.as_secs_f64() * growth;
        let capped = grown.min(self.policy.max_backoff.as_secs_f64());
        let factor = 1.0 + self.policy.jitter * (2.0 * self.jitter.next_unit() - 1.0);
        Duration::try_from_secs_f64((capped * factor).max(0.0)).unwrap_or(self.policy.max_backoff)
    }
}

impl Jitter {
    /// The next number from 0 to 1, 1 excluded. SplitMix64, after Steele, Lea and Flood (2014).
    fn next_unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let bits = u32::try_from(mixed >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::{RECONNECT_MAX_ATTEMPTS, RECONNECT_MAX_TOTAL};

    fn start() -> (Instant, ReconnectBudget) {
        let now = tokio::time::Instant::now().into_std();
        (now, ReconnectBudget::new(ReconnectPolicy::default(), 7))
    }

    fn exhaust(budget: &mut ReconnectBudget, now: Instant) -> Vec<Duration> {
        std::iter::from_fn(|| budget.next_backoff(now)).collect()
    }

    #[test]
    fn is_exhausted_after_the_last_attempt_and_full_after_a_reset() {
        let (now, mut budget) = start();
        assert_eq!(exhaust(&mut budget, now).len(), RECONNECT_MAX_ATTEMPTS as usize);
        assert_eq!(budget.attempt(), RECONNECT_MAX_ATTEMPTS);
        budget.reset();
        assert_eq!(exhaust(&mut budget, now).len(), RECONNECT_MAX_ATTEMPTS as usize);
    }

    #[test]
    fn delays_double_up_to_the_cap_within_the_jitter() {
        for seed in 0..200 {
            let now = tokio::time::Instant::now().into_std();
            let mut budget = ReconnectBudget::new(ReconnectPolicy::default(), seed);
            for (attempt, delay) in exhaust(&mut budget, now).into_iter().enumerate() {
                let nominal = f64::from(2u32.saturating_pow(u32::try_from(attempt).unwrap())).min(30.0);
                let factor = delay.as_secs_f64() / nominal;
                assert!((0.8..1.2).contains(&factor), "seed {seed}, attempt {attempt}: {factor}");
            }
        }
    }

    #[test]
    fn the_jitter_spreads() {
        let first = |seed| {
            let now = tokio::time::Instant::now().into_std();
            ReconnectBudget::new(ReconnectPolicy::default(), seed)
                .next_backoff(now)
                .unwrap()
        };
        let delays: Vec<_> = (0..1000).map(first).collect();
        let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
        assert!(
            least.as_millis() < 820 && most.as_millis() > 1180,
            "{least:?} to {most:?}"
        );
    }

    #[test]
    fn the_time_counts_from_the_first_failure() {
        let (now, mut budget) = start();
        let long_after = now + 10 * RECONNECT_MAX_TOTAL;
        assert!(
            budget.next_backoff(long_after).is_some(),
            "no time was spent before the first failure"
        );
        assert!(budget.next_backoff(long_after + RECONNECT_MAX_TOTAL / 2).is_some());
        assert_eq!(budget.next_backoff(long_after + RECONNECT_MAX_TOTAL), None);
        assert_eq!(budget.elapsed(long_after + RECONNECT_MAX_TOTAL), RECONNECT_MAX_TOTAL);
    }

    #[test]
    fn the_last_delay_ends_with_the_time() {
        let (now, mut budget) = start();
        budget.next_backoff(now);
        let almost = now + RECONNECT_MAX_TOTAL - Duration::from_millis(3);
        assert_eq!(budget.next_backoff(almost), Some(Duration::from_millis(3)));
    }
}
