//! Which endpoint of the registry API a path means.
//!
//! Repository names contain slashes and may contain the words of the API (`a/manifests/b` is a
//! name), so a path is read from its end: the last segments decide, the rest is the name. One
//! pass over the path instead of one regular expression per endpoint; the order of endpoints
//! never matters.

use std::borrow::Cow;

use actix_web::http::Method;
use percent_encoding::percent_decode_str;

/// An endpoint of the registry API. The table of what the server answers:
/// [`methods`](Self::methods) and [`dispatch`](super::dispatch) follow it exhaustively, and a test
/// walks it to find a route that nobody authorizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Base,
    Catalog,
    Tags,
    Manifest,
    Blob,
    Uploads,
    Upload,
    Referrers,
}

impl Endpoint {
    #[cfg(test)]
    pub const ALL: [Self; 8] = [
        Self::Base,
        Self::Catalog,
        Self::Tags,
        Self::Manifest,
        Self::Blob,
        Self::Uploads,
        Self::Upload,
        Self::Referrers,
    ];

    /// What may be asked of it; anything else is answered 405.
    #[must_use]
    pub const fn methods(self) -> &'static [Method] {
        match self {
            Self::Base | Self::Catalog | Self::Tags | Self::Referrers => {
                &[Method::GET, Method::HEAD]
            }
            Self::Manifest => &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE],
            Self::Blob => &[Method::GET, Method::HEAD, Method::DELETE],
            Self::Uploads => &[Method::POST],
            Self::Upload => &[
                Method::GET,
                Method::HEAD,
                Method::PATCH,
                Method::PUT,
                Method::DELETE,
            ],
        }
    }

    /// The value of the `handler` label of the HTTP metrics: distribution's names, so that its
    /// dashboards work, and `referrers`, which it does not have.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog => "catalog",
            Self::Tags => "tags",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Uploads => "blob_upload",
            Self::Upload => "blob_upload_chunk",
            Self::Referrers => "referrers",
        }
    }
}

/// An endpoint and what the path says about it, as it was sent: nothing is validated yet but the
/// shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<'p> {
    pub endpoint: Endpoint,
    /// The repository's name; empty for [`Endpoint::Base`] and [`Endpoint::Catalog`].
    pub name: Cow<'p, str>,
    /// The reference, digest or session that is meant; empty where the endpoint has none.
    pub target: Cow<'p, str>,
}

impl<'p> Route<'p> {
    /// Reads what follows `/v2` in the path of a request, for example
    /// `/library/alpine/manifests/3`.
    ///
    /// Returns `None` for what is no endpoint. Clients may percent-encode what need not be
    /// (`sha256%3A…`); an encoded slash is no separator and so never fits.
    #[must_use]
    pub fn parse(path: &'p str) -> Option<Self> {
        let path = match path {
            "" | "/" => return Some(Self::bare(Endpoint::Base)),
            "/_catalog" => return Some(Self::bare(Endpoint::Catalog)),
            path => path.strip_prefix('/')?,
        };
        let (rest, last) = path.rsplit_once('/')?;
        // `<name>/blobs/uploads/` and, because clients forget it, without the last slash.
        let uploads = match (rest, last) {
            (rest, "") => rest.strip_suffix("/blobs/uploads"),
            (rest, "uploads") => rest.strip_suffix("/blobs"),
            _ => None,
        };
        if let Some(name) = uploads {
            return Self::of(Endpoint::Uploads, name, "");
        }
        let (name, kind) = rest.rsplit_once('/')?;
        match kind {
            "manifests" => Self::of(Endpoint::Manifest, name, last),
            "blobs" => Self::of(Endpoint::Blob, name, last),
            "referrers" => Self::of(Endpoint::Referrers, name, last),
            "tags" if last == "list" => Self::of(Endpoint::Tags, name, ""),
            "uploads" => Self::of(Endpoint::Upload, name.strip_suffix("/blobs")?, last),
            _ => None,
        }
    }

    fn bare(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            name: Cow::Borrowed(""),
            target: Cow::Borrowed(""),
        }
    }

    fn of(endpoint: Endpoint, name: &'p str, target: &'p str) -> Option<Self> {
        let needs_target = !matches!(endpoint, Endpoint::Tags | Endpoint::Uploads);
        if name.is_empty() || (needs_target && target.is_empty()) {
            return None;
        }
        Some(Self {
            endpoint,
            name: decoded(name)?,
            target: decoded(target)?,
        })
    }
}

