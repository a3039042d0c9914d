//! `sim ranges`.

use std::io;

use chrono::SecondsFormat;
use serde::Serialize;
use simulator_api::{AvailableRange, BundleKind};
use thiserror::Error;

use crate::args::RangesArgs;
use crate::connect::{ConnectError, Connection, ReachError, reach};
use crate::exit::Exit;
use crate::output::OutputError;
use crate::place::{Place, PlaceError};
use crate::progress::Visibility;
use crate::signals;
use crate::stdout::{heading_table, print, print_json};

/// Why the ranges could not be listed.
#[derive(Debug, Error)]
pub(crate) enum RangesError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

impl RangesError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Place(_) => Exit::Usage,
            Self::Connect(error) => error.exit(),
            Self::Reach(error) => error.exit(),
            Self::Output(error) => error.exit(),
            Self::Signals(_) => Exit::Failed,
        }
    }
}

/// One range, as it is printed.
#[derive(Debug, Serialize)]
struct Range {
    first_slot: u64,
    last_slot: Option<u64>,
    first_time: Option<String>,
    last_time: Option<String>,
    kind: String,
}

/// Lists ranges, or stops when a signal asks for that.
pub(crate) async fn ranges(args: RangesArgs, visibility: Visibility) -> Result<Exit, RangesError> {
    let RangesArgs { place, json } = args;
    let place = Place::try_from(place)?;
    let stop = signals::stop_requested().map_err(RangesError::Signals)?;
    tokio::select! {
        ranges = list(place, visibility) => print_ranges(&ranges?, json).map(|()| Exit::Done),
        () = stop.cancelled() => Ok(Exit::Interrupted),
    }
}

async fn list(place: Place, visibility: Visibility) -> Result<Vec<Range>, RangesError> {
    let connection = Connection::open(place, visibility).await?;
    let ranges = reach(async || connection.client().available_ranges().await).await;
    connection.close().await;
    let mut ranges: Vec<Range> = ranges?.into_iter().map(Range::from).collect();
    ranges.sort_by_key(|range| (range.first_slot, range.last_slot));
    Ok(ranges)
}

fn print_ranges(ranges: &[Range], json: bool) -> Result<(), RangesError> {
    if json {
        print_json(&ranges)?;
    } else {
        let heading = ["first slot", "last slot", "first time", "last time", "kind"];
        let table = heading_table(heading, ranges.iter().map(Range::cells));
        print(|stdout| stdout.write_all(table.as_bytes()))?;
    }
    Ok(())
}

impl Range {
    fn cells(&self) -> [String; 5] {
        let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
        [
            self.first_slot.to_string(),
            known(self.last_slot.map(|slot| slot.to_string())),
            known(self.first_time.clone()),
            known(self.last_time.clone()),
            self.kind.clone(),
        ]
    }
}

impl From<AvailableRange> for Range {
    fn from(range: AvailableRange) -> Self {
        let text = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        Self {
            first_slot: range.bundle_start_slot,
            last_slot: range.max_bundle_end_slot,
            first_time: range.bundle_start_slot_utc.map(text),
            last_time: range.max_bundle_end_slot_utc.map(text),
            kind: match range.kind {
                BundleKind::Blocks => "blocks".to_owned(),
                other => other.to_string(),
            },
        }
    }
}
