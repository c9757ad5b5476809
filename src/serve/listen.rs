//! Answers on an address of this machine.

use std::{fmt, net::SocketAddr, str::FromStr};

use axum::Router;
use tokio::net::TcpListener;
use tracing::{info, warn};

/// Where to listen: an address and a port, a port alone (`:8081`: on all addresses), or nowhere (`0`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address(Vec<SocketAddr>);

/// An address that is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("write ADDRESS:PORT such as 127.0.0.1:8080, :PORT for all addresses, or 0 for nowhere")]
pub struct BadAddress;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{address} cannot be listened on: {source}: free it, or name another one")]
pub struct ListenError {
    address: String,
    source: std::io::Error,
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

/// Answers there from now on, in the background, until the process ends.
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
    let listener = TcpListener::bind(&address.0[..])
        .await
        .map_err(|source| ListenError { address: address.to_string(), source })?;
    info!(%address, "answers for {what}");
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            warn!(%error, "nobody answers for {what} any more");
        }
    });
    Ok(())
}
