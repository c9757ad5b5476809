use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the server does with a question.
pub enum Reply {
    Success(Value),
    Status(u16, String),
    Redirect(String),
    Endless,
    Silence,
}

/// One that answers each query as it is told, and notes what it was asked.
#[derive(Clone)]
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    pub async fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/prefix", listener.local_addr().unwrap());
        let server = Self { url, requests: Arc::default() };
        let (requests, answer) = (server.requests.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, requests.clone(), answer.clone()));
            }
        });
        server
    }

    /// The queries so far, without the easy one that begins each look.
    pub fn queries(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|(_, query)| query.clone()).filter(|query| query != "1").collect()
    }

    pub fn heads(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|(head, _)| head.clone()).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: Arc<Mutex<Vec<(String, String)>>>,
    answer: Arc<impl Fn(&str) -> Reply>,
) {
    let mut text = String::new();
    let (head, body) = loop {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(read) if read > 0 => text.push_str(std::str::from_utf8(&bytes[..read]).unwrap()),
            _ => return,
        }
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|it| it.lines().next());
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            break (lower, body.to_owned());
        }
    };
    let query = body.split('&').find_map(|pair| pair.strip_prefix("query=")).map(decoded);
    let query = query.unwrap_or_default();
    requests.lock().unwrap().push((head, query.clone()));
    let reply = if query == "1" { Reply::Success(scalar("1")) } else { answer(&query) };
    let (status, more, body) = match reply {
        Reply::Success(data) => {
            (200, String::new(), json!({"status": "success", "data": data}).to_string())
        }
        Reply::Status(status, body) => (status, String::new(), body),
        Reply::Redirect(to) => (302, format!("location: {to}\r\n"), String::new()),
        Reply::Silence => return std::future::pending().await,
        Reply::Endless => {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            return;
        }
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} So\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (hex, after) = rest.split_at(2);
                rest = after;
                u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

pub fn scalar(value: &str) -> Value {
    json!({"resultType": "scalar", "result": [1790000000.5, value]})
}

pub fn vector(values: &[&str]) -> Value {
    let series = |(i, value): (usize, &&str)| json!({"metric": {"i": i.to_string()}, "value": [1790000000.5, value]});
    json!({"resultType": "vector", "result": values.iter().enumerate().map(series).collect::<Vec<_>>()})
}
