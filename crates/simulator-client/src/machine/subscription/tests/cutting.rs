//! A server with a history, and a connection that is cut at every message.

use std::io::Write as _;

use simulator_api::Compression;

use super::*;

/// What a server can do.
#[derive(Clone, Copy, Debug)]
struct Server {
    gives_cursors: bool,
    compresses: bool,
    /// Whether it sends notifications of a subscription before the answers to the requests behind it.
    is_eager: bool,
}

/// One notification of the history.
type Entry = (u64, &'static str);

/// One stream for each address. Some notifications cannot be told apart, and slots differ in size.
const HISTORY: [(&str, &[Entry]); 3] = [
    (
        "a",
        &[(5, "p"), (5, "q"), (5, "q"), (6, "p"), (8, "r"), (8, "r"), (8, "s")],
    ),
    ("b", &[(7, "p"), (7, "p"), (7, "p"), (7, "q"), (9, "p")]),
    ("c", &[]),
];

impl Server {
    /// All that it says on a connection, in answer to its requests.
    fn conversation(self, requests: &[Value]) -> Vec<Value> {
        let mut answers = Vec::new();
        let mut streams = Vec::new();
        for request in requests {
            let id = request["id"].as_u64().unwrap();
            answers.push(json!({"jsonrpc": "2.0", "id": id, "result": 20 + id}));
            streams.push(self.stream(20 + id, &request["params"]));
        }
        if self.is_eager {
            return answers
                .into_iter()
                .zip(streams)
                .flat_map(|(answer, stream)| std::iter::once(answer).chain(stream))
                .collect();
        }
        let longest = streams.iter().map(Vec::len).max().unwrap_or(0);
        let interleaved = (0..longest).flat_map(|n| streams.iter().filter_map(move |stream| stream.get(n).cloned()));
        answers.into_iter().chain(interleaved).collect()
    }

    fn stream(self, number: u64, params: &Value) -> Vec<Value> {
        let (_, entries) = HISTORY.iter().find(|(target, _)| params[0] == *target).unwrap();
        let mut index = 0;
        let mut before = 0;
        let mut stream = Vec::new();
        for &(slot, signature) in *entries {
            index = if slot == before { index + 1 } else { 0 };
            before = slot;
            if wants(&params[1], slot, index) {
                let notification = diff(number, slot, signature);
                stream.push(if self.gives_cursors {
                    with_cursor(notification, index)
                } else {
                    notification
                });
            }
        }
        stream.push(complete(number));
        stream
    }
}

fn wants(options: &Value, slot: u64, index: u64) -> bool {
    let after = &options["replayAfter"];
    if let Some(last) = after["slot"].as_u64().zip(after["index"].as_u64()) {
        return (slot, index) > last;
    }
    options["replayFromSlot"].as_u64().is_none_or(|from| slot >= from)
}

/// Sends a conversation up to a cut.
fn send(peer: &mut Peer, server: Server, messages: &[Value]) {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for message in messages {
        if server.compresses && message["id"].is_null() {
            encoder.write_all(message.to_string().as_bytes()).unwrap();
            encoder.flush().unwrap();
            peer.send_binary(&std::mem::take(encoder.get_mut()));
        } else {
            peer.send(message);
        }
    }
}

/// Talks over connections that are cut after so many messages each, and over a last one that is not.
fn deliver(server: Server, cuts: &[usize]) -> Vec<String> {
    let addresses: Vec<_> = HISTORY.iter().map(|(target, _)| *target).collect();
    let mut peer = Peer::new(SubscriptionConfig {
        compression: server.compresses.then_some(Compression::Zstd),
        ..diffs(&addresses)
    });
    let mut delivered = Vec::new();
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let conversation = server.conversation(&peer.connect());
        send(&mut peer, server, &conversation[..cut.min(conversation.len())]);
        delivered.extend(peer.delivered());
        peer.machine.handle_disconnected(peer.now);
    }
    assert!(is_finished(&peer.machine));
    delivered
}

#[test]
fn every_notification_is_delivered_once_and_in_order_wherever_connections_are_cut() {
    let expected = |target| {
        let (_, entries) = HISTORY.iter().find(|(name, _)| *name == target).unwrap();
        entries
            .iter()
            .map(move |(slot, signature)| format!("{target} {slot} {signature}"))
    };
    let longest = HISTORY.iter().map(|(_, entries)| entries.len() + 2).sum::<usize>();
    for bits in [0b000, 0b001, 0b011, 0b100, 0b110] {
        let server = Server {
            gives_cursors: bits & 1 != 0,
            compresses: bits & 2 != 0,
            is_eager: bits & 4 != 0,
        };
        for first in 0..=longest {
            // Every third one, another third for each first cut, so that the test takes no longer than the others.
            for second in (first % 3..=longest).step_by(3) {
                let delivered = deliver(server, &[first, second]);
                for (target, _) in HISTORY {
                    let of_target = delivered.iter().filter(|one| one.starts_with(target));
                    assert!(
                        of_target.cloned().eq(expected(target)),
                        "{server:?} {first} {second}: {delivered:?}"
                    );
                }
            }
        }
    }
}
