//! A caller on a bare socket: it shows what was sent to it, byte for byte, and how the connection ended.
//! It retries nothing and forgives nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::frames::{self, Frame};
use crate::record::Record;

/// Nobody may keep a caller waiting in silence for this long: every deadline of the tests is shorter.
const HANG: Duration = Duration::from_secs(45);

/// Who has said nothing for this long has nothing more to say: an answer that costs no call is there at once.
const QUIET: Duration = Duration::from_millis(500);

/// How a response's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As announced.
    Whole,
    /// The connection was closed inside it.
    Cut,
}

/// The first part of a response.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The call's id.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn generation(&self) -> &str {
        self.header("x-trunkline-generation-id").expect("every answer to a call names it")
    }
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status and headers.
    pub head: Head,
    /// The body as it came.
    pub body: Vec<u8>,
    /// How it ended.
    pub end: End,
}

impl Reply {
    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {}", self.text()))
    }

    /// The frames of an event stream.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        let mut rest = self.body.clone();
        let mut frames = frames::split(&mut rest);
        if !rest.is_empty() {
            frames.push(Frame::Odd(String::from_utf8_lossy(&rest).into_owned()));
        }
        frames
    }

    /// What the model said, whether streamed or whole.
    #[must_use]
    pub fn content(&self) -> String {
        if self.is_stream() {
            return self.frames().iter().filter_map(Frame::content).collect();
        }
        let json = self.json();
        json.pointer("/choices/0/message/content").and_then(Value::as_str).unwrap_or("").to_owned()
    }

    /// Whether it is an event stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.head.header("content-type") == Some("text/event-stream")
    }

    /// Whether an event stream said that it is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.frames().last() == Some(&Frame::Done)
    }

    /// The error: of the body, or of the last frame.
    #[must_use]
    pub fn error(&self) -> Option<Value> {
        if self.is_stream() {
            return self.frames().last().and_then(Frame::error).cloned();
        }
        self.json().get("error").cloned()
    }

    /// The error's exact kind.
    #[must_use]
    pub fn error_type(&self) -> String {
        let error = self.error().unwrap_or_default();
        error.pointer("/metadata/error_type").and_then(Value::as_str).unwrap_or("none").to_owned()
    }
}

/// A caller of one router with one key.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where it connects.
    pub address: SocketAddr,
    /// What it sends as its key; nothing when empty.
    pub key: String,
}

impl Client {
    /// Posts a chat and reads the answer to its end.
    pub async fn chat(&self, body: &Value) -> Reply {
        self.post("/v1/chat/completions", body).await
    }

    /// Posts JSON and reads the answer to its end.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.open("POST", path, &[], body.to_string().as_bytes()).await.read().await
    }

    /// Posts JSON with further headers and reads the answer to its end.
    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        self.open("POST", path, headers, body.to_string().as_bytes()).await.read().await
    }

    /// Gets a page.
    pub async fn get(&self, path: &str) -> Reply {
        self.open("GET", path, &[], b"").await.read().await
    }

    /// The record of a call.
    ///
    /// # Panics
    /// When there is none.
    pub async fn record(&self, head: &Head) -> Record {
        let reply = self.get(&format!("/v1/generation?id={}", head.generation())).await;
        assert_eq!(reply.status(), 200, "no record: {}", reply.text());
        Record(reply.json().get("data").cloned().unwrap_or_default())
    }

    /// Starts a streamed chat and waits for its headers.
    pub async fn stream(&self, body: &Value) -> Exchange {
        let body = crate::json::overlay(body.clone(), serde_json::json!({"stream": true}));
        self.open("POST", "/v1/chat/completions", &[], body.to_string().as_bytes()).await
    }

    /// Sends a request on a connection of its own and waits for the headers.
    pub async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Exchange {
        let mut line = Line::connect(self.address).await;
        line.send(&self.request(method, path, headers, body)).await;
        line.exchange().await
    }

    /// The bytes of a request.
    #[must_use]
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<u8> {
        let mut lines = vec![format!("{method} {path} HTTP/1.1"), "host: router".to_owned()];
        if !self.key.is_empty() {
            lines.push(format!("authorization: Bearer {}", self.key));
        }
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if method != "GET" {
            lines.push("content-type: application/json".to_owned());
            lines.push(format!("content-length: {}", body.len()));
        }
        [lines.join("\r\n").as_bytes(), b"\r\n\r\n", body].concat()
    }
}

