//! Loads a running server, and prints what it held.
//!
//! ```text
//! sim serve --archive DIR --max-sessions 200 --api-key load=KEY &
//! cargo run -p simulator-server --example load -- 127.0.0.1:8900 $! KEY 200 50
//! ```
//!
//! The arguments: address, process of the server (whose memory is read from `/proc`), key, sessions, subscribers of the
//! first session. Every session replays the whole archive while others send garbage, half-open connections, oversized
//! messages, wrong keys and guessed ids. It fails if anything is lost.
#![expect(clippy::print_stdout, reason = "its figures are its purpose")]
#![expect(clippy::unwrap_used, reason = "whatever goes wrong is the result")]

mod client;
mod trouble;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::client::{Control, Data, get};

/// What to load.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    process: u32,
    key: String,
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, process, key, sessions, subscribers] = arguments.as_slice() else {
        panic!("usage: load ADDRESS PID KEY SESSIONS SUBSCRIBERS");
    };
    let target = Target {
        address: address.parse().unwrap(),
        process: process.parse().unwrap(),
        key: key.clone(),
    };
    load(&target, sessions.parse().unwrap(), subscribers.parse().unwrap()).await;
}

async fn load(target: &Target, sessions: usize, subscribers: usize) {
    let empty = target.memory();
    let (mut controls, opening) = timed(open(target, sessions)).await;
    println!("sessions opened       {sessions} in {opening:.1?}");
    println!("memory, no session    {empty} KiB");
    target.tell_memory("all waiting", empty, sessions);

    let audience = Audience::gather(target, &controls[0].endpoint, subscribers).await;
    let watch = tokio::spawn(health(target.clone()));
    let trouble = tokio::spawn(trouble::make(target.clone()));
    // The first one waits in the end for the subscriber that does not read.
    let mut first = controls.remove(0);
    let first = tokio::spawn(async move {
        first.run_to_the_end().await.unwrap();
        first
    });
    let (slots, replaying) = timed(run_all(&mut controls)).await;
    let speed = slots as f64 / replaying.as_secs_f64();
    println!("replayed              {slots} slots in {replaying:.1?}, {speed:.0} slots/s");
    target.tell_memory("all replayed", empty, sessions);
    println!("trouble made          {}", trouble.await.unwrap());
    audience.check().await;
    controls.push(first.await.unwrap());
    watch.abort();
    if let Err(error) = watch.await {
        assert!(error.is_cancelled(), "{error}");
    }
    for control in controls {
        control.close().await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("memory, all closed    {} KiB", target.memory());
    tell_metrics(target).await;
}

/// The subscribers of one session.
struct Audience {
    reading: Vec<JoinHandle<usize>>,
    /// Begins to read when all others are done.
    late: Data,
}

impl Audience {
    async fn gather(target: &Target, endpoint: &str, subscribers: usize) -> Self {
        let readers = (1..subscribers).map(|_| Data::subscribe(target.address, endpoint));
        let readers = try_join_all(readers).await.unwrap();
        Self {
            reading: readers.into_iter().map(|reader| tokio::spawn(reader.count())).collect(),
            late: Data::subscribe(target.address, endpoint).await.unwrap(),
        }
    }

    /// Checks that nobody has lost anything.
    async fn check(self) {
        let mut counts = Vec::new();
        for reader in self.reading {
            counts.push(reader.await.unwrap());
        }
        counts.push(self.late.count().await);
        assert!(
            counts.iter().all(|count| *count == counts[0]),
            "something was lost: {counts:?}"
        );
        println!(
            "notifications         {} for each of {} subscribers",
            counts[0],
            counts.len()
        );
    }
}

async fn tell_metrics(target: &Target) {
    let (_, metrics) = get(target, "/metrics").await;
    let told = [
        "sim_refused_total",
        "sim_pauses_total",
        "sim_sessions",
        "sim_connections{",
    ];
    metrics
        .lines()
        .filter(|line| told.iter().any(|name| line.starts_with(name)))
        .for_each(|line| println!("{line}"));
}

async fn open(target: &Target, sessions: usize) -> Vec<Control> {
    let mut controls = Vec::new();
    while controls.len() < sessions {
        let some = (controls.len()..sessions)
            .take(16)
            .map(|_| Control::open(target.address, &target.key));
        controls.extend(try_join_all(some).await.unwrap());
    }
    controls
}

async fn run_all(controls: &mut [Control]) -> usize {
    let runs = controls.iter_mut().map(Control::run_to_the_end);
    try_join_all(runs).await.unwrap().into_iter().sum()
}

/// Looks whether the server lives, again and again.
async fn health(target: Target) {
    let mut slowest = Duration::ZERO;
    loop {
        let ((status, _), took) = timed(get(&target, "/health")).await;
        assert_eq!(status, 200);
        if took > slowest {
            slowest = took;
            println!("/health took          {took:.1?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    (work.await, began.elapsed())
}

impl Target {
    fn tell_memory(&self, when: &str, empty: u64, sessions: usize) {
        let now = self.memory();
        let each = now.saturating_sub(empty) / sessions as u64;
        println!("memory, {when:<14}{now} KiB, {each} KiB a session");
    }

    /// Resident memory of the server, in KiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}
