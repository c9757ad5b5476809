//! What a port bears: connections without end, and connections that say nothing.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};

use crate::runtime::connections::{Limits, server};

/// A port that answers `here`, with a server that lives as long as the test.
fn port(limits: Limits) -> (tokio::runtime::Runtime, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let routes = Router::new().route("/", get(async || "here"));
    runtime.spawn(async move {
        server(listener, limits).unwrap().serve(routes.into_make_service()).await
    });
    (runtime, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// What comes back for a request, until the connection is closed. Nothing where it is closed at once.
fn asked(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    let request = "GET / HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n";
    if stream.write_all(request.as_bytes()).is_ok() {
        // A connection that is closed with something unread is reset.
        drop(stream.read_to_string(&mut answer));
    }
    answer
}

#[test]
fn connections_beyond_the_limit_are_closed_and_those_that_say_nothing_make_room() {
    let first_request = Duration::from_secs(5);
    let limits = Limits { connections: 2, first_request, ..Limits::default() };
    let (_runtime, address) = port(limits);
    assert!(asked(connect(address)).ends_with("here"));

    let began = Instant::now();
    let still: Vec<TcpStream> = (0..2).map(|_| connect(address)).collect();
    // They count once the server has looked at them.
    let mut refused = false;
    while !refused && began.elapsed() < first_request {
        refused = asked(connect(address)).is_empty();
    }
    assert!(refused);
    while !asked(connect(address)).ends_with("here") {
        assert!(began.elapsed() < Duration::from_secs(60), "those that say nothing stay");
        sleep(Duration::from_millis(100));
    }
    assert!(began.elapsed() >= first_request);
    drop(still);
}
