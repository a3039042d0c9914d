//! How much data all answers to one HTTP request may carry together.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::RpcError;

/// What is left for the answers to one HTTP request. A batch asks for many times what one call may ask for, and every
/// answer is held in memory until the last one is there.
#[derive(Debug)]
pub(super) struct Budget {
    spent: AtomicUsize,
    max: usize,
}

impl Budget {
    /// Room for `max` bytes, counted before they are encoded.
    pub(super) fn new(max: usize) -> Self {
        Self {
            spent: AtomicUsize::new(0),
            max,
        }
    }

    /// Takes room for an answer. The first one always fits, so that whatever is large can be read by itself.
    ///
    /// # Errors
    /// There is not so much left.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), RpcError> {
        let spent = self.spent.fetch_add(bytes, Ordering::Relaxed);
        if spent > 0 && spent.saturating_add(bytes) > self.max {
            return Err(RpcError::invalid_request(&format!(
                "the answers to one request may carry {} bytes; ask for less at once, or for a slice (dataSlice)",
                self.max
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fits_and_the_rest_has_a_limit() {
        let budget = Budget::new(10);
        budget.spend(4).unwrap();
        budget.spend(6).unwrap();
        assert_eq!(budget.spend(1).unwrap_err().code, -32600);
        let budget = Budget::new(10);
        budget.spend(0).unwrap();
        budget.spend(11).unwrap();
        assert!(budget.spend(1).is_err());
    }
}
