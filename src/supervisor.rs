//! Tells systemd that a server is ready, so that `systemctl start` returns when it is and what is ordered
//! after it starts then: `sd_notify(3)`, in a unit with `Type=notify`.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::failure::Failure;

/// The socket where somebody waits to hear it.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Connections are accepted from now on. Without anybody who waits for it this does nothing.
pub fn ready() -> Result<(), Failure> {
    let Some(socket) = std::env::var_os(SOCKET).filter(|socket| !socket.is_empty()) else {
        return Ok(());
    };
    // Whoever waits and hears nothing ends the server later, without a reason.
    tell(&socket, b"READY=1")
        .map_err(|error| Failure::failed(format!("{SOCKET} {}: {error}", socket.to_string_lossy())))
}

fn tell(socket: &OsStr, state: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        // A name that only the kernel knows, no file.
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state, &address)?;
    Ok(())
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
