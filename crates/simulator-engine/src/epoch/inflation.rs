//! How much an epoch pays. (Agave: `Bank::calculate_epoch_inflation_rewards`, `SlotParams`.)

use std::collections::BTreeSet;

use agave_feature_set::{self as feature_set, FeatureSet};
use solana_epoch_schedule::EpochSchedule;
use solana_inflation::Inflation;
use solana_pubkey::Pubkey;

/// How fast slots follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// What the Bank counts as a year, in slots.
    slots_per_year: f64,
    /// Stake accounts that are paid in one block.
    pub(crate) payments_per_block: u64,
}

/// Slots of 400 ms, as by default at genesis.
const GENESIS_PACE: Pace = Pace {
    slots_per_year: 78_892_314.984,
    payments_per_block: 4_096,
};

/// Features that shorten slots (SIMD-0525), longest first.
const PACES: [(Pubkey, Pace); 4] = [
    (
        feature_set::reduce_slot_time_to_350ms::ID,
        Pace {
            slots_per_year: 90_162_645.696,
            payments_per_block: 3_584,
        },
    ),
    (
        feature_set::reduce_slot_time_to_300ms::ID,
        Pace {
            slots_per_year: 105_189_753.312,
            payments_per_block: 3_072,
        },
    ),
    (
        feature_set::reduce_slot_time_to_250ms::ID,
        Pace {
            slots_per_year: 126_227_703.974,
            payments_per_block: 2_560,
        },
    ),
    (
        feature_set::reduce_slot_time_to_200ms::ID,
        Pace {
            slots_per_year: 157_784_629.968,
            payments_per_block: 2_048,
        },
    ),
];

/// Where in time an epoch's rewards are computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RewardTime<'a> {
    pub(crate) features: &'a FeatureSet,
    pub(crate) schedule: &'a EpochSchedule,
    /// The epoch that is paid for.
    pub(crate) rewarded_epoch: u64,
    /// The epoch that has begun.
    pub(crate) epoch: u64,
}

