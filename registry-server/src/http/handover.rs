//! [`Handover`]: leaving the bytes of a blob to the proxy in front, which sends a file without
//! copying it twice through user space and a socket.
//!
//! nginx knows this as `X-Accel-Redirect`, Apache's `mod_xsendfile` as `X-Sendfile`: an answer without
//! a body that names a file. It goes out only when all of this holds:
//!
//! - the operator turned it on (`http.sendfile`), and said by what header;
//! - the request came through a proxy of `http.trustedproxies`;
//! - that proxy offers it, by `X-Sendfile-Type` with the name of the same header. The shipped
//!   configurations take this header away from clients. A trusted peer that is no proxy, such as a
//!   client on the loopback, does not offer it, and gets its bytes;
//! - the handler was authorized to pull, and the blob is a file.
//!
//! The path consists of the configured root and of a digest that was looked up. Nothing in it is the
//! client's or the proxy's.

use std::path::Path;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use service::request::RequestContext;

/// What a proxy is able to take over, in its own words.
const OFFER: HeaderName = HeaderName::from_static("x-sendfile-type");

/// Conditions that the proxy would decide by the file's modification time, where we ignore them or
/// know better. `If-None-Match` was answered before, and of `If-Range` both think the same.
const LEFT_TO_US: [HeaderName; 3] = [
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// How blobs are handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    header: HeaderName,
    root: String,
}

impl Handover {
    /// `root` is what the path of a blob below the folder of all blobs is put behind: nginx's
    /// internal location, or the folder as Apache sees it. It holds nothing that would need escaping.
    pub fn new(header: HeaderName, root: &str) -> Self {
        Self {
            header,
            root: root.trim_end_matches('/').to_owned(),
        }
    }

    /// Whether the answer to this request may be left to who passed it on.
    pub fn is_offered(&self, request: &HttpRequest) -> bool {
        let headers = request.headers();
        let mut offers = headers.get_all(OFFER);
        let offered = match (offers.next(), offers.next()) {
            (Some(offer), None) => offer
                .as_bytes()
                .eq_ignore_ascii_case(self.header.as_str().as_bytes()),
            // Two lines are two opinions: one of them may be the client's.
            _ => false,
        };
        offered
            && RequestContext::of(request).through_trusted_proxy()
            && !LEFT_TO_US.iter().any(|name| headers.contains_key(name))
    }

    /// The header that names a file, by its path below the folder of all blobs.
    pub fn header(&self, below_blobs: &Path) -> Option<(HeaderName, HeaderValue)> {
        let path = format!("{}/{}", self.root, below_blobs.to_str()?);
        Some((self.header.clone(), HeaderValue::from_str(&path).ok()?))
    }
}
