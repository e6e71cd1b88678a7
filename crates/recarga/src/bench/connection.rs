//! The least HTTP client that can do: one connection, one request at a time. The load shares its processors with the
//! nodes, so that what it spends is missing from what they can do.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to `authority`, as in `127.0.0.1:8001`.
    pub async fn open(authority: &str) -> Result<Self> {
        let stream = TcpStream::connect(authority).await;
        let stream = stream.with_context(|| format!("cannot connect to {authority}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, out: Vec::with_capacity(2048), buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request that begins with `head`, which lacks only the length, and reads the whole answer: its status
    /// and its body.
    pub async fn exchange(&mut self, head: &str, body: &[u8]) -> Result<(u16, &[u8])> {
        self.out.clear();
        self.out.extend_from_slice(head.as_bytes());
        self.out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        self.out.extend_from_slice(body);
        self.stream.write_all(&self.out).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed before the end of the answer");
            }
            if let Some(head) = Head::read(&self.buffer)? {
                let end = head.length + head.body;
                if end > ANSWER_BYTES_MAX {
                    bail!("an answer of {end} bytes");
                }
                while self.buffer.len() < end {
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        bail!("the connection was closed before the end of the answer");
                    }
                }
                return Ok((head.status, &self.buffer[head.length..end]));
            }
            if self.buffer.len() > ANSWER_BYTES_MAX {
                bail!("an answer without an end of its head");
            }
        }
    }
}

struct Head {
    status: u16,
    length: usize,
    body: usize,
}

impl Head {
    // None: not all of it is there yet.
    fn read(bytes: &[u8]) -> Result<Option<Head>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&bytes[..end]).context("the head of an answer is no text")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status = status.context("an answer without a status")?;
        let body = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let body = body.context("an answer without Content-Length")?;
        Ok(Some(Head { status, length: end + 4, body }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nhello";
        for cut in 0..39 {
            assert!(Head::read(&text[..cut]).unwrap().is_none(), "{cut}");
        }
        let head = Head::read(text).unwrap().unwrap();
        assert_eq!((head.status, &text[head.length..][..head.body]), (201, &b"hello"[..]));
        assert!(Head::read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(Head::read(b"nonsense\r\n\r\n").is_err());
    }
}
