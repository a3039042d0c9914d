//! Authorities that a client trusts beside Mozilla's.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use thiserror::Error;

/// Certificates of authorities to trust beside Mozilla's, for servers whose certificate a private authority has signed.
/// The default is none. Clones share them.
///
/// ```no_run
/// use simulator_client::{BacktestClient, RootCertificates};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let authorities = RootCertificates::from_pem(&std::fs::read("ca.pem")?)?;
/// let client = BacktestClient::builder()
///     .url("wss://sim.example.net")
///     .root_certificates(authorities)
///     .build();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RootCertificates(Arc<[CertificateDer<'static>]>);

/// Why certificates of authorities cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RootCertificatesError {
    /// It is not PEM, or not whole.
    #[error("it is no PEM that can be read")]
    Pem(#[source] pem::Error),
    /// There is no certificate in it; a private key is none.
    #[error("there is no certificate in it")]
    Empty,
    /// What stands where a certificate should is none.
    #[error("certificate {number} in it is not one of an authority")]
    Unusable {
        /// Which of them, counted from 1.
        number: usize,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
}

impl RootCertificates {
    /// All certificates in a text in PEM. Whatever else stands between them is left out.
    ///
    /// # Errors
    ///
    /// [`RootCertificatesError`] if it holds none, or one that cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, RootCertificatesError> {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(RootCertificatesError::Pem)?;
        if certificates.is_empty() {
            return Err(RootCertificatesError::Empty);
        }
        let mut store = RootCertStore::empty();
        for (number, certificate) in (1..).zip(&certificates) {
            let added = store.add(certificate.clone());
            added.map_err(|source| RootCertificatesError::Unusable { number, source })?;
        }
        Ok(Self(certificates.into()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Mozilla's authorities and these.
    pub(super) fn store(&self) -> RootCertStore {
        let mut store = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        // Each of them was tried when it was read.
        let (_added, _left_out) = store.add_parsable_certificates(self.0.iter().cloned());
        store
    }

    /// An HTTP client that trusts these, too.
    pub(crate) fn add_to(&self, builder: reqwest::ClientBuilder) -> reqwest::Result<reqwest::ClientBuilder> {
        self.0.iter().try_fold(builder, |builder, certificate| {
            Ok(builder.add_root_certificate(reqwest::Certificate::from_der(certificate)?))
        })
    }
}

impl fmt::Debug for RootCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootCertificates({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Vec<u8> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../simulator-testkit/tls/");
        std::fs::read(format!("{directory}{name}")).unwrap()
    }

    #[test]
    fn takes_every_certificate_of_a_file() {
        let one = RootCertificates::from_pem(&file("ca.pem")).unwrap();
        assert_eq!(one.len(), 1);
        let bundle = [file("ca.pem"), b"# what it is for\n".to_vec(), file("cert.pem")].concat();
        let two = RootCertificates::from_pem(&bundle).unwrap();
        assert_eq!(format!("{two:?}"), "RootCertificates(2)");
        assert_eq!(two.store().len(), webpki_roots::TLS_SERVER_ROOTS.len() + 2);
    }

    #[test]
    fn what_is_no_certificate_is_refused_with_the_reason() {
        let refused = |pem: &[u8]| RootCertificates::from_pem(pem).unwrap_err();
        assert!(matches!(refused(b""), RootCertificatesError::Empty));
        assert!(matches!(refused(b"ca.pem"), RootCertificatesError::Empty));
        assert!(matches!(refused(&file("key.pem")), RootCertificatesError::Empty));
        let whole = file("ca.pem");
        let cut = refused(&whole[..whole.len() / 2]);
        assert!(matches!(cut, RootCertificatesError::Pem(_)), "{cut:?}");
        let none = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let second = refused(&[&whole[..], none].concat());
        assert!(
            matches!(second, RootCertificatesError::Unusable { number: 2, .. }),
            "{second:?}"
        );
    }
}
