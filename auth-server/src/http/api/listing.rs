//! Lists: `?limit=50&after=NAME&sort=-created_at` and what a resource can be filtered by, with
//! `Link` to the next page and `X-Total-Count`.

use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use uuid::Uuid;

use crate::accounts::{Order, Page, PageRequest};
use crate::http::error::ApiError;
use crate::http::nearest;
use crate::http::parameters::Parameters;

const DEFAULT_LIMIT: u32 = 50;

/// The longest value of a filter, in bytes: no name is longer.
const MAX_FILTER_LENGTH: usize = 255;

const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// What may be asked of the list of a resource.
pub struct List {
    /// What a client calls an entry by, and sorts by unless it says otherwise. `None`: entries
    /// have nothing but an id, and come as they were made.
    pub name: Option<&'static str>,
    /// The parameters beside `limit`, `after` and `sort`.
    pub filters: &'static [&'static str],
}

/// What was asked of a list, understood.
#[derive(Debug)]
pub struct Wanted {
    pub page: PageRequest,
    parameters: Parameters,
}

impl List {
    /// Reads the query. A limit above the maximum is brought down to it; a parameter that the list
    /// does not know is refused, since it would be a filter that does not filter.
    pub fn wanted(&self, request: &HttpRequest) -> Result<Wanted, ApiError> {
        let parameters = Parameters::parse(request.query_string().as_bytes())?;
        let common: &[&str] = match self.name {
            Some(_) => &["limit", "after", "sort"],
            None => &["limit", "after"],
        };
        refuse_unknown(&parameters, &[common, self.filters].concat())?;
        let limit = match parameters.one("limit")? {
            None => DEFAULT_LIMIT,
            Some(text) => match text.parse() {
                Ok(limit) if limit > 0 => limit,
                _ => {
                    return Err(ApiError::bad_request(
                        "the parameter `limit` must be a number from 1",
                    ));
                }
            },
        };
        let order = self.order(parameters.one("sort")?)?;
        let after = parameters.one("after")?;
        let readable = after.is_none_or(|after| {
            // PostgreSQL's text cannot hold NUL, and no name does.
            !after.contains('\0') && (order.is_by_name() || Uuid::try_parse(after).is_ok())
        });
        if !readable {
            return Err(ApiError::bad_request(format!(
                "the parameter `after` must be the {} of an entry, as in the header `Link`",
                self.name.filter(|_| order.is_by_name()).unwrap_or("id")
            )));
        }
        Ok(Wanted {
            page: PageRequest::new(after.map(str::to_owned), limit).in_order(order),
            parameters,
        })
    }

    /// The values of `sort`.
    pub fn sorts(&self) -> Vec<String> {
        let by = |key: &str| [key.to_owned(), format!("-{key}")];
        self.name.map_or_else(Vec::new, |name| {
            [by(name), by("created_at")].into_iter().flatten().collect()
        })
    }

    fn order(&self, sort: Option<&str>) -> Result<Order, ApiError> {
        let Some(name) = self.name else {
            return Ok(Order::Created);
        };
        let Some(sort) = sort else {
            return Ok(Order::Name);
        };
        let (key, descending) = match sort.strip_prefix('-') {
            Some(key) => (key, true),
            None => (sort, false),
        };
        match (key, descending) {
            (key, false) if key == name => Ok(Order::Name),
            (key, true) if key == name => Ok(Order::NameDescending),
            ("created_at", false) => Ok(Order::Created),
            ("created_at", true) => Ok(Order::CreatedDescending),
            _ => Err(ApiError::bad_request(format!(
                "the parameter `sort` must be `{name}`, `-{name}`, `created_at` or `-created_at`"
            ))),
        }
    }
}

impl Wanted {
    /// A filter that is true or false.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, ApiError> {
        Ok(self.parameters.flag(name)?)
    }

    /// A filter that is a text.
    pub fn text(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        let text = self.parameters.one(name)?;
        if text.is_some_and(|text| text.len() > MAX_FILTER_LENGTH || text.contains('\0')) {
            return Err(ApiError::bad_request(format!(
                "the parameter `{name}` must be a text of at most {MAX_FILTER_LENGTH} bytes"
            )));
        }
        Ok(text.map(str::to_owned))
    }

    /// A filter that is one of a few words.
    pub fn word<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, ApiError>
    where
        T::Err: std::fmt::Display,
    {
        self.parameters
            .one(name)?
            .map(|text| {
                text.parse()
                    .map_err(|reason| ApiError::bad_request(format!("{name}: {reason}")))
            })
            .transpose()
    }

    /// A page as a JSON list. `name` and `id` are what the entry can be sorted by.
    pub fn answer<T: Serialize>(
        &self,
        request: &HttpRequest,
        page: &Page<T>,
        name: impl Fn(&T) -> String,
        id: impl Fn(&T) -> Uuid,
    ) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((TOTAL_COUNT, page.total));
        if page.more
            && let Some(last) = page.entries.last()
        {
            let after = if self.page.order().is_by_name() {
                name(last)
            } else {
                id(last).to_string()
            };
            let next = self.parameters.with("after", &after);
            let path = request.path();
            response.insert_header((header::LINK, format!("<{path}?{next}>; rel=\"next\"")));
        }
        response.json(&page.entries)
    }

    /// A page of entries that have nothing but an id.
    pub fn answer_by_id<T: Serialize>(
        &self,
        request: &HttpRequest,
        page: &Page<T>,
        id: impl Fn(&T) -> Uuid,
    ) -> HttpResponse {
        self.answer(request, page, |entry| id(entry).to_string(), &id)
    }
}

/// Refuses what an address does not know, with a guess at what was meant.
pub(super) fn refuse_unknown(parameters: &Parameters, known: &[&str]) -> Result<(), ApiError> {
    match parameters.unknown(known) {
        None => Ok(()),
        Some(unknown) => Err(ApiError::bad_request(nearest::unknown(
            "parameter",
            unknown,
            known.iter().copied(),
        ))),
    }
}

impl Parameters {
    /// The same query with one parameter set to another value.
    pub(super) fn with(&self, name: &str, value: &str) -> String {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        self.iter()
            .filter(|(other, _)| *other != name)
            .chain([(name, value)])
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect::<Vec<_>>()
            .join("&")
    }
}
