//! Request bodies: bounded in size and time, of the media type that was announced.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpRequest, dev, web};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::nearest;

/// The media type of a form.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The media type of everything else.
const JSON: &str = "application/json";

/// RFC 7396: what is there is set, `null` clears, what is missing stays.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// The largest JSON body, in bytes.
const MAX_JSON_LENGTH: usize = 64 * 1_024;

/// How long a client may take to send a body of a few kilobytes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Insists on a media type; its parameters do not matter.
pub fn expect(request: &HttpRequest, media_type: &str) -> Result<(), ApiError> {
    if is(request, media_type) {
        Ok(())
    } else {
        Err(ApiError::media_type(media_type))
    }
}

fn is(request: &HttpRequest, media_type: &str) -> bool {
    let sent = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(media_type)
}

/// Reads a body of at most `limit` bytes.
pub async fn read(mut payload: web::Payload, limit: usize) -> Result<Vec<u8>, ApiError> {
    let reading = async {
        let mut body = Vec::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| {
                ApiError::bad_request(format!("the body ended too early or is malformed: {error}"))
            })?;
            if body.len() + chunk.len() > limit {
                return Err(ApiError::too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    };
    tokio::time::timeout(READ_TIMEOUT, reading)
        .await
        .map_err(|_| ApiError::timeout("the body did not come in time"))?
}

/// A JSON body that is yet to be read: a handler does so after it knows who is asking, so that
/// nobody else can make it parse anything.
pub struct JsonBody {
    request: HttpRequest,
    payload: web::Payload,
}

impl JsonBody {
    /// Reads an object. Malformed JSON is 400; JSON that is not what is expected is 422, with the
    /// path to what is wrong, and a field that is unknown with the nearest one that is known.
    pub async fn read<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        let patch = self.request.method() == Method::PATCH;
        if !(patch && is(&self.request, MERGE_PATCH)) {
            expect(&self.request, JSON)?;
        }
        let body = read(self.payload, MAX_JSON_LENGTH).await?;
        parse(&body)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // serde would take a list for a structure, its fields in order.
    if let Some(first) = body.trim_ascii_start().first()
        && *first != b'{'
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
    {
        return Err(ApiError::invalid("the body must be an object"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner();
        match reason.classify() {
            serde_json::error::Category::Data => {
                let reason = reason.to_string();
                ApiError::invalid(match unknown_field(&reason) {
                    Some(sentence) => sentence,
                    None if path == "." => format!("the body: {reason}"),
                    None => format!("{path}: {reason}"),
                })
            }
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => {
                ApiError::bad_request(format!("the body is not JSON: {reason}"))
            }
        }
    })?;
    json.end()
        .map_err(|reason| ApiError::bad_request(format!("the body is not JSON: {reason}")))?;
    Ok(value)
}

/// What serde says of an unknown field, with a guess at the one that was meant. Its words are
/// "unknown field `a`, expected one of `b`, `c` at line 1 column 2".
fn unknown_field(reason: &str) -> Option<String> {
    let rest = reason.strip_prefix("unknown field `")?;
    let (written, rest) = rest.rsplit_once("`, expected ")?;
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    Some(nearest::unknown("field", written, known.into_iter()))
}

impl FromRequest for JsonBody {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let request = request.clone();
        ready(
            web::Payload::from_request(&request, payload)
                .into_inner()
                .map(|payload| Self { request, payload }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        #[serde(default)]
        email: String,
        #[serde(default)]
        admin: bool,
    }

    fn refused(body: &str) -> String {
        parse::<Thing>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn an_object_is_read() {
        let thing: Thing = parse(b" {\"email\": \"a@b\", \"admin\": true}\n").unwrap();
        assert_eq!((thing.email.as_str(), thing.admin), ("a@b", true));
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_nearest() {
        assert_eq!(
            refused("{\"emial\": 1}"),
            "unknown field `emial`; did you mean `email`?"
        );
        assert_eq!(
            refused("{\"x`, expected `y\": 1}"),
            "unknown field `x`, expected `y`; known are `email`, `admin`"
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["[]", "[\"a@b\", true]", "null", "7", "\"x\""] {
            assert_eq!(refused(body), "the body must be an object", "{body}");
        }
        for body in ["", " ", "{", "[", "{} {}", "nul"] {
            let error = parse::<Thing>(body.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("not JSON"), "{body}: {error}");
        }
        assert!(refused("{\"admin\": \"yes\"}").starts_with("admin: "));
    }
}
