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

/// The media type of a file of lines.
const TEXT: &str = "text/plain";

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

/// A text that is yet to be read, in whatever encoding.
pub struct TextBody(JsonBody);

impl TextBody {
    /// Reads at most `limit` bytes.
    pub async fn read(self, limit: usize) -> Result<Vec<u8>, ApiError> {
        expect(&self.0.request, TEXT)?;
        read(self.0.payload, limit).await
    }
}

impl FromRequest for TextBody {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        ready(
            JsonBody::from_request(request, payload)
                .into_inner()
                .map(Self),
        )
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
            serde_json::error::Category::Data => ApiError::invalid(wrong(&path, &reason)),
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

/// What is wrong, in a sentence that names the field. Of the value nothing is told: it may be a
/// password in the wrong place, and the sentence goes into the audit log.
///
/// serde's words are its only interface; what is not understood is passed on without the position,
/// which says nothing in a body of one line.
fn wrong(path: &str, reason: &serde_json::Error) -> String {
    let said = reason.to_string();
    let position = format!(" at line {} column {}", reason.line(), reason.column());
    let said = said.strip_suffix(&position).unwrap_or(&said);
    // "unknown field `a`, expected one of `b`, `c`"
    if let Some(rest) = said.strip_prefix("unknown field `")
        && let Some((written, known)) = rest.rsplit_once("`, expected ")
    {
        return nearest::unknown("field", written, quoted(known).into_iter());
    }
    let parent = Some(path).filter(|path| *path != ".");
    let field = match parent {
        Some(path) => format!("the field `{path}`"),
        None => "the body".to_owned(),
    };
    if let Some(missing) = said.strip_prefix("missing field `") {
        let missing = missing.trim_end_matches('`');
        let path = parent.map_or_else(|| missing.to_owned(), |path| format!("{path}.{missing}"));
        return format!("the field `{path}` is missing");
    }
    if let Some(twice) = said.strip_prefix("duplicate field `") {
        return format!("the field `{twice} is there twice");
    }
    // "unknown variant `a`, expected one of `b`, `c`"
    if let Some(rest) = said.strip_prefix("unknown variant `")
        && let Some((written, known)) = rest.rsplit_once("`, expected ")
    {
        let said = nearest::unknown("word", written, quoted(known).into_iter());
        return format!("{field}: {said}");
    }
    // "invalid type: string \"yes\", expected a boolean"
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some(rest) = said.strip_prefix(prefix)
            && let Some((found, expected)) = rest.rsplit_once(", expected ")
        {
            let expected = match expected {
                "u64" | "u32" | "u16" | "u8" => "a whole number",
                "struct" => "an object",
                other => other,
            };
            return match kind(found) {
                Some(kind) => format!("{field} must be {expected}, not {kind}"),
                None => format!("{field} must be {expected}"),
            };
        }
    }
    format!("{field}: {said}")
}

/// The words between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// What serde has found, without its value.
fn kind(found: &str) -> Option<&'static str> {
    match found.split([' ', ',']).next()? {
        "string" => Some("a text"),
        "boolean" => Some("true or false"),
        "integer" | "floating" => Some("a number"),
        "null" => Some("null"),
        "map" => Some("an object"),
        "sequence" => Some("a list"),
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        #[serde(default)]
        email: String,
        #[serde(default)]
        admin: bool,
        #[serde(default)]
        size: Option<u32>,
        #[serde(default)]
        role: Option<Word>,
        #[serde(default)]
        inner: Option<Inner>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Guest,
        Owner,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Inner {
        name: String,
    }

    fn refused(body: &str) -> String {
        parse::<Thing>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn an_object_is_read() {
        let body = b" {\"email\": \"a@b\", \"admin\": true, \"size\": 7, \"role\": \"guest\",
            \"inner\": {\"name\": \"x\"}}\n";
        let thing = Thing {
            email: "a@b".to_owned(),
            admin: true,
            size: Some(7),
            role: Some(Word::Guest),
            inner: Some(Inner {
                name: "x".to_owned(),
            }),
        };
        assert_eq!(parse::<Thing>(body).unwrap(), thing);
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_nearest() {
        assert_eq!(
            refused("{\"emial\": 1}"),
            "unknown field `emial`; did you mean `email`?"
        );
        assert_eq!(
            refused("{\"x`, expected `y\": 1}"),
            "unknown field `x`, expected `y`; known are `email`, `admin`, \
             `size`, `role`, `inner`"
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
    }

    #[test]
    fn a_wrong_value_is_told_by_its_field_and_never_repeated() {
        for (body, told) in [
            (
                "{\"admin\": \"secret\"}",
                "the field `admin` must be a boolean, not a text",
            ),
            (
                "{\"email\": 4711}",
                "the field `email` must be a string, not a number",
            ),
            (
                "{\"email\": {\"a\": 1}}",
                "the field `email` must be a string, not an object",
            ),
            (
                "{\"email\": null}",
                "the field `email` must be a string, not null",
            ),
            (
                "{\"email\": \"a\", \"email\": \"b\"}",
                "the field `email` is there twice",
            ),
            (
                "{\"size\": \"a\"}",
                "the field `size` must be a whole number, not a text",
            ),
            (
                "{\"role\": \"ownr\"}",
                "the field `role`: unknown word `ownr`; did you mean `owner`?",
            ),
            ("{\"inner\": {}}", "the field `inner.name` is missing"),
            (
                "{\"inner\": {\"name\": [1]}}",
                "the field `inner.name` must be a string, not a list",
            ),
        ] {
            assert_eq!(refused(body), told, "{body}");
        }
        let lacking = parse::<Inner>(b"{}").unwrap_err().to_string();
        assert_eq!(lacking, "the field `name` is missing");
    }
}
