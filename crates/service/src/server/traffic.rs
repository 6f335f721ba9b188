//! [`Traffic`]: what is under way on the listeners of a process, and how it comes to an end.

use std::any::Any;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use actix_web::dev::{Extensions, ServiceRequest};

/// How often an ending server looks whether anything is left.
const POLL: Duration = Duration::from_millis(50);

/// Shared by all listeners and workers.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// From the head of a request to the end of its answer.
    requests: AtomicUsize,
    /// Connections that have not asked for anything yet.
    newcomers: AtomicUsize,
    ending: AtomicBool,
}

impl Traffic {
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// From now on clients are told not to come again on their connection.
    pub(super) fn end(&self) {
        self.ending.store(true, Relaxed);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    pub(super) fn request_begins(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn request_ends(&self) {
        self.requests.fetch_sub(1, Relaxed);
    }

    /// Returns when everybody who has come in has asked for something, or has gone.
    pub(super) async fn no_newcomers(&self) {
        while self.newcomers.load(Relaxed) > 0 {
            tokio::time::sleep(POLL).await;
        }
    }

    /// Returns when there has been no request for so long.
    pub(super) async fn idle_for(&self, time: Duration) {
        let mut idle_since = None;
        loop {
            if self.requests() == 0 {
                let since = idle_since.get_or_insert_with(tokio::time::Instant::now);
                if since.elapsed() >= time {
                    return;
                }
            } else {
                idle_since = None;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// For [`actix_web::HttpServer::on_connect`].
    pub(super) fn welcome(self: Arc<Self>) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync {
        move |_stream, connection| {
            self.newcomers.fetch_add(1, Relaxed);
            connection.insert(Newcomer {
                traffic: Arc::clone(&self),
                is_new: Cell::new(true),
            });
        }
    }

    /// The connection of this request is new no more.
    pub(super) fn has_asked(request: &ServiceRequest) {
        if let Some(newcomer) = request.conn_data::<Newcomer>() {
            newcomer.is_known();
        }
    }
}

/// A connection's part in [`Traffic::newcomers`].
struct Newcomer {
    traffic: Arc<Traffic>,
    is_new: Cell<bool>,
}

impl Newcomer {
    fn is_known(&self) {
        if self.is_new.replace(false) {
            self.traffic.newcomers.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.is_known();
    }
}
