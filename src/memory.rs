//! The process's memory: who hands it out, and when it goes back to the system.

use std::hint::black_box;
use std::time::Duration;

/// Servers allocate small and often, on many threads; this is faster at it than the system's, and
/// gives memory back sooner.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Longer than the second for which mimalloc keeps what was freed.
const INTERVAL: Duration = Duration::from_secs(5);

/// More than mimalloc takes from memory that it has at hand.
const LARGE: usize = 2 << 20;

/// Gives freed memory back while the server rests. Does not end.
///
/// mimalloc looks for what to give back when somebody else wants or frees a large piece. Without
/// that, the 19 MiB of one argon2 hash stay until the next login: half of an idle server.
pub async fn give_back() {
    loop {
        tokio::time::sleep(INTERVAL).await;
        // Never touched, so that it is no memory but a number.
        drop(black_box(Vec::<u8>::with_capacity(LARGE)));
    }
}
