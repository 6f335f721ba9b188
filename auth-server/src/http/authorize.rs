//! Who may. What a handler of the admin API may do can be read from its arguments, and cannot be
//! forgotten, since only this module can make them:
//!
//! - [`Authorized`]: rights that go with the caller alone.
//! - [`InSession`]: the session of a browser.
//! - [`OnUser`]: rights on the user in the path. [`OnGroup`], [`OnProject`]: a role in the group or
//!   project in the path.
//!
//! Each brings the [`Context`] that changes are made in. Objects that a caller may not know of are
//! 404, as those that are not there; 403 is for what may be seen but not done.

mod on_path;

use std::future::Future;
use std::marker::PhantomData;
use std::rc::Rc;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev, web};
use futures_util::future::LocalBoxFuture;
use service::request::RequestContext;

pub use self::on_path::{
    Developer, Guest, Maintainer, OnGroup, OnProject, Owner, Seen, may, path_to_put,
};
use super::authenticate::{Caller, authenticate, reads};
use super::error::ApiError;
use crate::accounts::session::Session;
use crate::accounts::{User, UserError, Username, user};
use crate::context::Context;
use crate::state::State;

/// Something that a caller may or may not do.
pub trait Permission {
    fn check(caller: &Caller) -> Result<(), ApiError>;
}

/// Everybody who has logged in.
#[derive(Debug)]
pub struct AnyUser;

impl Permission for AnyUser {
    fn check(_: &Caller) -> Result<(), ApiError> {
        Ok(())
    }
}

/// Administrators.
#[derive(Debug)]
pub struct Administrator;

impl Permission for Administrator {
    fn check(caller: &Caller) -> Result<(), ApiError> {
        if caller.is_administrator() {
            Ok(())
        } else {
            Err(ApiError::denied("this takes an administrator"))
        }
    }
}

/// A caller that has logged in and may do `P`.
#[derive(Debug)]
pub struct Authorized<P> {
    pub caller: Caller,
    pub context: Context,
    permission: PhantomData<P>,
}

impl<P> Authorized<P> {
    /// The user that asks. An operator is none.
    pub fn user(&self) -> Result<&User, ApiError> {
        self.caller
            .user()
            .ok_or_else(|| ApiError::not_found("the operator is no user, and has nothing here"))
    }
}

impl<P: Permission + 'static> FromRequest for Authorized<P> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        authorized(request, async |_, caller, context| {
            P::check(&caller)?;
            Ok(Self {
                caller,
                context,
                permission: PhantomData,
            })
        })
    }
}

/// The user that the path names as `{username}`; the caller is that user or an administrator.
#[derive(Debug)]
pub struct OnUser {
    pub user: User,
    pub context: Context,
}

impl FromRequest for OnUser {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        authorized(request, async |request, caller, context| {
            let named = request.match_info().query("username");
            let unknown = || {
                let shown = registry_token::ShownText::new(named);
                ApiError::not_found(format!("there is no user `{shown}`"))
            };
            // A name that nobody can have is a name that nobody has.
            let username: Username = named.parse().map_err(|_| unknown())?;
            if let Some(user) = caller.user().filter(|user| user.username == username) {
                let user = user.clone();
                return Ok(Self { user, context });
            }
            if !caller.is_administrator() {
                return Err(unknown());
            }
            let user = user::find(&context.database, &username)
                .await?
                .ok_or(UserError::NotFound(username))?;
            Ok(Self { user, context })
        })
    }
}

/// The session of the browser that asks.
#[derive(Debug)]
pub struct InSession {
    pub session: Rc<Session>,
    pub context: Context,
}

impl FromRequest for InSession {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        authorized(request, async |_, caller, context| {
            let session = caller.session().cloned();
            let session = session.ok_or_else(|| {
                ApiError::not_found("this is a token; sessions are opened by browsers")
            })?;
            Ok(Self { session, context })
        })
    }
}

/// What all of the above begin with: the caller logs in, and is remembered with the request for
/// the audit of what fails.
fn authorized<T, F>(
    request: &HttpRequest,
    check: impl FnOnce(HttpRequest, Caller, Context) -> F + 'static,
) -> LocalBoxFuture<'static, Result<T, ApiError>>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let request = request.clone();
    Box::pin(async move {
        refuse_other_sites(&request)?;
        let state = request
            .app_data::<web::Data<State>>()
            .ok_or_else(ApiError::misconfigured)?;
        let caller = authenticate(&request, state)
            .await
            .map_err(ApiError::for_api)?;
        let context = caller.context(&request, state);
        request.extensions_mut().insert(context.clone());
        check(request, caller, context).await
    })
}

/// Refuses changes that a browser sends for a page of another site. Other clients send neither of
/// the headers. <https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header>
pub fn refuse_other_sites(request: &HttpRequest) -> Result<(), ApiError> {
    if reads(request) {
        return Ok(());
    }
    let site = request.headers().get("sec-fetch-site");
    let ours = match site.map(HeaderValue::as_bytes) {
        Some(site) => matches!(site, b"same-origin" | b"none"),
        // A browser that is too old to say so, or a site without TLS.
        None => is_ours(request),
    };
    if ours {
        Ok(())
    } else {
        Err(ApiError::denied(
            "a page of another site sent this request; changes are taken from this site alone",
        ))
    }
}

/// Whether `Origin`, if there is one, is where the request went.
fn is_ours(request: &HttpRequest) -> bool {
    let Some(origin) = request.headers().get(header::ORIGIN) else {
        return true;
    };
    let told = RequestContext::of(request).origin(request);
    let host = told.host.map(|host| host.to_string());
    let ours = host.map(|host| format!("{}://{host}", told.scheme.as_str()));
    ours.is_some_and(|ours| origin.as_bytes().eq_ignore_ascii_case(ours.as_bytes()))
}