/// `None` if it is not UTF-8, or hides a slash: `a%2Fb` must not become the name `a/b` here while
/// a proxy in front took it for something else.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let slashes = text.matches('/').count();
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (text.matches('/').count() == slashes).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Parsed = Option<(Endpoint, String, String)>;

    fn parsed(path: &str) -> Parsed {
        Route::parse(path).map(|route| {
            (
                route.endpoint,
                route.name.into_owned(),
                route.target.into_owned(),
            )
        })
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it is compared with what `parsed` returns"
    )]
    fn is(endpoint: Endpoint, name: &str, target: &str) -> Parsed {
        Some((endpoint, name.to_owned(), target.to_owned()))
    }

    #[test]
    fn every_endpoint_is_found() {
        assert_eq!(parsed(""), is(Endpoint::Base, "", ""));
        assert_eq!(parsed("/"), is(Endpoint::Base, "", ""));
        assert_eq!(parsed("/_catalog"), is(Endpoint::Catalog, "", ""));
        assert_eq!(parsed("/a/b/tags/list"), is(Endpoint::Tags, "a/b", ""));
        assert_eq!(parsed("/a/manifests/v1"), is(Endpoint::Manifest, "a", "v1"));
        assert_eq!(
            parsed("/a/b/c/blobs/sha256:00"),
            is(Endpoint::Blob, "a/b/c", "sha256:00")
        );
        assert_eq!(parsed("/a/blobs/uploads/"), is(Endpoint::Uploads, "a", ""));
        assert_eq!(parsed("/a/blobs/uploads"), is(Endpoint::Uploads, "a", ""));
        assert_eq!(
            parsed("/a/blobs/uploads/0-1"),
            is(Endpoint::Upload, "a", "0-1")
        );
        assert_eq!(
            parsed("/a/referrers/sha256:00"),
            is(Endpoint::Referrers, "a", "sha256:00")
        );
    }

    #[test]
    fn names_may_contain_the_words_of_the_api() {
        assert_eq!(
            parsed("/manifests/manifests/manifests"),
            is(Endpoint::Manifest, "manifests", "manifests")
        );
        assert_eq!(
            parsed("/a/blobs/uploads/manifests/v1"),
            is(Endpoint::Manifest, "a/blobs/uploads", "v1")
        );
        assert_eq!(
            parsed("/a/manifests/tags/list"),
            is(Endpoint::Tags, "a/manifests", "")
        );
        assert_eq!(
            parsed("/a/tags/list/blobs/uploads/"),
            is(Endpoint::Uploads, "a/tags/list", "")
        );
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for path in [
            "x",
            "/a",
            "/a/b",
            "/_catalog/",
            "/tags/list",
            "/a/tags/other",
            "/a/manifests/",
            "/manifests/v1",
            "/a/blobs/",
            "/blobs/uploads/",
            "/blobs/uploads/1",
            "/uploads/1",
            "/a/uploads/1",
        ] {
            assert_eq!(parsed(path), None, "{path}");
        }
    }

    #[test]
    fn percent_encoding_is_undone_but_makes_no_separator() {
        assert_eq!(
            parsed("/a/blobs/sha256%3A00"),
            is(Endpoint::Blob, "a", "sha256:00")
        );
        assert_eq!(parsed("/a%2Fb/manifests/v1"), None);
        assert_eq!(parsed("/a/manifests/v1%2F2"), None);
        assert_eq!(parsed("/a/manifests/%FF"), None);
    }

    proptest! {
        #[test]
        fn any_path_is_read_or_refused(path in "\\PC{0,200}") {
            let _ = Route::parse(&path);
        }

        #[test]
        fn what_was_put_in_comes_out(
            name in "[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,4}",
            target in "[A-Za-z0-9_.:-]{1,80}",
        ) {
            for (kind, endpoint) in [
                ("manifests", Endpoint::Manifest),
                ("referrers", Endpoint::Referrers),
                ("blobs/uploads", Endpoint::Upload),
            ] {
                prop_assert_eq!(
                    parsed(&format!("/{name}/{kind}/{target}")),
                    is(endpoint, &name, &target)
                );
            }
        }
    }
}
