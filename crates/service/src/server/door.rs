//! [`Door`]: a listener that closes and loses nobody who has come in.
//!
//! The kernel completes a client's connection before the server accepts it, and closing the listener
//! resets those that still wait. Their requests may be on the way already, and a proxy repeats none that
//! could have had an effect. So a door is shut in two steps: first nobody new gets in, and who is in is
//! accepted; then the listener closes.

use std::io;
use std::net::TcpListener;
use std::num::NonZeroU32;

use socket2::SockRef;

/// The listener's socket once more; it is open until both are closed.
#[derive(Debug)]
pub(super) struct Door(TcpListener);

impl Door {
    pub(super) fn of(listener: &TcpListener) -> io::Result<Self> {
        listener.try_clone().map(Self)
    }

    /// Has the kernel refuse connections that begin from now on, as if nobody listened: to a proxy, a
    /// reason to ask the next server, whatever the request.
    ///
    /// The listener goes on for a network interface that does not exist. Connections that have begun keep
    /// their own. A filter of packets would need a privilege (`CAP_NET_ADMIN`); this needs Linux 5.7.
    pub(super) fn shut(&self) -> io::Result<()> {
        SockRef::from(&self.0).bind_device_by_index_v4(NO_INTERFACE)
    }
}

/// Interfaces are counted from 1, and never come this far (the kernel takes no negative index).
const NO_INTERFACE: Option<NonZeroU32> = NonZeroU32::new(i32::MAX.unsigned_abs());
