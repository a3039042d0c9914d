//! Forms of the identifiers.

use simulator_api::{ControlSessionId, RequestId, SessionId, SessionName};

const CANONICAL: &str = "backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011";

#[test]
fn every_textual_form_of_a_uuid_is_the_same_id() {
    let expected: SessionId = CANONICAL.parse().unwrap();
    for text in [
        "0192f0c4a7d87c13b6f1a3b5c7d9e011",
        "0192F0C4A7D87C13B6F1A3B5C7D9E011",
        "0192f0c4-a7d8-7c13-b6f1-a3b5c7d9e011",
        "backtest_0192F0C4-a7d8-7c13-b6f1-a3b5c7d9e011",
        "{0192f0c4-a7d8-7c13-b6f1-a3b5c7d9e011}",
        "urn:uuid:0192f0c4-a7d8-7c13-b6f1-a3b5c7d9e011",
    ] {
        let id: SessionId = text.parse().unwrap();
        assert_eq!(id, expected, "{text}");
        assert_eq!(id.to_string(), CANONICAL);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{CANONICAL}\""));
    }
}

#[test]
fn a_prefix_belongs_to_one_kind_of_id() {
    assert!(
        "parallel_0192f0c4b0117e2a9d3c5f60718293a4"
            .parse::<SessionId>()
            .is_err()
    );
    assert!(CANONICAL.parse::<ControlSessionId>().is_err());
    assert!(
        "backtest_backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011"
            .parse::<SessionId>()
            .is_err()
    );
    assert!("".parse::<SessionId>().is_err());
    let control: ControlSessionId = "0192f0c4b0117e2a9d3c5f60718293a4".parse().unwrap();
    assert_eq!(control.to_string(), "parallel_0192f0c4b0117e2a9d3c5f60718293a4");
}

#[test]
fn a_new_id_keeps_122_random_bits() {
    let ones = SessionId::from_random_bytes([0xff; 16]).uuid().as_u128();
    let zeros = SessionId::from_random_bytes([0; 16]).uuid().as_u128();
    assert_eq!((ones ^ zeros).count_ones(), 122);
    assert_eq!(SessionId::from_random_bytes([7; 16]).uuid().get_version_num(), 4);
}

#[test]
fn a_request_id_has_1_to_64_characters() {
    assert!(RequestId::new("").is_err());
    assert!(RequestId::new("\u{e9}".repeat(64)).is_ok());
    assert_eq!(
        RequestId::new("x".repeat(65)).unwrap_err().to_string(),
        "expected a request id of 1 to 64 characters, got 65"
    );
}

#[test]
fn a_session_name_is_lower_cased_and_checked() {
    let name: SessionName = "Nightly-7.a_b".parse().unwrap();
    assert_eq!(name.as_str(), "nightly-7.a_b");
    for text in ["", "-a", "a-", "a b", "\u{e9}", &"a".repeat(101)] {
        assert!(text.parse::<SessionName>().is_err(), "{text:?}");
    }
    assert!("a".repeat(100).parse::<SessionName>().is_ok());
}
