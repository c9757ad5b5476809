//! Answers on an address of this machine.

use std::{
    fmt,
    net::{SocketAddr, TcpListener},
    str::FromStr,
    sync::Arc,
};

use axum::Router;
use axum_server::{
    Server,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use kube::Client;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tracing::{info, warn};

use super::{
    auth::Gate,
    connections::{self, Capped, Limits},
};

/// Where to listen: an address and a port, a port alone (`:8081`: on all addresses), or nowhere (`0`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address(Vec<SocketAddr>);

/// An address that is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("write ADDRESS:PORT such as 127.0.0.1:8080, :PORT for all addresses, or 0 for none")]
pub struct BadAddress;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It is taken, or not ours.
    #[error("cannot listen on {address}: {source}: free it, or use another address")]
    Taken {
        /// The address.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no certificate to answer with.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if text == "0" {
            return Ok(Self(Vec::new()));
        }
        let all = match text.strip_prefix(':') {
            // Both families, where there are both.
            Some(port) => vec![format!("[::]:{port}"), format!("0.0.0.0:{port}")],
            None => vec![text.to_owned()],
        };
        let parsed: Result<_, _> = all.iter().map(|one| one.parse()).collect();
        parsed.map(Self).map_err(|_| BadAddress)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [] => write!(f, "0"),
            [one] => one.fmt(f),
            [first, ..] => write!(f, ":{}", first.port()),
        }
    }
}

/// No certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It could not be written.
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
    /// It cannot be used.
    #[error("the generated certificate cannot be used: {0}")]
    Use(#[from] rustls::Error),
}

impl Address {
    /// Whether others than this machine, or this pod, reach it.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.0.iter().any(|address| !address.ip().is_loopback())
    }

    /// Its port. None: it is nowhere.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.0.first().map(SocketAddr::port)
    }

    /// A server that listens there, within the limits of a port.
    fn server(&self) -> Result<Server<SocketAddr, Capped>, ListenError> {
        let trouble = |source| ListenError::Taken { address: self.to_string(), source };
        let listener = TcpListener::bind(&self.0[..]).map_err(trouble)?;
        listener.set_nonblocking(true).map_err(trouble)?;
        connections::server(listener, Limits::default()).map_err(trouble)
    }
}

/// Answers there from now on, in the background, until the process ends. Everybody may ask.
///
/// # Errors
/// When the address is taken, or not ours.
pub async fn listen(
    address: &Address,
    what: &'static str,
    routes: Router,
) -> Result<(), ListenError> {
    if address.0.is_empty() {
        return Ok(());
    }
    let server = address.server()?;
    info!(%address, "serves {what}");
    tokio::spawn(async move {
        if let Err(error) = server.serve(routes.into_make_service()).await {
            warn!(%error, "the server for {what} no longer accepts connections");
        }
    });
    Ok(())
}

/// Likewise, but where others than this machine reach the address, only who may read it is answered, as the API server
/// says, and by HTTPS, so that the tokens cannot be read on their way. The certificate is of our own making.
///
/// # Errors
/// When the address is taken, or not ours, or there is no certificate.
pub async fn listen_guarded(
    address: &Address,
    what: &'static str,
    routes: Router,
    client: &Client,
) -> Result<(), ListenError> {
    if !address.is_exposed() {
        return listen(address, what, routes).await;
    }
    let routes = Gate::new(client.clone()).guard(routes);
    let config = RustlsConfig::from_config(Arc::new(certificate()?));
    let server = address.server()?.map(|capped| RustlsAcceptor::new(config).acceptor(capped));
    info!(%address, "serves {what} over HTTPS, to clients that may read it");
    tokio::spawn(async move {
        if let Err(error) = server.serve(routes.into_make_service()).await {
            warn!(%error, "the server for {what} no longer accepts connections");
        }
    });
    Ok(())
}

/// A certificate that no authority signed, for as long as the process lives.
fn certificate() -> Result<ServerConfig, CertificateError> {
    let made = rcgen::generate_simple_self_signed(vec!["weighted-share".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::from(key))?;
    Ok(config)
}
