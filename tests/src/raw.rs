//! HTTP as no client library would send it: malformed, slow, broken off.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::Answer;

/// Longer than a server may take to refuse something.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bare connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    sent: String,
}

impl Connection {
    pub async fn open(origin: &Url) -> Self {
        let address = format!(
            "{}:{}",
            origin.host_str().unwrap(),
            origin.port_or_known_default().unwrap()
        );
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            sent: String::new(),
        }
    }

    /// Sends bytes as they are. A server that has hung up already is no failure here.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let shown = &bytes[..bytes.len().min(500)];
        self.sent.push_str(&String::from_utf8_lossy(shown));
        let _ = self.stream.write_all(bytes).await;
    }

    /// Says that nothing more comes, and still listens.
    pub async fn finish_sending(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next answer; none if the server hung up without one.
    pub async fn answer(&mut self) -> Option<Answer> {
        tokio::time::timeout(PATIENCE, self.read_answer())
            .await
            .unwrap_or_else(|_| panic!("no answer within {PATIENCE:?} to:\n{}", self.sent))
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match self.stream.read(&mut byte).await {
                Ok(1) => head.push(byte[0]),
                _ if head.is_empty() => return None,
                ended => panic!(
                    "broken off ({ended:?}) after {:?}",
                    String::from_utf8_lossy(&head)
                ),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value.trim()).unwrap(),
            );
        }
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        Some(Answer {
            line: self.sent.clone(),
            status: status.parse().unwrap(),
            headers,
            body: Bytes::from(body),
        })
    }
}

/// Sends one request and hangs up after its answer.
pub async fn exchange(origin: &Url, request: impl AsRef<[u8]>) -> Option<Answer> {
    let mut connection = Connection::open(origin).await;
    connection.send(request).await;
    connection.answer().await
}
