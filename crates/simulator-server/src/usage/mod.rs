//! Who uses the server, and how much.
//!
//! ```text
//! routes, rpc, sockets ──► Meter (a key, now) ◄── SessionMeter ◄── worker
//!                            │ taken every few seconds
//!                            ▼
//!                          Book (by key and day) ──► a file in the state directory
//! ```
//!
//! What a meter counts is moved into the book by the housekeeping, and before anybody reads the book.

mod book;
mod counts;
mod file;
mod meter;
mod session;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use simulator_api::usage::{Activity, UsageReport};
use tokio::time::Instant;

use self::book::Book;
pub(crate) use self::book::Span;
use self::file::UsageFile;
pub use self::file::UsageFileError;
pub(crate) use self::meter::{Meter, OwnLimits};
pub(crate) use self::session::{Pause, SessionMeter};
use crate::keys::{Keys, Owner};

/// The meters of all keys, and the book.
#[derive(Debug)]
pub(crate) struct Usage {
    meters: Mutex<BTreeMap<Owner, Arc<Meter>>>,
    defaults: OwnLimits,
    books: Mutex<Books>,
    file: Option<UsageFile>,
    /// Held while the file is written: nothing may be added to it twice.
    saving: Mutex<()>,
}

/// What was counted.
#[derive(Debug)]
struct Books {
    /// As it is on disk, where there is a place for it.
    saved: Book,
    /// What has come since.
    new: Book,
}

impl Usage {
    /// Begins to count, with what the state directory knows from earlier runs.
    ///
    /// # Errors
    /// [`UsageFileError`] if there is a file that cannot be read.
    pub(crate) fn open(
        keys: &Keys,
        defaults: OwnLimits,
        state_dir: Option<&Path>,
        now: DateTime<Utc>,
    ) -> Result<Self, UsageFileError> {
        let file = state_dir.map(UsageFile::open).transpose()?;
        let saved = match &file {
            Some(file) => file.read(now)?,
            None => Book::new(now),
        };
        let meters = keys.owners().map(|(owner, limits)| {
            let meter = Arc::new(Meter::new(defaults.with(limits)));
            (owner.clone(), meter)
        });
        Ok(Self {
            meters: Mutex::new(meters.collect()),
            defaults,
            books: Mutex::new(Books {
                saved,
                new: Book::new(now),
            }),
            file,
            saving: Mutex::default(),
        })
    }

    /// The meter of an owner. One whose key is gone has the default limits.
    pub(crate) fn meter(&self, owner: &Owner) -> Arc<Meter> {
        let mut meters = lock(&self.meters);
        let meter = meters
            .entry(owner.clone())
            .or_insert_with(|| Arc::new(Meter::new(self.defaults)));
        Arc::clone(meter)
    }

    /// What an owner has used in a span.
    pub(crate) fn report(&self, owner: &Owner, span: Span, now: DateTime<Utc>) -> UsageReport {
        self.collect(now);
        let meter = self.meter(owner);
        let books = lock(&self.books);
        let page = books.saved.report(&books.new, owner.name(), span, now);
        let limits = meter.limits();
        UsageReport {
            activity: Some(Activity {
                counted_since: books.saved.since(),
                survives_restart: self.file.is_some(),
                sessions_now: meter.sessions_now() as u64,
                max_sessions: limits.sessions as u64,
                connections_now: meter.connections_now() as u64,
                max_connections: limits.connections as u64,
                max_message_bytes: limits.message_bytes as u64,
                transactions: page.total.transactions,
                rpc_calls: page.total.rpc_calls,
                control_connections: page.total.control_connections,
                data_connections: page.total.data_connections,
                bytes_received: page.total.bytes_received,
                bytes_sent: page.total.bytes_sent,
            }),
            ..page.into_report(owner.name())
        }
    }

    /// Moves what was counted into the book, and the book to disk, if there is a place for it and something is new.
    /// Blocks while it writes.
    ///
    /// # Errors
    /// [`UsageFileError`] if the file cannot be written. It is written the next time, then.
    pub(crate) fn save(&self, now: DateTime<Utc>) -> Result<(), UsageFileError> {
        let _saving = lock(&self.saving);
        self.collect(now);
        let Some(file) = &self.file else { return Ok(()) };
        let new = lock(&self.books).new.clone();
        if new.is_empty() {
            return Ok(());
        }
        let saved = file.add(&new, now)?;
        let mut books = lock(&self.books);
        books.saved = saved;
        books.new.take_away(&new);
        Ok(())
    }

    fn collect(&self, now: DateTime<Utc>) {
        let instant = Instant::now();
        let meters = lock(&self.meters);
        let mut books = lock(&self.books);
        for (owner, meter) in meters.iter() {
            books.new.add(owner.name(), now.date_naive(), meter.take(instant));
        }
    }
}

fn lock<T>(guarded: &Mutex<T>) -> MutexGuard<'_, T> {
    guarded.lock().unwrap_or_else(PoisonError::into_inner)
}
