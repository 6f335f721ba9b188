//! Request bodies: bounded in size and time, of the media type that was announced.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, dev, web};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The media type of a form.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The media type of everything else.
const JSON: &str = "application/json";

/// The largest JSON body, in bytes.
const MAX_JSON_LENGTH: usize = 64 * 1_024;

/// How long a client may take to send a body of a few kilobytes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Insists on a media type; its parameters do not matter.
pub fn expect(request: &HttpRequest, media_type: &str) -> Result<(), ApiError> {
    let sent = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(media_type) {
        Ok(())
    } else {
        Err(ApiError::media_type(media_type))
    }
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
    /// Reads the body. Malformed JSON is 400; JSON that is not what is expected is 422, with the
    /// path to what is wrong.
    pub async fn read<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        expect(&self.request, JSON)?;
        let body = read(self.payload, MAX_JSON_LENGTH).await?;
        let mut json = serde_json::Deserializer::from_slice(&body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let reason = error.into_inner();
            match reason.classify() {
                serde_json::error::Category::Data => {
                    let place = if path == "." { "the body" } else { &path };
                    ApiError::invalid(format!("{place}: {reason}"))
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
