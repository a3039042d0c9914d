//! What the managed layer costs: account-diff notifications a second through a subscription manager, beside a loop that
//! only reads the frames of the same WebSocket library.
//!
//! ```text
//! taskset -c 0,1 cargo bench -p simulator-client --bench notifications
//! ```
//!
//! A thread is the server: it writes notifications that were encoded beforehand to a loopback socket as fast as the
//! client takes them. The client is one thread with one runtime, and has a core of its own as long as nothing else uses
//! the two. Both ways of reading take turns, so that whatever the machine does meanwhile hits both; the ratio is the
//! median of the ratios of the rounds. The clock runs from the first notification to the last.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::error::Error;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use simulator_client::managed::{SubscriptionNotification, spawn_account_diff_subscription_manager};
use tokio::time::Instant;
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};
use tokio_util::sync::CancellationToken;

type BoxError = Box<dyn Error + Send + Sync>;

/// Bytes of notifications in one round.
const ROUND_BYTES: usize = 96 << 20;
/// Rounds that count, after one that does not.
const ROUNDS: usize = 25;
const PROGRAM: &str = "Stake11111111111111111111111111111111111111";
const SIGNATURE: &str = "DPKi42qxxNTBrvvwWtuoSQauM3L5jmLc4Z3GoVS8fGFAyYpqAYhRRjTcsqDpcYEbgLnqAPYrVHRkyDLoaH7w85N";
const SUBSCRIPTION: u64 = 170_017;
const FIRST_SLOT: u64 = 402_000_045;
/// Notifications of one slot.
const SLOT_NOTIFICATIONS: u64 = 1000;

/// What is measured, and which part of the frame loop's rate is enough.
#[derive(Clone, Copy)]
struct Case {
    size: usize,
    has_cursor: bool,
    least_percent: f64,
}

const CASES: [Case; 4] = [
    Case {
        size: 165,
        has_cursor: true,
        least_percent: 45.0,
    },
    Case {
        size: 165,
        has_cursor: false,
        least_percent: 45.0,
    },
    Case {
        size: 4096,
        has_cursor: true,
        least_percent: 80.0,
    },
    Case {
        size: 4096,
        has_cursor: false,
        least_percent: 80.0,
    },
];

fn main() -> Result<(), BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut all_pass = true;
    println!(
        "{:>6}  {:6}  {:>12}  {:>12}  {:>7}  at least",
        "bytes", "cursor", "frames/s", "managed/s", "ratio"
    );
    for case in CASES {
        let notifications = Arc::new(Notifications::encode(case));
        let server = Server::start(notifications.clone())?;
        let rates = runtime.block_on(measure(&server, &notifications))?;
        all_pass &= report(case, &rates);
    }
    if all_pass {
        Ok(())
    } else {
        Err("the managed layer costs too much".into())
    }
}

/// Notifications a second, of one round.
struct Rates {
    frames: f64,
    managed: f64,
}

async fn measure(server: &Server, notifications: &Notifications) -> Result<Vec<Rates>, BoxError> {
    let mut rates = Vec::new();
    for _ in 0..=ROUNDS {
        rates.push(Rates {
            frames: notifications.rate(read_frames(server, notifications.count).await?),
            managed: notifications.rate(read_managed(server, notifications.count).await?),
        });
    }
    rates.remove(0);
    Ok(rates)
}

fn report(case: Case, rates: &[Rates]) -> bool {
    let ratio = median(rates.iter().map(|round| 100.0 * round.managed / round.frames));
    let passes = ratio >= case.least_percent;
    println!(
        "{:>6}  {:6}  {:>12.0}  {:>12.0}  {ratio:>5.1} %  {:.0} %: {}",
        case.size,
        if case.has_cursor { "with" } else { "none" },
        median(rates.iter().map(|round| round.frames)),
        median(rates.iter().map(|round| round.managed)),
        case.least_percent,
        if passes { "PASS" } else { "FAIL" },
    );
    passes
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The least that a client can do: read every frame and look at its length.
async fn read_frames(server: &Server, count: u64) -> Result<Duration, BoxError> {
    let without_nagle = true;
    let (mut socket, _) = connect_async_with_config(server.url("ws"), None, without_nagle).await?;
    let subscribe = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"accountDiffSubscribe","params":["{PROGRAM}",{{"address_type":"program"}}]}}"#
    );
    socket.send(Message::text(subscribe)).await?;
    let _ack = next_text(&mut socket).await?;
    let mut bytes = next_text(&mut socket).await?;
    let first = Instant::now();
    for _ in 1..count {
        bytes += next_text(&mut socket).await?;
    }
    std::hint::black_box(bytes);
    Ok(first.elapsed())
}

async fn next_text<S>(socket: &mut S) -> Result<usize, BoxError>
where
    S: StreamExt<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    match socket.next().await {
        Some(Ok(Message::Text(text))) => Ok(text.len()),
        Some(other) => Err(format!("not a text: {other:?}").into()),
        None => Err("the server left too early".into()),
    }
}

