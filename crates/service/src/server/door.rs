//! [`Door`]: a listener that closes and loses nobody who has come in.
//!
//! The kernel completes a client's connection before the server accepts it, and closing the listener
//! resets those that still wait. Their requests may be on the way already, and a proxy repeats none that
//! could have had an effect. So a door is shut in two steps: first nobody new gets in, and who is in is
//! accepted; then the listener closes.

use std::io;
use std::net::TcpListener;

use socket2::{SockFilter, SockRef};

/// The listener's socket once more; it is open until both are closed.
#[derive(Debug)]
pub(super) struct Door(TcpListener);

impl Door {
    pub(super) fn of(listener: &TcpListener) -> io::Result<Self> {
        listener.try_clone().map(Self)
    }

    /// Has the kernel drop the packet that begins a connection. Its sender repeats it after a second
    /// and finds the port closed: to a proxy, a reason to ask the next server, whatever the request.
    pub(super) fn shut(&self) -> io::Result<()> {
        SockRef::from(&self.0).attach_filter(&BEGINNINGS_ARE_DROPPED)
    }
}

/// A classic BPF program, which sees a packet from its TCP header on (linux/filter.h).
const BEGINNINGS_ARE_DROPPED: [SockFilter; 5] = [
    // Load the byte with the flags (RFC 9293, 3.1), and of these SYN and ACK.
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x54, 0, 0, 0x12),
    // SYN alone: nothing of it is kept. Else all.
    SockFilter::new(0x15, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];
