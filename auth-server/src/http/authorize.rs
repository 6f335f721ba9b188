//! [`Authorized`]: who is asking, and that they may.
//!
//! A handler of the admin API has one in its arguments, and only this module can make one: it
//! cannot be forgotten, and what a handler may do can be read from its signature.
//!
//! Credentials are a user's name and password, by Basic. A browser that has asked for them once
//! sends them along with whatever page wants it to; hence a request that changes something is
//! refused if a browser says it comes from another site, and bodies must be JSON, which a foreign
//! form cannot send.

use std::marker::PhantomData;

use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use actix_web::{FromRequest, HttpRequest, dev, web};
use futures_util::future::LocalBoxFuture;

use super::error::ApiError;
use crate::accounts::User;
use crate::accounts::login;
use crate::state::State;

/// Something that a user may or may not do.
pub trait Permission {
    /// Whether this user may.
    fn is_given(user: &User) -> bool;
}

/// Every user that can log in.
#[derive(Debug)]
pub struct AnyUser;

impl Permission for AnyUser {
    fn is_given(_: &User) -> bool {
        true
    }
}

/// Administrators.
#[derive(Debug)]
pub struct Administrator;

impl Permission for Administrator {
    fn is_given(user: &User) -> bool {
        user.is_admin
    }
}

/// A user that has logged in and may do `P`.
#[derive(Debug)]
pub struct Authorized<P> {
    user: User,
    permission: PhantomData<P>,
}

impl<P> Authorized<P> {
    pub fn into_user(self) -> User {
        self.user
    }
}

impl<P: Permission> FromRequest for Authorized<P> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            refuse_other_sites(&request)?;
            let user = authenticate(&request).await?;
            if P::is_given(&user) {
                Ok(Self {
                    user,
                    permission: PhantomData,
                })
            } else {
                Err(ApiError::denied("this takes an administrator"))
            }
        })
    }
}

async fn authenticate(request: &HttpRequest) -> Result<User, ApiError> {
    let basic = super::basic_credentials(request)?
        .ok_or_else(|| ApiError::unauthorized("log in with username and password"))?;
    let state = request
        .app_data::<web::Data<State>>()
        .ok_or_else(ApiError::misconfigured)?;
    let login = login::with_password(
        &state.database,
        &state.clock,
        &state.passwords,
        &basic.username,
        basic.password,
    );
    Ok(login.await?.user)
}

/// <https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header>; other clients than browsers do
/// not send it.
fn refuse_other_sites(request: &HttpRequest) -> Result<(), ApiError> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    let site = request.headers().get("sec-fetch-site");
    match site.map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(ApiError::denied(
            "a page of another site sent this request; changes are taken from this site alone",
        )),
    }
}
