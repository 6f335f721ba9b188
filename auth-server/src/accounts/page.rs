//! Lists by page: by key, so that the last page costs what the first does.

use uuid::Uuid;

/// In which order a list comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By name, or by path: whatever a client calls the entry by.
    #[default]
    Name,
    NameDescending,
    /// By the time of creation, which is the order of the identifiers.
    Created,
    CreatedDescending,
}

impl Order {
    #[must_use]
    pub fn is_by_name(self) -> bool {
        matches!(self, Self::Name | Self::NameDescending)
    }
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    after: Option<String>,
    limit: u32,
    order: Order,
}

impl PageRequest {
    /// The most entries that one page may have.
    pub const MAX_LIMIT: u32 = 200;

    /// The first `limit` entries, or those that sort after a name; `limit` is brought into
    /// `1..=MAX_LIMIT`.
    #[must_use]
    pub fn new(after: Option<String>, limit: u32) -> Self {
        Self {
            after,
            limit: limit.clamp(1, Self::MAX_LIMIT),
            order: Order::Name,
        }
    }

    /// The same part of the list in another order. Of one by creation, `after` is an identifier.
    #[must_use]
    pub fn in_order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Every name sorts after the empty one.
    pub(crate) fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    /// The name after which the page begins, in either direction.
    pub(crate) fn after_name(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// The identifier after which the page begins, of a list in the order of creation.
    pub(crate) fn after_id(&self) -> Option<Uuid> {
        self.after.as_deref().and_then(|after| after.parse().ok())
    }

    /// How many rows to fetch: one more than wanted tells whether there is a next page.
    pub(crate) fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub entries: Vec<T>,
    /// How many entries all pages have together.
    pub total: u64,
    /// Whether there is a next page, after the last entry of this one.
    pub more: bool,
}

impl<T> Page<T> {
    pub(crate) fn new(mut fetched: Vec<T>, total: i64, request: &PageRequest) -> Self {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = fetched.len() > limit;
        fetched.truncate(limit);
        Self {
            entries: fetched,
            total: u64::try_from(total).unwrap_or_default(),
            more,
        }
    }
}