/// What a caller of the library does.
async fn read_managed(server: &Server, count: u64) -> Result<Duration, BoxError> {
    let (endpoint, programs) = (server.url("http"), vec![PROGRAM.to_owned()]);
    let mut subscription = spawn_account_diff_subscription_manager(endpoint, programs, CancellationToken::new());
    let (mut received, mut first, mut last) = (0, None, None);
    while let Some(notification) = subscription.notifications.recv().await {
        match notification {
            SubscriptionNotification::AccountDiff(diff) => std::hint::black_box(diff),
            other => return Err(format!("not an account diff: {other:?}").into()),
        };
        received += 1;
        if received == 1 {
            first = Some(Instant::now());
        } else if received == count {
            last = Some(Instant::now());
        }
    }
    subscription.join().await;
    match (first, last) {
        (Some(first), Some(last)) if received == count => Ok(last - first),
        _ => Err(format!("{received} of {count} notifications").into()),
    }
}

/// A stream of notifications, encoded as WebSocket frames, and its end.
struct Notifications {
    frames: Vec<u8>,
    count: u64,
}

impl Notifications {
    fn encode(case: Case) -> Self {
        let count = (ROUND_BYTES / case.size) as u64;
        let mut frames = Vec::with_capacity(ROUND_BYTES + (ROUND_BYTES / case.size) * MAX_HEADER + MAX_HEADER);
        for number in 0..count {
            let text = notification(case, number);
            assert_eq!(text.len(), case.size, "every notification has the same size");
            push_frame(&mut frames, &text);
        }
        Self { frames, count }
    }

    fn rate(&self, elapsed: Duration) -> f64 {
        (self.count - 1) as f64 / elapsed.as_secs_f64()
    }
}

/// One notification of exactly the case's size: small ones name an account, larger ones carry data.
fn notification(case: Case, number: u64) -> String {
    let slot = FIRST_SLOT + number / SLOT_NOTIFICATIONS;
    let cursor = if case.has_cursor {
        format!(r#","cursor":{{"slot":{slot},"index":{}}}"#, number % SLOT_NOTIFICATIONS)
    } else {
        String::new()
    };
    let (before, after) = (
        format!(
            r#"{{"jsonrpc":"2.0","method":"accountDiffNotification","params":{{"subscription":{SUBSCRIPTION},"result":{{"context":{{"slot":{slot}}}"#
        ),
        format!("}}{cursor}}}}}"),
    );
    let room = case.size - before.len() - after.len();
    format!("{before}{}{after}", result_rest(room))
}

/// The rest of a result after its context, in exactly so many bytes: everything with as much data as fits, or an account
/// of some length, or white space.
fn result_rest(room: usize) -> String {
    let change = format!(
        r#","account":"{PROGRAM}","signature":"{SIGNATURE}","tx_index":12,"block_time":1771668000,"pre":null,"post":{{"lamports":1169280,"data":[""#
    );
    let after = format!(r#"","base64"],"owner":"{PROGRAM}","executable":false,"rentEpoch":0,"space":4}}"#);
    filled(&change, "A", &after, room)
        .or_else(|| filled(r#","account":""#, "1", r#"""#, room))
        .unwrap_or_else(|| " ".repeat(room))
}

/// So many bytes, of which the filling is as many as are needed.
fn filled(before: &str, filling: &str, after: &str, bytes: usize) -> Option<String> {
    let needed = bytes.checked_sub(before.len() + after.len())?;
    Some(format!("{before}{}{after}", filling.repeat(needed)))
}

/// Longest header of an unmasked frame below 64 KiB.
const MAX_HEADER: usize = 4;

fn push_frame(frames: &mut Vec<u8>, text: &str) {
    frames.push(0x81);
    match u8::try_from(text.len()) {
        Ok(short @ 0..=125) => frames.push(short),
        _ => {
            let length = u16::try_from(text.len()).expect("a notification here has at most 4096 bytes");
            frames.push(126);
            frames.extend(length.to_be_bytes());
        }
    }
    frames.extend(text.as_bytes());
}

/// A server that tells every connection the same.
struct Server {
    address: SocketAddr,
}

impl Server {
    fn start(notifications: Arc<Notifications>) -> Result<Self, BoxError> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that leaves early says by itself what it misses.
                let _served = stream
                    .map_err(BoxError::from)
                    .and_then(|stream| serve(stream, &notifications));
            }
        });
        Ok(Self { address })
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/backtest/bench", self.address)
    }
}

fn serve(stream: TcpStream, notifications: &Notifications) -> Result<(), BoxError> {
    stream.set_nodelay(true)?;
    let mut socket = tungstenite::accept(stream)?;
    let id = subscribe_id(&mut socket)?;
    socket.send(Message::text(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{SUBSCRIPTION}}}"#
    )))?;
    socket.get_mut().write_all(&notifications.frames)?;
    let complete =
        format!(r#"{{"jsonrpc":"2.0","method":"subscriptionComplete","params":{{"subscription":{SUBSCRIPTION}}}}}"#);
    socket.send(Message::text(complete))?;
    while socket.read().is_ok() {}
    Ok(())
}

/// Waits for a subscribe.
fn subscribe_id(socket: &mut WebSocket<TcpStream>) -> Result<u64, BoxError> {
    loop {
        if let Message::Text(text) = socket.read()? {
            let request: serde_json::Value = serde_json::from_str(&text)?;
            return request["id"]
                .as_u64()
                .ok_or_else(|| format!("not a request: {text}").into());
        }
    }
}
