//! Addresses of one server: its control channel, its HTTP endpoints, a session's JSON-RPC and PubSub.

use thiserror::Error;
use url::Url;

/// The path segment of the control channel.
const CONTROL_SEGMENT: &str = "backtest";

/// Why an address cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The text is not an address.
    #[error("{url:?} is not a valid URL")]
    Parse {
        /// The text.
        url: String,
        /// What is wrong with it.
        #[source]
        source: url::ParseError,
    },
    /// The address has a scheme other than `http`, `https`, `ws` and `wss`.
    #[error("{url:?} needs one of the schemes http, https, ws and wss")]
    InvalidScheme {
        /// The address.
        url: String,
    },
}

/// Turns an `http` or `https` address into the `ws` or `wss` address of the same place.
///
/// # Errors
///
/// [`UrlError`] if the text is not an address, or has another scheme.
pub fn http_to_ws_url(url: &str) -> Result<String, UrlError> {
    Ok(with_websocket_scheme(parse(url)?)?.into())
}

/// The base of a server's HTTP endpoints, from the address of its control channel: the same host, port and path, but
/// without the control channel's own segment. It does not end with a slash.
///
/// # Errors
///
/// As [`control_url`].
pub fn http_base_from_ws_url(url: &str) -> Result<String, UrlError> {
    let base = http_base(&control_url(url)?)?;
    Ok(base.as_str().trim_end_matches('/').to_owned())
}

/// The control channel's address from what a user gives: `wss` if there is no scheme, `http` becomes `ws`, and
/// `/backtest` is appended unless the path ends with it. A query stays.
///
/// # Errors
///
/// [`UrlError`] if the text is not an address, or has a scheme that is neither of WebSocket nor of HTTP.
pub fn control_url(url: &str) -> Result<Url, UrlError> {
    let mut control = with_websocket_scheme(if url.contains("://") {
        parse(url)?
    } else {
        parse(&format!("wss://{url}"))?
    })?;
    let path = control.path().trim_end_matches('/').to_owned();
    let is_complete = path.rsplit('/').next() == Some(CONTROL_SEGMENT);
    control.set_path(&if is_complete {
        path
    } else {
        format!("{path}/{CONTROL_SEGMENT}")
    });
    control.set_fragment(None);
    Ok(control)
}

/// The base of the HTTP endpoints that belong to a control channel; it ends with a slash.
pub(crate) fn http_base(control: &Url) -> Result<Url, UrlError> {
    let mut base = with_http_scheme(control.clone())?;
    let path = base.path().trim_end_matches('/');
    let parent = path.strip_suffix(CONTROL_SEGMENT).unwrap_or(path).trim_end_matches('/');
    base.set_path(&format!("{parent}/"));
    base.set_query(None);
    Ok(base)
}

/// The absolute JSON-RPC address of a session, from what the server said and the control channel that said it.
pub(crate) fn resolve_rpc_endpoint(control: &Url, endpoint: &str) -> Result<Url, UrlError> {
    let resolved = control.join(endpoint).map_err(|source| UrlError::Parse {
        url: endpoint.to_owned(),
        source,
    })?;
    with_http_scheme(resolved)
}

fn parse(url: &str) -> Result<Url, UrlError> {
    Url::parse(url).map_err(|source| UrlError::Parse {
        url: url.to_owned(),
        source,
    })
}

fn with_websocket_scheme(url: Url) -> Result<Url, UrlError> {
    let scheme = match url.scheme() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        _ => return Err(UrlError::InvalidScheme { url: url.into() }),
    };
    Ok(with_scheme(url, scheme))
}

fn with_http_scheme(url: Url) -> Result<Url, UrlError> {
    let scheme = match url.scheme() {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        _ => return Err(UrlError::InvalidScheme { url: url.into() }),
    };
    Ok(with_scheme(url, scheme))
}

fn with_scheme(mut url: Url, scheme: &str) -> Url {
    url.set_scheme(scheme)
        .expect("these four schemes replace each other in any URL that has one of them");
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn resolved(control: &str, endpoint: &str) -> String {
        resolve_rpc_endpoint(&control_url(control).unwrap(), endpoint)
            .unwrap()
            .into()
    }

    #[test]
    fn control_url_is_completed_and_normalised() {
        for (given, expected) in [
            ("ws://h:8900/backtest", "ws://h:8900/backtest"),
            ("ws://h:8900", "ws://h:8900/backtest"),
            ("wss://h/backtest///", "wss://h/backtest"),
            ("h:8900", "wss://h:8900/backtest"),
            ("sim.example.net/", "wss://sim.example.net/backtest"),
            ("http://127.0.0.1:8900", "ws://127.0.0.1:8900/backtest"),
            ("https://h/sim", "wss://h/sim/backtest"),
            ("ws://h/backtest?x=1", "ws://h/backtest?x=1"),
            ("ws://user:key@h/notbacktest", "ws://user:key@h/notbacktest/backtest"),
        ] {
            assert_eq!(control_url(given).unwrap().as_str(), expected, "{given}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_used_are_typed_errors() {
        assert!(matches!(
            control_url("ftp://h/backtest"),
            Err(UrlError::InvalidScheme { .. })
        ));
        assert!(matches!(control_url("ws://"), Err(UrlError::Parse { .. })));
        assert!(matches!(control_url(""), Err(UrlError::Parse { .. })));
        assert!(matches!(http_to_ws_url("h:1"), Err(UrlError::InvalidScheme { .. })));
        let control = control_url("ws://h").unwrap();
        assert!(matches!(
            resolve_rpc_endpoint(&control, "file:///etc"),
            Err(UrlError::InvalidScheme { .. })
        ));
    }

    #[test]
    fn w40_rpc_endpoints_are_resolved_by_a_url_parser() {
        for (control, endpoint, expected) in [
            ("wss://h:8900/backtest", "/backtest/s1", "https://h:8900/backtest/s1"),
            ("ws://h", "backtest/s1", "http://h/backtest/s1"),
            ("wss://h/sim/backtest", "backtest/s1", "https://h/sim/backtest/s1"),
            ("wss://h/backtest?key=1", "/backtest/s1", "https://h/backtest/s1"),
            ("wss://h/backtest", "https://other:1/x?y=2", "https://other:1/x?y=2"),
            ("wss://h/backtest", "ws://other/backtest/s1", "http://other/backtest/s1"),
            (
                "ws://[::1]:8900/backtest",
                "/backtest/s1",
                "http://[::1]:8900/backtest/s1",
            ),
        ] {
            assert_eq!(resolved(control, endpoint), expected, "{control} {endpoint}");
        }
    }

    #[test]
    fn http_base_drops_the_control_segment_only() {
        for (control, expected) in [
            ("wss://h:8900/backtest", "https://h:8900"),
            ("ws://u:p@h/backtest?x=1", "http://u:p@h"),
            ("wss://h/sim", "https://h/sim"),
        ] {
            assert_eq!(http_base_from_ws_url(control).unwrap(), expected, "{control}");
        }
        assert_eq!(http_to_ws_url("https://h/backtest/s1").unwrap(), "wss://h/backtest/s1");
    }
}
