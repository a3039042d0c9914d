//! What is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Makes the same fields twice: as numbers, and as counters that many threads add to.
macro_rules! counts {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What was used.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub(crate) struct Counts {
            $($(#[$meta])* pub(crate) $name: u64,)*
        }

        /// What is being used.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[$meta])* pub(crate) $name: Counter,)*
        }

        impl Counts {
            /// Adds what was used elsewhere or later.
            pub(crate) fn add(&mut self, more: &Self) {
                $(self.$name = self.$name.saturating_add(more.$name);)*
            }

            /// Takes away what was added before.
            pub(crate) fn take_away(&mut self, part: &Self) {
                $(self.$name = self.$name.saturating_sub(part.$name);)*
            }
        }

        impl Counters {
            /// What was counted since the last call.
            pub(super) fn take(&self) -> Counts {
                Counts { $($name: self.$name.0.swap(0, Ordering::Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Sessions that began.
    started,
    /// Sessions that reached the end of their range.
    completed,
    /// Sessions that an error ended.
    failed,
    /// Slots that were executed.
    slots,
    /// Transactions that were executed, recorded ones and the user's.
    transactions,
    /// How long sessions lived, in milliseconds.
    session_ms,
    /// JSON-RPC calls over HTTP, each of a batch by itself.
    rpc_calls,
    /// Control connections that were opened.
    control_connections,
    /// PubSub connections that were opened.
    data_connections,
    /// Bytes from connections that belong to the key or to one of its sessions, as they were on the wire.
    bytes_received,
    /// Bytes to them.
    bytes_sent,
}

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }
}
