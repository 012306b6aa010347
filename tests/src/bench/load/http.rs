//! Callers over HTTP/1.1, each with one connection of its own.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use memchr::memmem::{Finder, find};
use memchr::memrchr;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::dialect::{self, ANSWER_MARK, CHUNK_MARK, DONE, KEY, MODEL, Script};
use super::Marks;

/// Error bodies are shown up to here, in bytes.
const SHOWN_BYTES: usize = 400;

/// The script of a stream.
pub(super) fn script(chunks: u32, interval_us: u64) -> Script {
    Script { chunks, interval: Duration::from_micros(interval_us) }
}

/// Asks for whole answers until measuring is over.
pub(super) async fn call_whole(target: SocketAddr, marks: &mut Marks) -> anyhow::Result<()> {
    let caller = Caller::new(target, None)?;
    on_a_connection(target, async |sender| {
        while !marks.is_over() {
            let begun = Instant::now();
            let response = caller.call(sender).await?;
            check_whole(&response.into_body().collect().await?.to_bytes())?;
            marks.call(begun);
        }
        Ok(())
    })
    .await
}

fn check_whole(body: &[u8]) -> anyhow::Result<()> {
    let complete = find(body, ANSWER_MARK.as_bytes()).is_some()
        && find(body, MODEL.as_bytes()).is_some()
        && body.trim_ascii_end().ends_with(b"}");
    ensure!(complete, "not the upstream's answer: {}", shown(body));
    Ok(())
}

/// Asks for streamed answers until measuring is over.
pub(super) async fn call_streamed(
    target: SocketAddr,
    script: Script,
    marks: &mut Marks,
) -> anyhow::Result<()> {
    let caller = Caller::new(target, Some(script))?;
    on_a_connection(target, async |sender| {
        while !marks.is_over() {
            let begun = Instant::now();
            let mut body = caller.call(sender).await?.into_body();
            let mut reader = StreamReader::new();
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame?.into_data() else { continue };
                let before = reader.chunks;
                reader.read(&data);
                if before == 0 && reader.chunks > 0 {
                    marks.first_content(begun);
                }
                marks.chunks(reader.chunks - before);
            }
            reader.check(script.chunks)?;
            marks.call(begun);
        }
        Ok(())
    })
    .await
}

/// Opens one stream, calls `opened` at its first content and reads on until cancelled.
pub(super) async fn hold(
    target: SocketAddr,
    script: Script,
    opened: impl FnOnce(),
) -> anyhow::Result<Marks> {
    let caller = Caller::new(target, Some(script))?;
    let mut opened = Some(opened);
    on_a_connection(target, async |sender| {
        let mut body = caller.call(sender).await?.into_body();
        let mut reader = StreamReader::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            reader.read(&data);
            if reader.chunks > 0
                && let Some(opened) = opened.take()
            {
                opened();
            }
        }
        bail!("a held stream ended after {} chunks", reader.chunks)
    })
    .await?;
    bail!("a held stream's connection ended")
}

/// Runs `work` on a connection of its own, in the same task.
async fn on_a_connection(
    target: SocketAddr,
    work: impl AsyncFnOnce(&mut SendRequest<Full<Bytes>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let socket = TcpStream::connect(target).await.context("cannot connect")?;
    socket.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(socket)).await?;
    drive(connection, work(&mut sender)).await
}

/// The connection makes progress only while it is polled beside the work.
async fn drive(
    connection: impl Future<Output = hyper::Result<()>>,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    tokio::select! {
        done = work => done,
        Err(error) = connection => Err(anyhow::Error::from(error).context("the connection broke")),
        else => bail!("the connection was closed"),
    }
}

/// One request, made once.
struct Caller {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Caller {
    fn new(target: SocketAddr, script: Option<Script>) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::try_from(target.to_string())?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {KEY}"))?);
        let uri = Uri::from_static("/v1/chat/completions");
        Ok(Self { uri, headers, body: dialect::request(script) })
    }

    /// Sends the request; an answer that is not 200 is an error.
    async fn call(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        if status != 200 {
            let body = response.into_body().collect().await?.to_bytes();
            bail!("status {status}: {}", shown(&body));
        }
        Ok(response)
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(..SHOWN_BYTES).unwrap_or(body)).into_owned()
}

/// Counts a stream's content chunks, wherever the bytes were cut.
struct StreamReader {
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
    mark: Finder<'static>,
    chunks: u64,
    done: bool,
}

impl StreamReader {
    fn new() -> Self {
        Self { rest: Vec::new(), mark: Finder::new(CHUNK_MARK), chunks: 0, done: false }
    }

    fn read(&mut self, data: &[u8]) {
        self.rest.extend_from_slice(data);
        let Some(end) = memrchr(b'\n', &self.rest) else { return };
        let lines = self.rest.get(..end).unwrap_or_default();
        self.chunks += self.mark.find_iter(lines).count() as u64;
        self.done |= find(lines, DONE).is_some();
        self.rest.drain(..=end);
    }

    fn check(&self, chunks: u32) -> anyhow::Result<()> {
        ensure!(self.done, "a stream ended without its last event, after {} chunks", self.chunks);
        let due = u64::from(chunks);
        ensure!(self.chunks == due, "a stream had {} chunks, not {due}", self.chunks);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::dialect::Frames;
    use super::*;

    #[test]
    fn chunks_are_counted_wherever_the_bytes_are_cut() {
        let frames = Frames::new(MODEL, 3);
        let content = frames.content;
        let stream = [&frames.first[..], &content, &content, &content, &frames.last].concat();
        for size in [1, 7, 64, stream.len()] {
            let mut reader = StreamReader::new();
            stream.chunks(size).for_each(|piece| reader.read(piece));
            reader.check(3).unwrap();
        }
    }

    #[test]
    fn a_stream_that_lost_something_is_an_error() {
        let frames = Frames::new(MODEL, 2);
        let mut reader = StreamReader::new();
        reader.read(&[&frames.first[..], &frames.content, &frames.content].concat());
        assert!(reader.check(2).unwrap_err().to_string().contains("without its last event"));
        let mut reader = StreamReader::new();
        reader.read(&[&frames.content[..], &frames.last].concat());
        assert!(reader.check(2).unwrap_err().to_string().contains("1 chunks, not 2"));
    }

    #[test]
    fn only_the_upstreams_whole_answer_will_do() {
        let reply = dialect::reply(MODEL);
        check_whole(&reply).unwrap();
        assert!(check_whole(&reply[..reply.len() - 1]).is_err());
        assert!(check_whole(b"{}").is_err());
        assert!(check_whole(&dialect::reply("another/model")).is_err());
    }
}