impl RewardTime<'_> {
    /// What the epoch pays under each inflation schedule that a chain is known to have. The parameters are in no
    /// account: which of these it is has to follow from what was paid.
    pub(crate) fn possible_rewards(&self, capitalization: u64) -> BTreeSet<u64> {
        let schedules = [
            Inflation::full(),
            Inflation::default(),
            Inflation::pico(),
            Inflation::new_disabled(),
        ];
        schedules
            .iter()
            .map(|inflation| self.rewards(inflation, capitalization))
            .collect()
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "the Bank computes with these very conversions"
    )]
    fn rewards(&self, inflation: &Inflation, capitalization: u64) -> u64 {
        let rate = inflation.validator(self.years());
        let duration = self.schedule.get_slots_in_epoch(self.rewarded_epoch) as f64
            / self.pace_of_epoch(self.rewarded_epoch).slots_per_year;
        (rate * capitalization as f64 * duration) as u64
    }

    /// The pace in an epoch, from its first slot on.
    pub(crate) fn pace_of_epoch(&self, epoch: u64) -> Pace {
        let first = self.schedule.get_first_slot_in_epoch(epoch);
        self.paces()
            .into_iter()
            .rfind(|(slot, _)| *slot <= first)
            .map_or(GENESIS_PACE, |(_, pace)| pace)
    }

    /// Years since inflation started.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the Bank computes with these very conversions"
    )]
    fn years(&self) -> f64 {
        let start = self.inflation_start();
        let end = self.schedule.get_first_slot_in_epoch(self.epoch);
        let mut years = 0.0;
        let mut cursor = start;
        let mut pace = GENESIS_PACE;
        for (slot, next) in self.paces() {
            if slot >= end {
                break;
            }
            if slot > start {
                years += (slot - cursor) as f64 / pace.slots_per_year;
                cursor = slot;
            }
            pace = next;
        }
        years + end.saturating_sub(cursor) as f64 / pace.slots_per_year
    }

    /// The first slot of the epoch before the one in which inflation was switched on.
    fn inflation_start(&self) -> u64 {
        let activated = self
            .features
            .full_inflation_features_enabled()
            .iter()
            .filter_map(|feature| self.features.activated_slot(feature))
            .min()
            .or_else(|| self.features.activated_slot(&feature_set::pico_inflation::ID))
            .unwrap_or(0);
        let epoch = self.schedule.get_epoch(activated).saturating_sub(1);
        self.schedule.get_first_slot_in_epoch(epoch)
    }

    /// From which slot on which pace is in force, in order. A feature takes effect one epoch after its activation, and
    /// slots never become longer again.
    fn paces(&self) -> Vec<(u64, Pace)> {
        let mut paces = Vec::new();
        let mut earliest_shorter = u64::MAX;
        for (feature, pace) in PACES.iter().rev() {
            let Some(activated) = self.features.activated_slot(feature) else {
                continue;
            };
            let epoch = self.schedule.get_epoch(activated).saturating_add(1);
            let effective = self.schedule.get_first_slot_in_epoch(epoch);
            if effective < earliest_shorter {
                paces.insert(0, (effective, *pace));
                earliest_shorter = effective;
            }
        }
        paces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(features: &[(Pubkey, u64)]) -> FeatureSet {
        let mut set = FeatureSet::default();
        for (feature, slot) in features {
            set.activate(feature, *slot);
        }
        set
    }

    fn time<'a>(features: &'a FeatureSet, schedule: &'a EpochSchedule, epoch: u64) -> RewardTime<'a> {
        RewardTime {
            features,
            schedule,
            rewarded_epoch: epoch - 1,
            epoch,
        }
    }

    #[test]
    fn a_shorter_slot_pays_less_an_epoch() {
        let schedule = EpochSchedule::without_warmup();
        let features = with(&[(feature_set::reduce_slot_time_to_350ms::ID, 0)]);
        let first = time(&features, &schedule, 1);
        let second = time(&features, &schedule, 2);
        assert_eq!(first.pace_of_epoch(0).payments_per_block, 4_096);
        assert_eq!(second.pace_of_epoch(1).payments_per_block, 3_584);
        let fixed = Inflation::new_fixed(0.08);
        let ratio = second.rewards(&fixed, 1 << 50) as f64 / first.rewards(&fixed, 1 << 50) as f64;
        assert!((ratio - 0.875).abs() < 1e-6, "{ratio}");
    }

    #[test]
    fn a_longer_slot_activated_later_has_no_effect() {
        let schedule = EpochSchedule::without_warmup();
        let per_epoch = schedule.slots_per_epoch;
        let features = with(&[
            (feature_set::reduce_slot_time_to_300ms::ID, 0),
            (feature_set::reduce_slot_time_to_350ms::ID, 3 * per_epoch),
        ]);
        let paces = time(&features, &schedule, 9).paces();
        assert_eq!(paces, [(per_epoch, PACES[1].1)]);
    }

    #[test]
    fn mainnet_pays_what_its_schedule_says() {
        // Inflation was switched on in epoch 150, and a year has some 182 and a half epochs of 432,000 slots.
        let schedule = EpochSchedule::custom(432_000, 432_000, false);
        let features = with(&[
            (feature_set::full_inflation::mainnet::certusone::vote::ID, 64_800_000),
            (feature_set::full_inflation::mainnet::certusone::enable::ID, 64_800_000),
        ]);
        let time = time(&features, &schedule, 149 + 183);
        assert_eq!(time.inflation_start(), 149 * 432_000);
        let rate = Inflation::full().validator(time.years());
        assert!((rate - 0.08 * 0.85).abs() < 1e-4, "{rate}");
    }

    #[test]
    fn schedules_that_pay_alike_are_one() {
        let schedule = EpochSchedule::without_warmup();
        let features = FeatureSet::default();
        assert_eq!(time(&features, &schedule, 2).possible_rewards(1 << 50).len(), 4);
        assert_eq!(time(&features, &schedule, 2).possible_rewards(0).len(), 1);
    }
}
