//! [`OnGroup`] and [`OnProject`]: the group or project in the path, and a role there.

use std::fmt;
use std::marker::PhantomData;

use actix_web::{FromRequest, HttpRequest, dev};
use futures_util::future::LocalBoxFuture;
use percent_encoding::percent_decode_str;
use registry_token::{Actions, RepositoryName};
use uuid::Uuid;

use super::authorized;
use crate::accounts::group::{self, Group, GroupId};
use crate::accounts::place::{self, Standing};
use crate::accounts::project::{self, Project, ProjectId};
use crate::accounts::{Role, namespace};
use crate::context::Context;
use crate::http::authenticate::Caller;
use crate::http::error::ApiError;

/// What a caller has to be in a group or project.
pub trait AtLeast: fmt::Debug + 'static {
    /// `None`: it is enough to know of it.
    const ROLE: Option<Role>;
}

macro_rules! role {
    ($(#[doc = $doc:literal])* $name:ident, $role:expr) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub struct $name;

        impl AtLeast for $name {
            const ROLE: Option<Role> = $role;
        }
    };
}

role!(
    /// Who may know of it: members of any role, and for what is not private everybody.
    Seen,
    None
);
role!(Guest, Some(Role::Guest));
role!(Developer, Some(Role::Developer));
role!(Maintainer, Some(Role::Maintainer));
role!(Owner, Some(Role::Owner));

/// The group that the path names as `{group}`; the caller has at least the role `R` there.
#[derive(Debug)]
pub struct OnGroup<R> {
    pub group: Group,
    pub caller: Caller,
    pub context: Context,
    /// What the caller is.
    pub role: Option<Role>,
    at_least: PhantomData<R>,
}

/// The project that the path names as `{project}`; the caller has at least the role `R` there.
#[derive(Debug)]
pub struct OnProject<R> {
    pub project: Project,
    pub caller: Caller,
    pub context: Context,
    /// What the caller is.
    pub role: Option<Role>,
    at_least: PhantomData<R>,
}

impl<R: AtLeast> FromRequest for OnGroup<R> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        authorized(request, async |request, caller, context| {
            let found = match Named::of(&request, "group") {
                Some(Named::Id(id)) => group::find_by_id(&context.database, GroupId(id)).await?,
                Some(Named::Path(path)) => group::find_by_path(&context.database, &path).await?,
                None => None,
            };
            let unknown = || unknown(&request, "group");
            let group = found.ok_or_else(unknown)?;
            let standing = standing(&context, &caller, &group.path).await?;
            if !standing.is_seen {
                return Err(unknown());
            }
            let role = check::<R>("group", &group.path, &standing)?;
            Ok(Self {
                group,
                caller,
                context,
                role,
                at_least: PhantomData,
            })
        })
    }
}

impl<R: AtLeast> FromRequest for OnProject<R> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        authorized(request, async |request, caller, context| {
            let found = match Named::of(&request, "project") {
                Some(Named::Id(id)) => {
                    project::find_by_id(&context.database, ProjectId(id)).await?
                }
                Some(Named::Path(path)) => project::find_by_path(&context.database, &path).await?,
                None => None,
            };
            let unknown = || unknown(&request, "project");
            let project = found.ok_or_else(unknown)?;
            let standing = standing(&context, &caller, &project.path).await?;
            if !standing.is_seen {
                return Err(unknown());
            }
            let role = check::<R>("project", &project.path, &standing)?;
            Ok(Self {
                project,
                caller,
                context,
                role,
                at_least: PhantomData,
            })
        })
    }
}

/// Says the same whether there is none, or none that the caller may know of.
fn unknown(request: &HttpRequest, noun: &str) -> ApiError {
    let segment = percent_decode_str(request.match_info().query(noun)).decode_utf8_lossy();
    let shown = registry_token::ShownText::new(&segment);
    ApiError::not_found(format!("there is no {noun} `{shown}`"))
}

/// What a segment of an address names: an identifier, or a path with each `/` written `%2F`.
pub enum Named {
    Id(Uuid),
    Path(RepositoryName),
}

/// The path of what a PUT may create: ids are given by the server.
pub fn path_to_put(request: &HttpRequest, parameter: &str) -> Result<RepositoryName, ApiError> {
    let segment = request.match_info().query(parameter);
    if Uuid::try_parse(segment).is_ok() {
        return Err(ApiError::bad_request(
            "PUT takes a path, with each `/` written `%2F`: ids are given by the server",
        ));
    }
    let path = percent_decode_str(segment).decode_utf8_lossy();
    Ok(namespace::parse_path(&path)?)
}

impl Named {
    /// `None`: nothing can be called that.
    pub fn of(request: &HttpRequest, parameter: &str) -> Option<Self> {
        let segment = request.match_info().query(parameter);
        if let Ok(id) = Uuid::try_parse(segment) {
            return Some(Self::Id(id));
        }
        // The router decodes all but the slash.
        let path = percent_decode_str(segment).decode_utf8().ok()?;
        RepositoryName::parse(&path).ok().map(Self::Path)
    }
}

async fn standing(
    context: &Context,
    caller: &Caller,
    path: &RepositoryName,
) -> Result<Standing, ApiError> {
    let now = context.clock.now();
    Ok(place::standing(&context.database, now, caller.rights(), path).await?)
}

/// What the caller is, if that is enough.
fn check<R: AtLeast>(
    what: &str,
    path: &RepositoryName,
    standing: &Standing,
) -> Result<Option<Role>, ApiError> {
    match R::ROLE {
        Some(role) if standing.role < Some(role) => Err(ApiError::denied(format!(
            "this takes the role {role} in the {what} `{path}`"
        ))),
        None | Some(_) => Ok(standing.role),
    }
}

/// What a role allows to hand on, in a token for example.
pub fn may(role: Option<Role>) -> Actions {
    role.map_or(Actions::NONE, Role::actions)
}
