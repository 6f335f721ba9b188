//! Lists by page: by key, so that the last page costs what the first does.

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    after: Option<String>,
    limit: u32,
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
        }
    }

    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Every name sorts after the empty one.
    pub(crate) fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
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
