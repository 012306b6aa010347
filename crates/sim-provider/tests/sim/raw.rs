//! A client on a bare socket, so that the tests see every byte and how the connection ends.
//! It is not an HTTP client: it understands what the simulated provider sends, and no more.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use sim_provider::{Fault, SimConfig, SimProvider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How the server's side of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// With a FIN.
    Orderly,
    /// With an RST.
    Reset,
}

/// A body as it came over the wire.
#[derive(Debug)]
pub struct Body {
    /// The HTTP chunks, or the whole body when it had a length.
    pub chunks: Vec<Vec<u8>>,
    /// Whether the end of the body was announced.
    pub whole: bool,
}

impl Body {
    pub fn text(&self) -> String {
        String::from_utf8(self.chunks.concat()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    /// The content of all OpenAI chat chunks.
    pub fn content(&self) -> String {
        let texts = self.events().into_iter();
        texts
            .filter_map(|e| Some(e["choices"][0]["delta"]["content"].as_str()?.to_owned()))
            .collect()
    }

    /// The JSON of all events.
    pub fn events(&self) -> Vec<Value> {
        let text = self.text();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter_map(|json| serde_json::from_str(json).ok()).collect()
    }

    pub fn is_done(&self) -> bool {
        self.text().ends_with("data: [DONE]\n\n")
    }
}

/// One connection.
pub struct Raw {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    pub async fn connect(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: TcpStream::connect(addr).await?, unread: Vec::new() })
    }

    pub async fn send(&mut self, head: &str, body: &str) {
        let head = head.trim_end();
        let length = body.len();
        let text = format!("{head}\r\nhost: sim\r\ncontent-length: {length}\r\n\r\n{body}");
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    /// Posts a chat request.
    pub async fn chat(&mut self, body: &Value) {
        self.send("POST /v1/chat/completions HTTP/1.1", &body.to_string()).await;
    }

    /// Status line and headers in lower case.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(end) = position(&self.unread, b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap().to_lowercase();
            }
            self.more().await.expect("the head before the end");
        }
    }

    /// The next HTTP chunk; none after the last one.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Closed> {
        loop {
            if let Some(line_end) = position(&self.unread, b"\r\n") {
                let line = std::str::from_utf8(self.unread.get(..line_end).unwrap()).unwrap();
                let size = usize::from_str_radix(line, 16).unwrap();
                let start = line_end + 2;
                if self.unread.len() >= start + size + 2 {
                    let chunk = self.unread.get(start..start + size).unwrap().to_vec();
                    self.unread.drain(..start + size + 2);
                    return Ok((size > 0).then_some(chunk));
                }
            }
            self.more().await?;
        }
    }

    /// The body that follows this head, as far as it comes.
    pub async fn body(&mut self, head: &str) -> (Body, Option<Closed>) {
        let mut body = Body { chunks: Vec::new(), whole: false };
        if let Some(length) = header(head, "content-length") {
            let length: usize = length.parse().unwrap();
            while self.unread.len() < length {
                if let Err(closed) = self.more().await {
                    body.chunks.push(std::mem::take(&mut self.unread));
                    return (body, Some(closed));
                }
            }
            body.chunks.push(self.unread.drain(..length).collect());
            body.whole = true;
            return (body, None);
        }
        loop {
            match self.chunk().await {
                Ok(Some(chunk)) => body.chunks.push(chunk),
                Ok(None) => {
                    body.whole = true;
                    return (body, None);
                }
                Err(closed) => return (body, Some(closed)),
            }
        }
    }

    /// Waits for the end of the connection; anything that is sent before fails the test.
    pub async fn closed(&mut self) -> Closed {
        self.more().await.expect_err("no more bytes")
    }

    /// Whether the server has sent nothing that was not read, and has not closed.
    pub fn is_silent(&self) -> bool {
        let read = self.socket.try_read(&mut [0; 1]);
        self.unread.is_empty() && read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    async fn more(&mut self) -> Result<(), Closed> {
        match self.socket.read_buf(&mut self.unread).await {
            Ok(0) => Err(Closed::Orderly),
            Ok(_) => Ok(()),
            Err(_) => Err(Closed::Reset),
        }
    }
}

/// The value of a header in a head.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A provider with this fault.
pub async fn faulty(fault: Fault) -> SimProvider {
    let sim = SimProvider::start(SimConfig::default()).await.unwrap();
    sim.set_fault(fault.into());
    sim
}

/// A chat request for five tokens.
pub fn ask() -> Value {
    serde_json::json!({"model": "m", "max_tokens": 5, "messages": [
        {"role": "user", "content": "one two three four five six"}]})
}

/// The same, streamed.
pub fn ask_stream() -> Value {
    let mut ask = ask();
    ask["stream"] = true.into();
    ask
}

/// Asks on a new connection and reads all that comes.
pub async fn exchange(sim: &SimProvider, ask: &Value) -> (String, Body, Option<Closed>) {
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    raw.chat(ask).await;
    let head = raw.head().await;
    let (body, closed) = raw.body(&head).await;
    (head, body, closed)
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
