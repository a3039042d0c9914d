//! Encoding and decoding again gives the same value.

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use simulator_api::BacktestRequest;

use crate::strategies::{error, outcomes, request, response, sequenced};

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests(request in request()) {
        same(&request)?;
        let text = serde_json::to_string(&request).unwrap();
        prop_assert_eq!(BacktestRequest::from_json(&text).unwrap(), request);
    }

    #[test]
    fn responses(response in response()) {
        same(&response)?;
    }

    #[test]
    fn errors(error in error()) {
        same(&error)?;
    }

    #[test]
    fn sequenced_responses(message in sequenced()) {
        same(&message)?;
    }

    #[test]
    fn replay_outcomes(outcomes in outcomes()) {
        same(&outcomes)?;
    }

    #[test]
    fn any_text_is_decoded_or_refused(text in "\\PC{0,64}") {
        let _: Result<BacktestRequest, _> = BacktestRequest::from_json(&text);
    }
}

/// Through text, and through a JSON value.
fn same<T>(message: &T) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let text = serde_json::to_string(message).unwrap();
    prop_assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), message, "{}", text);
    let value = serde_json::to_value(message).unwrap();
    prop_assert_eq!(&serde_json::from_value::<T>(value).unwrap(), message, "{}", text);
    Ok(())
}
