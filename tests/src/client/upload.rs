//! [`Upload`]: a session, from its first byte to its last.

use bytes::Bytes;
use reqwest::{Method, StatusCode};

use super::{Answer, Call, Repository};

/// An open upload session.
#[derive(Debug)]
pub struct Upload {
    pub(super) repository: Repository,
    /// Where the registry says to go on.
    pub location: String,
}

impl Upload {
    /// Someone else's, or an earlier one's, session at this location.
    pub fn resume(repository: &Repository, location: &str) -> Self {
        Self {
            repository: repository.clone(),
            location: location.to_owned(),
        }
    }

    /// The bytes from `offset` on, and says so. Follows the new location when they are taken.
    pub async fn chunk(&mut self, offset: usize, bytes: impl Into<Bytes>) -> Answer {
        let bytes = bytes.into();
        let range = format!("{offset}-{}", offset + bytes.len() - 1);
        let call = self.patch().header("content-range", &range).body(bytes);
        let answer = call.send().await;
        self.follow(&answer);
        answer
    }

    /// More bytes, without saying where they belong.
    pub async fn append(&mut self, bytes: impl Into<Bytes>) -> Answer {
        let answer = self.patch().body(bytes.into()).send().await;
        self.follow(&answer);
        answer
    }

    /// A `PATCH` of this session, to be filled in.
    pub fn patch(&self) -> Call {
        self.repository
            .call(Method::PATCH, &self.location)
            .header("content-type", "application/octet-stream")
    }

    /// Closes the session with what was sent.
    pub async fn finish(&self, digest: &str) -> Answer {
        self.finish_with(digest, Bytes::new()).await
    }

    /// Closes the session with the last, or all, bytes.
    pub async fn finish_with(&self, digest: &str, bytes: impl Into<Bytes>) -> Answer {
        self.closing(digest).body(bytes.into()).send().await
    }

    /// The closing `PUT`, to be filled in.
    pub fn closing(&self, digest: &str) -> Call {
        let separator = if self.location.contains('?') {
            '&'
        } else {
            '?'
        };
        self.repository
            .put(&format!("{}{separator}digest={digest}", self.location))
            .header("content-type", "application/octet-stream")
    }

    pub async fn status(&self) -> Answer {
        self.repository.get(&self.location).send().await
    }

    pub async fn cancel(&self) -> Answer {
        self.repository.delete(&self.location).send().await
    }

    fn follow(&mut self, answer: &Answer) {
        if answer.status == StatusCode::ACCEPTED {
            answer.header("location").clone_into(&mut self.location);
        }
    }
}
