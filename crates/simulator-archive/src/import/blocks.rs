//! The blocks of an import, file after file.

use std::collections::VecDeque;

use super::car::CarBlocks;
use super::chain::{Chain, Gaps, LedgerBlock};
use super::error::ImportError;
use super::getblock::BlockLines;
use super::input::{InputFile, Meter};
use crate::manifest::SourceFile;

/// What the files of blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockFormat {
    /// Results of `getBlock`, one a line.
    Lines,
    /// Old Faithful's CAR files.
    Car,
}

/// Reads the blocks of all files, and checks that each follows from the one before it.
pub(super) struct Blocks {
    format: BlockFormat,
    files: VecDeque<InputFile>,
    current: Option<Current>,
    chain: Chain,
    /// The files that have been read.
    sources: Vec<SourceFile>,
}

enum Current {
    Lines(Box<BlockLines>),
    Car(Box<CarBlocks>),
}

impl Blocks {
    pub(super) fn new(format: BlockFormat, files: impl IntoIterator<Item = InputFile>) -> Self {
        Self {
            format,
            files: files.into_iter().collect(),
            current: None,
            chain: Chain::default(),
            sources: Vec::new(),
        }
    }

    /// The next block, or `None` after the last.
    pub(super) fn next(&mut self, gaps: Gaps) -> Result<Option<LedgerBlock>, ImportError> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(file) = self.files.pop_front() else {
                    return Ok(None);
                };
                self.current = Some(Current::open(self.format, &file)?);
                continue;
            };
            if let Some(block) = current.next(&self.chain, gaps)? {
                self.chain.add(&block.block);
                return Ok(Some(block));
            }
            self.sources.push(current.meter().source());
            self.current = None;
        }
    }

    /// How many bytes of the files have been read, as stored.
    pub(super) fn bytes_read(&self) -> u64 {
        let done: u64 = self.sources.iter().map(|file| file.size).sum();
        done + self.current.as_ref().map_or(0, |current| current.meter().bytes_read())
    }

    /// What the manifest says about the files, all of which have been read.
    pub(super) fn into_sources(self) -> Vec<SourceFile> {
        self.sources
    }
}

impl Current {
    fn open(format: BlockFormat, file: &InputFile) -> Result<Self, ImportError> {
        Ok(match format {
            BlockFormat::Lines => Self::Lines(Box::new(BlockLines::open(file)?)),
            BlockFormat::Car => Self::Car(Box::new(CarBlocks::open(file)?)),
        })
    }

    fn next(&mut self, chain: &Chain, gaps: Gaps) -> Result<Option<LedgerBlock>, ImportError> {
        match self {
            Self::Lines(lines) => lines.next(chain, gaps),
            Self::Car(car) => car.next(chain, gaps),
        }
    }

    fn meter(&self) -> &Meter {
        match self {
            Self::Lines(lines) => lines.meter(),
            Self::Car(car) => car.meter(),
        }
    }
}
