//! A session's commands in a file.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

use super::directory::Lock;
use super::frame;
use super::stored::Record;
use crate::command_log::{Command, CommandLog, CommandLogError, LoggedCommand, Progress};

/// A file that grows at its end.
pub(super) trait LogFile: Send {
    /// Adds bytes at the end. When it fails, some of them may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything will survive whatever happens to the machine.
    fn sync(&mut self) -> io::Result<()>;

    /// Forgets what is behind this length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// A log in a file, up to a limit.
pub(super) struct FileLog<F: LogFile> {
    file: F,
    state: State,
    /// Bytes of whole records.
    length: u64,
    limit: usize,
    notes: u32,
    /// As long as something may be written, no other process may.
    _lock: Option<Arc<Lock>>,
}

/// What is known of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It holds whole records.
    Sound,
    /// It may hold anything behind them. What was written may be lost although the system said that it was not.
    Broken,
}

/// After so many notes the file is synchronised even if no command comes: what a client has is known well enough then
/// for its cursor to be found again, whatever happens to the machine.
const NOTES_BETWEEN_SYNCS: u32 = 8;

impl<F: LogFile> FileLog<F> {
    /// A log that goes on in a file of whole records.
    pub(super) fn new(file: F, length: u64, limit: usize, lock: Option<Arc<Lock>>) -> Self {
        Self {
            file,
            state: State::Sound,
            length,
            limit,
            notes: 0,
            _lock: lock,
        }
    }

    fn write(&mut self, record: &[u8]) -> Result<(), CommandLogError> {
        if self.state == State::Broken {
            return Err(CommandLogError::Broken);
        }
        let written = self.file.append(record);
        if let Err(error) = written {
            if self.file.cut(self.length).is_err() {
                self.state = State::Broken;
            }
            return Err(CommandLogError::Write(error));
        }
        self.length += record.len() as u64;
        Ok(())
    }

    /// After a failure nothing is known of what was written before, and a second attempt that succeeds says nothing.
    fn sync(&mut self, sound: u64) -> Result<(), CommandLogError> {
        self.notes = 0;
        self.file.sync().map_err(|error| {
            self.state = State::Broken;
            self.length = sound;
            if let Err(error) = self.file.cut(sound).and_then(|()| self.file.sync()) {
                tracing::warn!(%error, "what could not be written down may be there after a restart all the same");
            }
            CommandLogError::Write(error)
        })
    }

    fn is_full(&self, record: &[u8]) -> bool {
        self.length.saturating_add(record.len() as u64) > self.limit as u64
    }
}

impl<F: LogFile> CommandLog for FileLog<F> {
    fn append(&mut self, command: LoggedCommand) -> Result<(), CommandLogError> {
        let is_end = command.command == Command::Close;
        let full = CommandLogError::Full { limit: self.limit };
        let Some(record) = frame::record(&Record::Command(command).to_bytes()) else {
            return Err(full);
        };
        if self.is_full(&record) && !is_end {
            return Err(full);
        }
        let sound = self.length;
        self.write(&record)?;
        self.sync(sound)
    }

    fn note(&mut self, progress: Progress) {
        let Some(record) = frame::record(&Record::Progress(progress).to_bytes()) else {
            return;
        };
        let sound = self.length;
        let mut written = self.write(&record);
        self.notes += 1;
        if written.is_ok() && self.notes >= NOTES_BETWEEN_SYNCS {
            written = self.sync(sound);
        }
        if let Err(error) = written {
            tracing::debug!(%error, "how far a session has come was not written down");
        }
    }
}

/// What was noted last is there even if the machine fails next.
impl<F: LogFile> Drop for FileLog<F> {
    fn drop(&mut self) {
        if self.state == State::Sound
            && let Err(error) = self.file.sync()
        {
            tracing::debug!(%error, "how far a session has come may be lost");
        }
    }
}

