//! The token realm: `GET` and `POST` on `/jwt/auth` (GitLab's path) and `/auth/token` (where
//! distribution's `autoredirect` points).
//!
//! What clients make of the answers, which is why they are as they are:
//! - Nothing granted is still 200: containerd shows a 403 from here as an opaque failure, while a
//!   token without access makes the registry say no in its own words.
//! - Wrong credentials are 401, for POST too: on 400, 401 and 404 containerd falls back to GET.
//! - `expires_in` under 60 would be taken for 60 by docker.
//! - Too many wrong passwords are 429 with `Retry-After`; docker shows the sentence.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use registry_token::{Access, Scope, parse_scopes};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use service::request::RequestContext;

use super::body::{self, FORM};
use super::error::ApiError;
use super::parameters::Parameters;
use crate::accounts::TokenSecret;
use crate::state::State;
use crate::token::{Credentials, IssuedToken, TokenRequest};

/// The largest form, in bytes: a hundred scopes of the longest kind, percent-encoded, and a password.
const MAX_FORM_LENGTH: usize = 128 * 1_024;

/// The answer. `token` is Docker's word and `access_token` OAuth's; clients read either.
#[derive(Serialize)]
struct Answer<'a> {
    token: &'a str,
    access_token: &'a str,
    expires_in: u64,
    issued_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    /// POST only, as OAuth has it: what is granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// `GET`: credentials by Basic, the rest in the query.
pub async fn get(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let parameters = Parameters::parse(request.query_string().as_bytes())?;
    let credentials = match super::basic_credentials(&request)? {
        None => Credentials::Anonymous,
        Some(basic) => Credentials::Password {
            username: basic.username,
            password: basic.password,
        },
    };
    let offline = parameters.one("offline_token")? == Some("true");
    let wanted = token_request(&parameters, credentials, offline)?;
    let origin = super::origin(&request);
    let issued = state.issuer.issue(origin, wanted).await?;
    RequestContext::of(&request).set_subject(issued.subject.as_deref());
    Ok(answer(&issued, None))
}

/// `POST`: all of it in a form.
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    body::expect(&request, FORM)?;
    let form = Parameters::parse(&body::read(payload, MAX_FORM_LENGTH).await?)?;
    let required = |name: &'static str| -> Result<&str, ApiError> {
        form.one(name)?
            .ok_or_else(|| ApiError::bad_request(format!("the form lacks the field `{name}`")))
    };
    let credentials = match required("grant_type")? {
        "password" => Credentials::Password {
            username: required("username")?.to_owned(),
            password: required("password")?.into(),
        },
        "refresh_token" => {
            Credentials::RefreshToken(TokenSecret::presented(required("refresh_token")?.into()))
        }
        _ => {
            return Err(ApiError::unsupported(
                "the field `grant_type` must be `password` or `refresh_token`",
            ));
        }
    };
    let offline = form.one("access_type")? == Some("offline");
    let wanted = token_request(&form, credentials, offline)?;
    let origin = super::origin(&request);
    let issued = state.issuer.issue(origin, wanted).await?;
    RequestContext::of(&request).set_subject(issued.subject.as_deref());
    Ok(answer(&issued, Some(written_scope(&issued.access))))
}

/// `account` is not read: it repeats the username of the credentials, and grants nothing.
fn token_request(
    parameters: &Parameters,
    credentials: Credentials,
    offline: bool,
) -> Result<TokenRequest, ApiError> {
    let service = parameters.one("service")?.ok_or_else(|| {
        ApiError::bad_request(
            "the parameter `service` must name the registry that the token is for",
        )
    })?;
    Ok(TokenRequest {
        service: service.to_owned(),
        scopes: parse_scopes(parameters.all("scope"))?,
        credentials,
        offline,
        client_id: parameters.one("client_id")?.unwrap_or_default().to_owned(),
    })
}

fn written_scope(access: &Access) -> String {
    let scopes: Vec<String> = access
        .iter()
        .map(|entry| {
            let scope = Scope {
                resource: entry.resource.clone(),
                actions: entry.actions,
            };
            scope.to_string()
        })
        .collect();
    scopes.join(" ")
}

fn answer(issued: &IssuedToken, scope: Option<String>) -> HttpResponse {
    let token = issued.token.expose_secret();
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Answer {
            token,
            access_token: token,
            expires_in: issued.expires_in.as_secs(),
            issued_at: issued
                .issued_at
                .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            refresh_token: issued
                .refresh_token
                .as_ref()
                .map(TokenSecret::secret)
                .map(SecretString::expose_secret),
            scope,
        })
}

#[cfg(test)]
mod credential_tests;
#[cfg(test)]
mod tests;
