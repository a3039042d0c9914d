use std::fmt;

use solana_pubkey::Pubkey;

use super::{AccountDump, AccountRecord};

/// How many differences [`assert_same`] lists.
const LISTED: usize = 20;

/// One thing in which two dumps differ. Its display is a line that a person can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The account is expected and not there.
    Missing {
        /// The account.
        address: Pubkey,
    },
    /// The account is there and not expected.
    Surplus {
        /// The account.
        address: Pubkey,
    },
    /// A field of the account differs.
    Field {
        /// The account.
        address: Pubkey,
        /// The field, with both values.
        field: Field,
    },
}

/// A field of an account with its two values, expected first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// The balances in lamports.
    Lamports(u64, u64),
    /// The owners.
    Owner(Pubkey, Pubkey),
    /// Whether it is a program.
    Executable(bool, bool),
    /// The rent epochs.
    RentEpoch(u64, u64),
    /// The lengths of the data in bytes.
    DataLength(usize, usize),
    /// The data, of equal length.
    Data {
        /// The first byte that differs.
        offset: usize,
        /// How many bytes differ.
        bytes: usize,
        /// The first differing byte of each.
        first: (u8, u8),
    },
}

/// What `actual` differs in from `expected`, by address, several entries for an account with several differences.
pub fn compare(expected: &AccountDump, actual: &AccountDump) -> Vec<Difference> {
    let mut found = Vec::new();
    for (address, record) in expected {
        match actual.get(address) {
            Some(other) => found.extend(fields(record, other)),
            None => found.push(Difference::Missing { address: *address }),
        }
    }
    let surplus = actual.keys().filter(|address| !expected.contains_key(address));
    found.extend(surplus.map(|address| Difference::Surplus { address: *address }));
    found.sort_by_key(Difference::address);
    found
}

/// Ends the test with the first differences, if there are any.
///
/// # Panics
/// When the dumps differ.
#[track_caller]
pub fn assert_same(expected: &AccountDump, actual: &AccountDump) {
    let found = compare(expected, actual);
    let listed: Vec<_> = found.iter().take(LISTED).map(ToString::to_string).collect();
    assert!(
        found.is_empty(),
        "{} differences between the accounts:\n{}",
        found.len(),
        listed.join("\n")
    );
}

impl Difference {
    /// The account that differs.
    pub fn address(&self) -> Pubkey {
        match self {
            Self::Missing { address } | Self::Surplus { address } | Self::Field { address, .. } => *address,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { address } => write!(out, "{address}: missing"),
            Self::Surplus { address } => write!(out, "{address}: not expected"),
            Self::Field { address, field } => write!(out, "{address}: {field}"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lamports(expected, actual) => write!(out, "lamports {actual}, expected {expected}"),
            Self::Owner(expected, actual) => write!(out, "owner {actual}, expected {expected}"),
            Self::Executable(expected, actual) => write!(out, "executable {actual}, expected {expected}"),
            Self::RentEpoch(expected, actual) => write!(out, "rent epoch {actual}, expected {expected}"),
            Self::DataLength(expected, actual) => write!(out, "{actual} bytes of data, expected {expected}"),
            Self::Data {
                offset,
                bytes,
                first: (expected, actual),
            } => {
                write!(
                    out,
                    "data differs in {bytes} bytes, at byte {offset} {actual:#04x}, expected {expected:#04x}"
                )
            }
        }
    }
}

fn fields(expected: &AccountRecord, actual: &AccountRecord) -> impl Iterator<Item = Difference> + use<> {
    let address = expected.address;
    let changed = [
        changed(expected.lamports, actual.lamports, Field::Lamports),
        changed(expected.owner, actual.owner, Field::Owner),
        changed(expected.executable, actual.executable, Field::Executable),
        changed(expected.rent_epoch, actual.rent_epoch, Field::RentEpoch),
        changed(expected.data.len(), actual.data.len(), Field::DataLength).or_else(|| data(expected, actual)),
    ];
    changed
        .into_iter()
        .flatten()
        .map(move |field| Difference::Field { address, field })
}

fn changed<T: PartialEq>(expected: T, actual: T, field: impl FnOnce(T, T) -> Field) -> Option<Field> {
    (expected != actual).then(|| field(expected, actual))
}

fn data(expected: &AccountRecord, actual: &AccountRecord) -> Option<Field> {
    let pairs = expected.data.iter().zip(&actual.data).enumerate();
    let mut differing = pairs.filter(|(_, (expected, actual))| expected != actual);
    let (offset, (expected, actual)) = differing.next()?;
    Some(Field::Data {
        offset,
        bytes: 1 + differing.count(),
        first: (*expected, *actual),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u8) -> AccountRecord {
        AccountRecord {
            address: Pubkey::new_from_array([number; 32]),
            lamports: 10,
            owner: Pubkey::default(),
            executable: false,
            rent_epoch: 0,
            data: vec![1, 2, 3],
        }
    }

    fn dump(records: impl IntoIterator<Item = AccountRecord>) -> AccountDump {
        records.into_iter().map(|record| (record.address, record)).collect()
    }

    #[test]
    fn equal_dumps_have_no_difference() {
        let one = dump([record(1), record(2)]);
        assert_eq!(compare(&one, &one.clone()), []);
        assert_same(&one, &one.clone());
    }

    #[test]
    fn missing_and_surplus_accounts_are_named_in_order_of_address() {
        let found = compare(&dump([record(2), record(3)]), &dump([record(1), record(3)]));
        let (first, second) = (record(1).address, record(2).address);
        assert_eq!(
            found,
            [
                Difference::Surplus { address: first },
                Difference::Missing { address: second }
            ]
        );
    }

    #[test]
    fn every_field_is_compared() {
        let owner = Pubkey::new_from_array([9; 32]);
        let cases: [(AccountRecord, &str); 6] = [
            (
                AccountRecord {
                    lamports: 11,
                    ..record(1)
                },
                "lamports 11, expected 10",
            ),
            (
                AccountRecord { owner, ..record(1) },
                "expected 11111111111111111111111111111111",
            ),
            (
                AccountRecord {
                    executable: true,
                    ..record(1)
                },
                "executable true, expected false",
            ),
            (
                AccountRecord {
                    rent_epoch: 5,
                    ..record(1)
                },
                "rent epoch 5, expected 0",
            ),
            (
                AccountRecord {
                    data: vec![1, 2],
                    ..record(1)
                },
                "2 bytes of data, expected 3",
            ),
            (
                AccountRecord {
                    data: vec![1, 7, 4],
                    ..record(1)
                },
                "data differs in 2 bytes, at byte 1 0x07, expected 0x02",
            ),
        ];
        for (changed, message) in cases {
            let found = compare(&dump([record(1)]), &dump([changed]));
            assert_eq!(found.len(), 1);
            assert!(found[0].to_string().ends_with(message), "{}", found[0]);
        }
    }

    #[test]
    #[should_panic(expected = "1 differences between the accounts")]
    fn a_difference_ends_the_test() {
        assert_same(&dump([record(1)]), &dump([]));
    }
}
