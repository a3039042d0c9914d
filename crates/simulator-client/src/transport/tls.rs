//! TLS for `wss` addresses, and what is wrong with a certificate.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;

use super::RootCertificates;

/// Mozilla's authorities and the user's, and the provider named here: what another crate of the process installs, or
/// does not, must not decide whether we can connect.
pub(super) fn config(roots: &RootCertificates) -> Result<Arc<ClientConfig>, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots.store())
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Whether an error, or what led to it, is that the server's certificate is not to be trusted.
pub(crate) fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // What an I/O error was made from is not among its causes, only the causes of that.
        let inner = error.downcast_ref().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    false
}
