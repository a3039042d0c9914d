//! The compressed stream, whole and damaged.

use std::io::Write as _;

use simulator_api::Compression;
use zstd::stream::raw::CParameter;

use super::*;

/// A server's side of a compressed stream: one flush, one message.
struct Deflater(zstd::Encoder<'static, Vec<u8>>);

impl Deflater {
    fn new() -> Self {
        Self(zstd::Encoder::new(Vec::new(), 3).unwrap())
    }

    fn message(&mut self, text: &str) -> Vec<u8> {
        self.0.write_all(text.as_bytes()).unwrap();
        self.0.flush().unwrap();
        std::mem::take(self.0.get_mut())
    }
}

fn compressed(addresses: &[&str]) -> SubscriptionConfig {
    SubscriptionConfig {
        compression: Some(Compression::Zstd),
        ..diffs(addresses)
    }
}

fn desynchronised(peer: &Peer) -> bool {
    matches!(retry(&peer.machine), ConnectionError::Desynchronised { .. })
}

#[test]
fn one_stream_carries_every_message_of_a_connection() {
    let mut peer = Peer::up(compressed(&["a", "b"]));
    let mut stream = Deflater::new();
    let mut first = 0;
    for n in 0..100 {
        let bytes = stream.message(&diff(11 + n % 2, n, "s").to_string());
        if n == 0 {
            first = bytes.len();
        }
        assert!(n == 0 || bytes.len() < first, "the stream keeps its context");
        peer.send_binary(&bytes);
    }
    assert_eq!(peer.delivered().len(), 100);
    peer.send_binary(&stream.message(&complete(11).to_string()));
    peer.send_binary(&stream.message(&complete(12).to_string()));
    assert!(is_finished(&peer.machine));
}

#[test]
fn text_passes_beside_the_stream() {
    let mut peer = Peer::up(compressed(&["a"]));
    let mut stream = Deflater::new();
    peer.send_binary(&stream.message(&diff(11, 1, "s").to_string()));
    peer.send(&diff(11, 2, "s"));
    peer.send_binary(&stream.message(&diff(11, 3, "s").to_string()));
    assert_eq!(peer.delivered(), ["a 1 s", "a 2 s", "a 3 s"]);
}

#[test]
fn a_frame_for_each_message_is_read_too() {
    let mut peer = Peer::up(compressed(&["a"]));
    for slot in 1..=3 {
        let frame = zstd::encode_all(diff(11, slot, "s").to_string().as_bytes(), 3).unwrap();
        peer.send_binary(&frame);
    }
    assert_eq!(peer.delivered(), ["a 1 s", "a 2 s", "a 3 s"]);
}

#[test]
fn every_connection_has_a_stream_of_its_own() {
    let mut peer = Peer::up(compressed(&["a"]));
    let mut old = Deflater::new();
    peer.send_binary(&old.message(&diff(11, 1, "s").to_string()));
    assert_eq!(peer.reconnect(), [json!({"compression": "zstd", "replayFromSlot": 1})]);
    peer.send_binary(&Deflater::new().message(&diff(11, 2, "s").to_string()));
    assert_eq!(peer.delivered(), ["a 1 s", "fault: a hole", "a 2 s"]);
    peer.reconnect();
    peer.send_binary(&old.message(&diff(11, 3, "s").to_string()));
    assert!(desynchronised(&peer));
}

#[test]
fn w44_whatever_is_no_json_breaks_the_connection_and_is_asked_for_again() {
    let texts = [
        "",
        "not json",
        "{",
        r#"{"jsonrpc":"2.0"} {"jsonrpc":"2.0"}"#,
        r#"{"method":"accountDiffNotification","params":{"subscription":11,"result":{"context":{"slot":5}}}"#,
        r#"{"method":"accountDiffNotification","params":{"subscription":11,"result":{"context":{"slot":5,}}}}"#,
    ];
    for text in texts {
        let mut peer = Peer::up(compressed(&["a"]));
        let mut stream = Deflater::new();
        peer.send_binary(&stream.message(&diff(11, 4, "s").to_string()));
        peer.send_binary(&stream.message(text));
        assert!(desynchronised(&peer), "{text}");
        // What follows on the damaged connection is not looked at.
        peer.send_binary(&stream.message(&diff(11, 6, "s").to_string()));
        assert_eq!(peer.reconnect(), [json!({"compression": "zstd", "replayFromSlot": 4})]);
        let mut stream = Deflater::new();
        peer.send_binary(&stream.message(&diff(11, 4, "s").to_string()));
        peer.send_binary(&stream.message(&diff(11, 5, "s").to_string()));
        assert_eq!(peer.delivered(), ["a 4 s", "a 5 s"]);
    }
}

#[test]
fn json_that_is_no_notification_does_not_break_the_stream() {
    let mut peer = Peer::up(compressed(&["a"]));
    let mut stream = Deflater::new();
    peer.send_binary(&stream.message(r#"{"method":5}"#));
    peer.send_binary(&stream.message(&diff(99, 1, "s").to_string()));
    peer.send_binary(&stream.message(&diff(11, 1, "s").to_string()));
    assert_eq!(
        peer.delivered(),
        [
            "fault: a string is expected",
            "fault: its subscription is unknown",
            "a 1 s"
        ]
    );
}

#[test]
fn w44_lost_split_joined_and_foreign_messages_are_noticed() {
    let text = |slot: u64| diff(11, slot, &"x".repeat(slot as usize)).to_string();
    let mut stream = Deflater::new();
    let messages: Vec<_> = (1..=3).map(|slot| stream.message(&text(slot))).collect();
    let half = messages[1].len() / 2;
    let joined = [&messages[1][..], &messages[2][..]].concat();
    let damage: [(&str, &[u8]); 5] = [
        ("split", &messages[1][..half]),
        ("joined", &joined),
        ("garbage", b"\x00\xff\x13garbage, and quite a lot of it, too"),
        ("empty", b""),
        ("another stream", &messages[0]),
    ];
    for (name, bytes) in damage {
        let mut peer = Peer::up(compressed(&["a"]));
        peer.send_binary(&messages[0]);
        assert_eq!(peer.delivered().len(), 1);
        peer.send_binary(bytes);
        assert!(desynchronised(&peer), "{name}");
        assert!(peer.delivered().is_empty(), "{name}");
    }
    let mut peer = Peer::up(compressed(&["a"]));
    peer.send_binary(&messages[1]);
    assert!(desynchronised(&peer), "without the beginning");
}

#[test]
fn any_damaged_byte_is_a_notification_a_fault_or_a_broken_connection() {
    let mut stream = Deflater::new();
    let messages: Vec<_> = (1..=3)
        .map(|slot| stream.message(&diff(11, slot, "s").to_string()))
        .collect();
    for at in 0..messages[1].len() {
        for flip in [1, 0x80, 0xff] {
            let mut peer = Peer::up(compressed(&["a"]));
            let mut damaged = messages[1].clone();
            damaged[at] ^= flip;
            for message in [&messages[0], &damaged, &messages[2]] {
                peer.send_binary(message);
            }
            assert!(peer.events().len() <= 3);
            assert!(matches!(peer.machine.standing(), Standing::Up | Standing::Retry(_)));
        }
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    for size in [LIMIT + 1, 64 * LIMIT] {
        let bomb = zstd::encode_all(&vec![b' '; size][..], 3).unwrap();
        assert!(bomb.len() < 16 << 10);
        let mut peer = Peer::up(compressed(&["a"]));
        peer.send_binary(&bomb);
        assert!(matches!(
            permanent(&peer.machine),
            ConnectionError::TooLarge { limit: LIMIT }
        ));
    }
}

#[test]
fn exactly_the_limit_is_read() {
    let text = diff(11, 1, "s").to_string();
    for extra in [0, 1] {
        let mut config = compressed(&["a"]);
        config.max_message_bytes = text.len();
        let mut peer = Peer::up(config);
        let padded = format!("{text}{}", " ".repeat(extra));
        peer.send_binary(&Deflater::new().message(&padded));
        if extra == 0 {
            assert_eq!(peer.delivered(), ["a 1 s"]);
        } else {
            assert!(matches!(permanent(&peer.machine), ConnectionError::TooLarge { .. }));
        }
    }
}

#[test]
fn large_messages_come_through_and_leave_no_trace() {
    let mut config = compressed(&["a"]);
    config.max_message_bytes = 16 << 20;
    let mut peer = Peer::up(config);
    let mut stream = Deflater::new();
    for slot in [1, 2] {
        let large = diff(11, slot, &"x".repeat(5 << 20)).to_string();
        peer.send_binary(&stream.message(&large));
        let events = peer.events();
        let [SubscriptionNotification::AccountDiff(notification)] = &events[..] else {
            panic!("not delivered");
        };
        assert_eq!(notification.raw(), large);
    }
    peer.send_binary(&stream.message(&diff(11, 3, "s").to_string()));
    assert_eq!(peer.delivered(), ["a 3 s"]);
}

#[test]
fn windows_of_128_mib_and_no_larger_are_accepted() {
    let with_window = |log| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.set_parameter(CParameter::WindowLog(log)).unwrap();
        Deflater(encoder).message(&diff(11, 1, "s").to_string())
    };
    let mut peer = Peer::up(compressed(&["a"]));
    peer.send_binary(&with_window(27));
    assert_eq!(peer.delivered(), ["a 1 s"]);
    let mut peer = Peer::up(compressed(&["a"]));
    peer.send_binary(&with_window(28));
    assert!(desynchronised(&peer));
}

#[test]
fn plain_text_in_binary_messages_is_read_where_nothing_was_to_be_compressed() {
    let mut peer = Peer::up(diffs(&["a"]));
    peer.send_binary(diff(11, 1, "s").to_string().as_bytes());
    peer.send_binary(&Deflater::new().message("{}"));
    peer.send_binary(diff(11, 2, "s").to_string().as_bytes());
    assert_eq!(peer.delivered(), ["a 1 s", "fault: it is no text", "a 2 s"]);
    assert!(matches!(peer.machine.standing(), Standing::Up));
}
