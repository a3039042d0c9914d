//! What Solana's ledger recorded of a transaction before it used protocol buffers: bincode, with fields at the end that
//! came later. (Solana 1.0 to 1.4: `StoredTransactionStatusMeta`)

use bytes::Bytes;
use serde::de::DeserializeOwned;
use solana_transaction_error::TransactionError;

use super::error::RecordProblem;
use crate::model::{InnerInstruction, InnerInstructions, Outcome};

/// What is left of a record.
struct Bincode<'a> {
    bytes: &'a [u8],
}

/// The outcome of a transaction. What these versions did not record is none.
pub(super) fn outcome(bytes: &[u8]) -> Result<Outcome, RecordProblem> {
    let mut from = Bincode { bytes };
    let outcome = Outcome {
        status: from.value::<Result<(), TransactionError>>("status")?,
        fee: from.value("fee")?,
        pre_balances: from.value("pre_balances")?,
        post_balances: from.value("post_balances")?,
        inner_instructions: from.later(Bincode::all_inner_instructions)?,
        logs: from.later(|from| from.value("log_messages"))?,
        pre_token_balances: None,
        post_token_balances: None,
        return_data: None,
        compute_units: None,
        loaded_addresses: None,
        cost_units: None,
    };
    match from.bytes {
        [] => Ok(outcome),
        _ => Err(RecordProblem::Malformed {
            what: "it has fields of a version between bincode and protocol buffers",
        }),
    }
}

impl Bincode<'_> {
    fn value<T: DeserializeOwned>(&mut self, field: &'static str) -> Result<T, RecordProblem> {
        bincode::deserialize_from(&mut self.bytes).map_err(|_| RecordProblem::Field { field })
    }

    /// A field that older versions end before.
    fn later<T>(
        &mut self,
        some: impl FnOnce(&mut Self) -> Result<T, RecordProblem>,
    ) -> Result<Option<T>, RecordProblem> {
        match self.bytes.is_empty() || !self.value::<bool>("an optional field")? {
            true => Ok(None),
            false => some(self).map(Some),
        }
    }

    fn all_inner_instructions(&mut self) -> Result<Vec<InnerInstructions>, RecordProblem> {
        (0..self.count()?).map(|_| self.inner_instructions()).collect()
    }

    fn inner_instructions(&mut self) -> Result<InnerInstructions, RecordProblem> {
        let index = self.value("inner_instructions.index")?;
        let instructions: Result<_, _> = (0..self.count()?).map(|_| self.instruction()).collect();
        Ok(InnerInstructions {
            index,
            instructions: instructions?,
        })
    }

    fn instruction(&mut self) -> Result<InnerInstruction, RecordProblem> {
        Ok(InnerInstruction {
            program_id_index: self.value("program_id_index")?,
            accounts: self.short_bytes()?.to_vec(),
            data: Bytes::copy_from_slice(self.short_bytes()?),
            stack_height: None,
        })
    }

    /// A number of elements that have at least one byte each.
    fn count(&mut self) -> Result<u64, RecordProblem> {
        let count = self.value("a length")?;
        match count <= self.bytes.len() as u64 {
            true => Ok(count),
            false => Err(RecordProblem::Field { field: "a length" }),
        }
    }

    /// Bytes behind a length of seven bits a byte, the lowest first.
    fn short_bytes(&mut self) -> Result<&[u8], RecordProblem> {
        let mut length = 0_usize;
        for shift in [0, 7, 14] {
            let byte: u8 = self.value("a short length")?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let taken = self.bytes.split_at_checked(length);
        let (taken, rest) = taken.ok_or(RecordProblem::Field {
            field: "a short length",
        })?;
        self.bytes = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(status: &Result<(), TransactionError>) -> Vec<u8> {
        bincode::serialize(&(status, 5000_u64, vec![10_u64, 1], vec![5_u64, 1])).unwrap()
    }

    #[test]
    fn reads_every_version() {
        let ends = start(&Ok(()));
        let first = outcome(&ends).unwrap();
        assert_eq!(
            (first.fee, first.pre_balances, first.post_balances),
            (5000, vec![10, 1], vec![5, 1])
        );
        assert_eq!((first.inner_instructions, first.logs), (None, None));

        // One group with one instruction: program 1, accounts 0 and 1, 200 bytes of data.
        let mut bytes = start(&Err(TransactionError::AccountNotFound));
        bytes.push(1);
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 0xc8, 1]);
        bytes.extend([7; 200]);
        bytes.extend(bincode::serialize(&Some(vec!["a log".to_owned()])).unwrap());
        let later = outcome(&bytes).unwrap();
        assert_eq!(later.status, Err(TransactionError::AccountNotFound));
        let inner = &later.inner_instructions.unwrap()[0];
        assert_eq!((inner.index, &inner.instructions[0].accounts[..]), (3, &[0, 1][..]));
        assert_eq!(inner.instructions[0].data, vec![7; 200]);
        assert_eq!(later.logs, Some(vec!["a log".to_owned()]));

        bytes.push(1);
        assert!(matches!(outcome(&bytes), Err(RecordProblem::Malformed { .. })));
    }

    #[test]
    fn refuses_what_ends_early_and_lengths_that_are_not_true() {
        let bytes = start(&Ok(()));
        for length in 0..bytes.len() {
            assert!(outcome(&bytes[..length]).is_err(), "{length}");
        }
        let mut long = bytes.clone();
        long.push(1);
        long.extend(u64::MAX.to_le_bytes());
        assert!(outcome(&long).is_err());
        let mut balances = bytes[..12].to_vec();
        balances.extend((u64::MAX / 16).to_le_bytes());
        assert!(outcome(&balances).is_err());
    }
}
