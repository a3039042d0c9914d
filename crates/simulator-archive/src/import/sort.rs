//! Sorting more than fits into memory: sorted runs in temporary files, which are merged.
//!
//! The files have no names, so that a crash leaves nothing behind.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

/// What a record takes in memory beside its value, roughly.
const OVERHEAD: usize = 64;

/// How many runs of about one size there may be before they are merged into one: each is an open file. Merging runs of one
/// size only keeps the number of times that a record is written logarithmic.
const MAX_RUNS: usize = 32;

/// A record: its key, which decides the order, and its value.
pub(super) type Record<const N: usize> = ([u8; N], Vec<u8>);

/// A record and the number of its run, which makes the order of equal keys that of the runs.
type Head<const N: usize> = ([u8; N], usize, Vec<u8>);

/// Collects records.
#[derive(Debug)]
pub(super) struct Sorter<const N: usize> {
    memory: usize,
    used: usize,
    records: Vec<Record<N>>,
    /// The runs as they were spilled, then those that were merged once, and so on: each later level is older.
    levels: Vec<Vec<File>>,
}

/// Returns records in order of their keys.
#[derive(Debug)]
pub(super) struct Sorted<const N: usize> {
    records: std::vec::IntoIter<Record<N>>,
    runs: Vec<BufReader<File>>,
    /// The next record of each run.
    heads: BinaryHeap<Reverse<Head<N>>>,
}

impl<const N: usize> Sorter<N> {
    /// Uses about `memory` bytes of memory.
    pub(super) fn new(memory: usize) -> Self {
        Self {
            memory,
            used: 0,
            records: Vec::new(),
            levels: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, key: [u8; N], value: Vec<u8>) -> io::Result<()> {
        self.used += N + value.len() + OVERHEAD;
        self.records.push((key, value));
        if self.used >= self.memory {
            self.spill()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Sorted<N>> {
        self.records.sort();
        let oldest_first = self.levels.into_iter().rev().flatten().collect();
        Sorted::new(self.records, oldest_first)
    }

    fn spill(&mut self) -> io::Result<()> {
        self.records.sort();
        self.used = 0;
        let mut run = Sorted::new(std::mem::take(&mut self.records), Vec::new())?.write()?;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(run);
            if self.levels[level].len() < MAX_RUNS {
                break;
            }
            let runs = std::mem::take(&mut self.levels[level]);
            run = Sorted::<N>::new(Vec::new(), runs)?.write()?;
        }
        Ok(())
    }
}

impl<const N: usize> Sorted<N> {
    fn new(records: Vec<Record<N>>, runs: Vec<File>) -> io::Result<Self> {
        let runs = runs.into_iter().map(rewound).collect::<io::Result<_>>()?;
        let mut sorted = Self {
            records: records.into_iter(),
            runs,
            heads: BinaryHeap::new(),
        };
        for run in 0..=sorted.runs.len() {
            sorted.advance(run)?;
        }
        Ok(sorted)
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Record<N>>> {
        let Some(Reverse((key, run, value))) = self.heads.pop() else {
            return Ok(None);
        };
        self.advance(run)?;
        Ok(Some((key, value)))
    }

    /// Takes the next record of a run. What was not spilled counts as the last run.
    fn advance(&mut self, run: usize) -> io::Result<()> {
        let record = match self.runs.get_mut(run) {
            Some(file) => read_record(file)?,
            None => self.records.next(),
        };
        self.heads.extend(record.map(|(key, value)| Reverse((key, run, value))));
        Ok(())
    }

    fn write(mut self) -> io::Result<File> {
        let mut file = BufWriter::new(tempfile::tempfile()?);
        while let Some((key, value)) = self.next()? {
            file.write_all(&key)?;
            file.write_all(&(value.len() as u64).to_le_bytes())?;
            file.write_all(&value)?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

fn rewound(mut run: File) -> io::Result<BufReader<File>> {
    run.rewind()?;
    Ok(BufReader::new(run))
}

/// Lengths are our own, written a moment ago to a file that nobody else can open.
fn read_record<const N: usize>(run: &mut BufReader<File>) -> io::Result<Option<Record<N>>> {
    let (mut key, mut length) = ([0; N], [0; 8]);
    match run.read_exact(&mut key) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    run.read_exact(&mut length)?;
    let mut value = vec![0; u64::from_le_bytes(length) as usize];
    run.read_exact(&mut value)?;
    Ok(Some((key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(memory: usize, keys: &[u64]) -> Vec<u64> {
        let mut sorter = Sorter::<8>::new(memory);
        for key in keys {
            sorter.push(key.to_be_bytes(), key.to_string().into_bytes()).unwrap();
        }
        let mut sorted = sorter.finish().unwrap();
        let mut result = Vec::new();
        while let Some((key, value)) = sorted.next().unwrap() {
            let key = u64::from_be_bytes(key);
            assert_eq!(value, key.to_string().into_bytes());
            result.push(key);
        }
        result
    }

    /// With one record a run, 5000 records take several rounds of merging.
    #[test]
    fn sorts_the_same_with_any_memory() {
        let keys: Vec<u64> = (0..5000_u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        let mut expected = keys.clone();
        expected.sort_unstable();
        for memory in [1, 1000, 1 << 20] {
            assert_eq!(sort(memory, &keys), expected, "{memory}");
        }
    }

    #[test]
    fn keeps_equal_keys() {
        assert_eq!(sort(1, &[3, 1, 3, 2]), [1, 2, 3, 3]);
        assert_eq!(sort(1, &[]), [] as [u64; 0]);
    }
}
