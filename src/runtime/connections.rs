//! Bounds on who connects to a port: how many at once, and how long a connection may keep still.

use std::{
    future::{Ready, ready},
    io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::{Server, accept::Accept};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// What a port bears.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections there are at most. Others are closed at once.
    pub connections: usize,
    /// How long the first request of a connection may take to arrive.
    pub first_request: Duration,
    /// How long the next one may take, from the answer before it to its last header.
    pub next_request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            first_request: Duration::from_secs(10),
            next_request: Duration::from_secs(60),
        }
    }
}

/// A server that keeps to these limits.
///
/// # Errors
/// When the listener cannot be used.
pub fn server(listener: TcpListener, limits: Limits) -> io::Result<Server<SocketAddr, Capped>> {
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(Capped(Arc::new(Semaphore::new(limits.connections))))
        .first_request_timeout(limits.first_request)
        .http1_only();
    server.http_builder().http1().header_read_timeout(limits.next_request);
    Ok(server)
}

/// Takes connections up to a number, and closes those beyond it.
#[derive(Clone, Debug)]
pub struct Capped(Arc<Semaphore>);

/// A connection that counts until it is closed.
#[derive(Debug)]
pub struct Counted {
    stream: TcpStream,
    _counts: OwnedSemaphorePermit,
}

impl<S> Accept<TcpStream, S> for Capped {
    type Stream = Counted;
    type Service = S;
    type Future = Ready<io::Result<(Counted, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let counts = self.0.clone().try_acquire_owned();
        let counts = counts.map_err(|_| io::Error::other("too many connections"));
        ready(counts.map(|counts| (Counted { stream, _counts: counts }, service)))
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
