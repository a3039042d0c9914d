//! How much data all answers to one HTTP request may carry together.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::RpcError;

/// What is left for the answers to one HTTP request. A batch asks for many times what one call may ask for, and every
/// answer is held in memory until the last one is there.
#[derive(Debug)]
pub(super) struct Budget {
    spent: AtomicUsize,
    max: usize,
    searches: AtomicUsize,
}

/// Most times that one HTTP request may go through all accounts or transactions.
const MAX_SEARCHES: usize = 8;

impl Budget {
    /// Room for `max` bytes, counted before they are encoded.
    pub(super) fn new(max: usize) -> Self {
        Self {
            spent: AtomicUsize::new(0),
            max,
            searches: AtomicUsize::new(0),
        }
    }

    /// Takes room for an answer. The first one always fits, so that whatever is large can be read by itself.
    ///
    /// # Errors
    /// There is not so much left.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), RpcError> {
        let spent = self.spent.fetch_add(bytes, Ordering::Relaxed);
        if spent > 0 && spent.saturating_add(bytes) > self.max {
            return Err(self.exceeded());
        }
        Ok(())
    }

    /// What is left, in bytes; everything if nothing has been spent.
    pub(super) fn left(&self) -> usize {
        self.max.saturating_sub(self.spent.load(Ordering::Relaxed))
    }

    /// Allows one look at every account of the session, one more virtual machine while the session stands still, or one
    /// look at everything that it has executed.
    ///
    /// # Errors
    /// There have been too many.
    pub(super) fn search(&self) -> Result<(), RpcError> {
        if self.searches.fetch_add(1, Ordering::Relaxed) >= MAX_SEARCHES {
            return Err(RpcError::invalid_request(&format!(
                "one request may go through all accounts or transactions {MAX_SEARCHES} times, as searches and simulations \
                 with other code or sysvars do; send the rest in another one"
            )));
        }
        Ok(())
    }

    /// The refusal of an answer that does not fit.
    pub(super) fn exceeded(&self) -> RpcError {
        RpcError::invalid_request(&format!(
            "the answers to one request may carry {} bytes; ask for less at once, or for a slice (dataSlice)",
            self.max
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_counted() {
        let budget = Budget::new(10);
        (0..MAX_SEARCHES).for_each(|_| budget.search().unwrap());
        assert_eq!(budget.search().unwrap_err().code, -32600);
    }

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
