//! Totals of a finished session.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How the transactions of a session compare with the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionSummary {
    /// Transactions that did what the chain recorded.
    pub correct_simulation: u64,
    /// Transactions that ended otherwise than the chain recorded.
    pub incorrect_simulation: u64,
    /// Transactions that could not be executed.
    pub execution_errors: u64,
    /// Transactions with other balances than the chain recorded.
    pub balance_diff: u64,
    /// Transactions with other logs than the chain recorded.
    pub log_diff: u64,
    /// Transactions that do not decode into an executable form (0.28).
    #[serde(default)]
    pub unsanitizable: u64,
    /// Totals of rerouting, where the session did any (0.28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reroute_stats: Option<Box<RerouteStats>>,
}

/// Totals of rerouting (0.28).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RerouteStats {
    /// Swaps found in the block stream.
    pub swaps_detected: u64,
    /// Swaps that the filter let through.
    pub swaps_filtered: u64,
    /// Swaps that were given another route.
    pub swaps_rerouted: u64,
    /// Rerouted swaps that were simulated.
    pub swaps_simulated: u64,
    /// Rerouted swaps that succeeded.
    pub swaps_succeeded: u64,
    /// Quotes that could not be renewed.
    pub requote_failures: u64,
    /// Overrides that could not be set up.
    pub override_setup_failures: u64,
    /// Blocks during which the router was not available.
    pub metis_unavailable_blocks: u64,
    /// Quotes that found the router not available.
    pub quote_attempts_unavailable: u64,
    /// Swaps that a direct-fill template matched.
    pub direct_fill_matched: u64,
    /// Outcomes of direct fills, by name.
    pub direct_fill_outcomes: BTreeMap<String, u64>,
    /// Direct fills that were scored.
    pub direct_fill_scored: u64,
    /// Sum of the scores of direct fills, in basis points.
    pub direct_fill_bps_total: i64,
    /// Totals by direct-fill template.
    pub direct_fill_templates: BTreeMap<String, DirectFillTemplate>,
    /// Original swaps that were scored.
    pub originals_scored: u64,
    /// Sum of the scores of original swaps, in basis points.
    pub originals_bps_total: i64,
    /// Original swaps that were replayed.
    pub originals_replayed: u64,
    /// Where the details are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_uri: Option<String>,
}

/// Totals of one direct-fill template (0.28).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DirectFillTemplate {
    /// Swaps that the template matched.
    pub matched: u64,
    /// Outcomes, by name.
    pub outcomes: BTreeMap<String, u64>,
    /// Fills that were scored.
    pub scored: u64,
    /// Sum of the scores, in basis points.
    pub bps_total: i64,
}

impl SessionSummary {
    /// Whether anything differs from the record.
    pub fn has_deviations(&self) -> bool {
        let Self {
            incorrect_simulation,
            execution_errors,
            balance_diff,
            log_diff,
            unsanitizable,
            ..
        } = self;
        [
            incorrect_simulation,
            execution_errors,
            balance_diff,
            log_diff,
            unsanitizable,
        ]
        .iter()
        .any(|count| **count > 0)
    }

    /// Number of transactions that were compared or could not be executed. Differences of balances and logs are
    /// properties of transactions that are counted already.
    pub fn total_transactions(&self) -> u64 {
        self.correct_simulation
            .saturating_add(self.incorrect_simulation)
            .saturating_add(self.execution_errors)
            .saturating_add(self.unsanitizable)
    }
}

impl fmt::Display for SessionSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} transactions: {} correct, {} incorrect, {} execution errors, {} unsanitizable, {} with balance \
             differences, {} with log differences",
            self.total_transactions(),
            self.correct_simulation,
            self.incorrect_simulation,
            self.execution_errors,
            self.unsanitizable,
            self.balance_diff,
            self.log_diff
        )
    }
}