/// A connection.
#[derive(Debug)]
pub struct Line {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Line {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("the router listens");
        socket.set_nodelay(true).expect("a socket takes its options");
        Self { socket, unread: Vec::new() }
    }

    /// Sends bytes as they are. That the other side hung up meanwhile shows in what it answered.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        let _ = self.socket.shutdown().await;
    }

    /// Everything that comes until the other side hangs up or has been quiet for a while.
    pub async fn so_far(mut self) -> Vec<u8> {
        let quiet = |read: Result<_, _>| !matches!(read, Ok(Ok(1..)));
        while !quiet(timeout(QUIET, self.socket.read_buf(&mut self.unread)).await) {}
        self.unread
    }

    /// Waits for the headers of the next response.
    ///
    /// # Panics
    /// When none come.
    pub async fn exchange(self) -> Exchange {
        self.try_exchange().await.expect("headers before the end of the connection")
    }

    /// The same; `None` when the connection ends before.
    pub async fn try_exchange(mut self) -> Option<Exchange> {
        let end = loop {
            if let Some(end) = memchr::memmem::find(&self.unread, b"\r\n\r\n") {
                break end;
            }
            self.more().await.ok()?;
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        let head = parse_head(&String::from_utf8_lossy(&head));
        let shape = match head.header("content-length") {
            Some(length) => Shape::Length(length.parse().expect("a length is a number")),
            None if head.header("transfer-encoding") == Some("chunked") => Shape::Chunked,
            None => Shape::Length(0),
        };
        Some(Exchange { line: self, head, shape, events: Vec::new(), frames: Vec::new() })
    }

    /// Reads some more; an error at the end of the connection, orderly or not.
    async fn more(&mut self) -> io::Result<()> {
        let read = self.socket.read_buf(&mut self.unread);
        match timeout(HANG, read).await.expect("nothing came for too long: the call hangs") {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn up_to(&mut self, length: usize) -> io::Result<()> {
        while self.unread.len() < length {
            self.more().await?;
        }
        Ok(())
    }

    /// The next piece of a chunked body; `None` after the last.
    async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let end = loop {
            if let Some(end) = memchr::memmem::find(&self.unread, b"\r\n") {
                break end;
            }
            self.more().await?;
        };
        let line = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        let size = usize::from_str_radix(&line, 16).expect("a chunk begins with its size");
        self.up_to(end + 2 + size + 2).await?;
        let chunk = self.unread[end + 2..end + 2 + size].to_vec();
        self.unread.drain(..end + 2 + size + 2);
        Ok((size > 0).then_some(chunk))
    }
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Length(usize),
    Chunked,
}

/// A response whose headers are in.
#[derive(Debug)]
pub struct Exchange {
    line: Line,
    /// Status and headers.
    pub head: Head,
    shape: Shape,
    events: Vec<u8>,
    frames: Vec<Frame>,
}

impl Exchange {
    /// Reads the rest.
    pub async fn read(self) -> Reply {
        self.read_on().await.0
    }

    /// Reads the rest, and gives the connection back for another request.
    pub async fn read_on(mut self) -> (Reply, Line) {
        let (mut body, mut end) = (Vec::new(), End::Whole);
        match self.shape {
            Shape::Length(length) => {
                end = if self.line.up_to(length).await.is_ok() { End::Whole } else { End::Cut };
                let length = length.min(self.line.unread.len());
                body = self.line.unread.drain(..length).collect();
            }
            Shape::Chunked => loop {
                match self.line.chunk().await {
                    Ok(Some(chunk)) => body.extend(chunk),
                    Ok(None) => break,
                    Err(_) => {
                        end = End::Cut;
                        break;
                    }
                }
            },
        }
        (Reply { head: self.head, body, end }, self.line)
    }

    /// The next frame of an event stream; `None` at its end, however it came about.
    pub async fn frame(&mut self) -> Option<Frame> {
        while self.frames.is_empty() {
            let chunk = self.line.chunk().await.ok().flatten()?;
            self.events.extend(chunk);
            self.frames = frames::split(&mut self.events);
            self.frames.reverse();
        }
        self.frames.pop()
    }

    /// Reads up to the first frame with content.
    ///
    /// # Panics
    /// When none comes.
    pub async fn first_content(&mut self) -> Frame {
        loop {
            let frame = self.frame().await.expect("content before the end of the stream");
            if frame.content().is_some() {
                return frame;
            }
        }
    }
}

fn parse_head(text: &str) -> Head {
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Head {
        status: status.expect("a response begins with its status"),
        headers: headers.map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect(),
    }
}
