//! A service for tests: each request takes some CPU time, and `/metrics` says how long requests took, as Prometheus reads
//! it. It is made of the standard library alone, so it is built in a moment.

use std::{
    fmt::Write as _,
    hint::black_box,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

/// Upper bounds of the histogram, in milliseconds.
const BOUNDS: [u64; 12] = [10, 25, 50, 75, 100, 150, 200, 300, 500, 1000, 2500, 10_000];

static COUNTS: [AtomicU64; BOUNDS.len() + 1] = [const { AtomicU64::new(0) }; BOUNDS.len() + 1];
static MILLISECONDS: AtomicU64 = AtomicU64::new(0);

fn main() -> std::io::Result<()> {
    for stream in TcpListener::bind("0.0.0.0:8080")?.incoming() {
        let (stream, began) = (stream?, Instant::now());
        thread::spawn(move || answer(stream, began));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, began: Instant) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let body = if line.starts_with("GET /metrics ") {
        metrics()
    } else {
        work();
        let took = began.elapsed().as_millis() as u64;
        let bucket = BOUNDS.iter().position(|&bound| took <= bound).unwrap_or(BOUNDS.len());
        COUNTS[bucket].fetch_add(1, Relaxed);
        MILLISECONDS.fetch_add(took, Relaxed);
        "done\n".to_owned()
    };
    write!(
        stream,
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// About 20 ms of CPU time, if the environment does not say how many rounds.
fn work() {
    static ROUNDS: LazyLock<u64> = LazyLock::new(|| {
        let asked = std::env::var("ROUNDS").ok();
        asked.and_then(|rounds| rounds.parse().ok()).unwrap_or(20_000_000)
    });
    let mut state = 1u64;
    for _ in 0..*ROUNDS {
        state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

fn metrics() -> String {
    let name = "http_request_duration_seconds";
    let mut text = format!("# TYPE {name} histogram\n");
    let mut count = 0;
    for (counter, bound) in COUNTS.iter().zip(BOUNDS.map(Some).into_iter().chain([None])) {
        count += counter.load(Relaxed);
        let le = bound.map_or("+Inf".to_owned(), |bound| format!("{}", bound as f64 / 1000.0));
        let _ = writeln!(text, "{name}_bucket{{le=\"{le}\"}} {count}");
    }
    let sum = MILLISECONDS.load(Relaxed) as f64 / 1000.0;
    let _ = write!(text, "{name}_sum {sum}\n{name}_count {count}\n");
    text
}