/// A file that was opened to be appended to.
impl LogFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::stored::tests::commands;
    use super::*;

    /// A disk that fails when it is told to.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<Inside>>);

    #[derive(Default)]
    struct Inside {
        bytes: Vec<u8>,
        /// How many more bytes there is room for.
        room: Option<usize>,
        syncs_fail: bool,
        cuts_fail: bool,
    }

    impl LogFile for Disk {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            let mut inside = self.0.lock().unwrap();
            let fits = inside.room.unwrap_or(usize::MAX).min(bytes.len());
            inside.bytes.extend(&bytes[..fits]);
            inside.room = inside.room.map(|room| room - fits);
            if fits < bytes.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            if self.0.lock().unwrap().syncs_fail {
                return Err(io::Error::other("the disk is gone"));
            }
            Ok(())
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            let mut inside = self.0.lock().unwrap();
            if inside.cuts_fail {
                return Err(io::Error::other("read-only"));
            }
            inside.bytes.truncate(usize::try_from(length).unwrap());
            Ok(())
        }
    }

    impl Disk {
        fn set(&self, change: impl FnOnce(&mut Inside)) {
            change(&mut self.0.lock().unwrap());
        }

        fn log(&self, limit: usize) -> FileLog<Disk> {
            let preamble = frame::preamble(frame::FileKind::Session);
            let length = preamble.len() as u64;
            self.set(|inside| inside.bytes = preamble);
            FileLog::new(self.clone(), length, limit, None)
        }

        /// The commands that a restart would find.
        fn found(&self) -> Vec<LoggedCommand> {
            let inside = self.0.lock().unwrap();
            let frames = frame::read(frame::FileKind::Session, &inside.bytes).unwrap();
            let records = frames
                .records
                .into_iter()
                .map(|range| Record::from_bytes(&inside.bytes[range]).unwrap());
            records
                .filter_map(|record| match record {
                    Record::Command(command) => Some(command),
                    _ => None,
                })
                .collect()
        }
    }

    #[test]
    fn a_full_disk_refuses_commands_and_loses_none() {
        for room in 0..200 {
            let disk = Disk::default();
            let mut log = disk.log(usize::MAX);
            let (first, second) = (commands()[3].clone(), commands()[0].clone());
            log.append(first.clone()).unwrap();
            disk.set(|inside| inside.room = Some(room));
            log.note(Progress::default());
            assert!(
                matches!(log.append(second.clone()), Err(CommandLogError::Write(_))),
                "{room}"
            );
            assert_eq!(disk.found(), std::slice::from_ref(&first), "{room}");
            disk.set(|inside| inside.room = None);
            log.append(second.clone()).unwrap();
            assert_eq!(disk.found(), [first, second]);
        }
    }

    #[test]
    fn a_file_that_cannot_be_mended_takes_nothing_any_more() {
        let disk = Disk::default();
        let mut log = disk.log(usize::MAX);
        let command = commands()[0].clone();
        disk.set(|inside| (inside.room, inside.cuts_fail) = (Some(20), true));
        assert!(matches!(log.append(command.clone()), Err(CommandLogError::Write(_))));
        disk.set(|inside| {
            *inside = Inside {
                bytes: std::mem::take(&mut inside.bytes),
                ..Inside::default()
            }
        });
        assert!(matches!(log.append(command), Err(CommandLogError::Broken)));
        assert_eq!(disk.found(), [], "what was torn is no command");
    }

    #[test]
    fn what_may_not_have_arrived_was_not_taken() {
        let disk = Disk::default();
        let mut log = disk.log(usize::MAX);
        let (first, second) = (commands()[3].clone(), commands()[0].clone());
        log.append(first.clone()).unwrap();
        disk.set(|inside| inside.syncs_fail = true);
        assert!(matches!(log.append(second.clone()), Err(CommandLogError::Write(_))));
        disk.set(|inside| inside.syncs_fail = false);
        assert!(matches!(log.append(second), Err(CommandLogError::Broken)));
        assert_eq!(disk.found(), [first]);
    }

    #[test]
    fn the_limit_is_for_everything_but_the_end() {
        let disk = Disk::default();
        let mut log = disk.log(100);
        let all = commands();
        assert!(matches!(
            log.append(all[0].clone()),
            Err(CommandLogError::Full { limit: 100 })
        ));
        log.append(all[3].clone()).unwrap();
        for _ in 0..9 {
            log.append(all[8].clone()).unwrap();
        }
        assert!(matches!(log.append(all[3].clone()), Err(CommandLogError::Full { .. })));
        assert_eq!(disk.found().len(), 10);
    }
}
