//! Whose certificates are believed: those of a file's authorities, or of the system's.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem, pem::PemObject},
};

/// Why no server can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or is of no use.
    #[error("the certificates in {file} cannot be used: {why}")]
    File {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// The image has none.
    #[error(
        "this system has no CA certificates to verify the server's certificate with: name a file that has them"
    )]
    NoSystem,
    /// It is not our fault.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// How to speak to the server at `url`: with our own provider, whatever the process has. Without https there is nothing to
/// verify.
///
/// # Errors
/// When there are no certificates.
pub fn trust(url: &str, file: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        let bad = |why: String| TrustError::File { file: file.display().to_string(), why };
        let unreadable = |error: pem::Error| bad(error.to_string());
        for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
            let added = roots.add(certificate.map_err(unreadable)?);
            added.map_err(|error| bad(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(bad("it has none".to_owned()));
        }
    } else if url.starts_with("https:") {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(TrustError::NoSystem);
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
