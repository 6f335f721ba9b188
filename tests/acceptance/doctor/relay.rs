//! Between a proxy and a server: passes bytes on, until a layer is on its way. Then something happens.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use url::Url;

/// More than all requests that are no layer have together, and less than a layer.
const UNDER_WAY: usize = 4 * 1024 * 1024;

/// It has threads of its own, which end with the test: tests wait for the doctor without giving way.
pub struct Relay {
    origin: Url,
}

/// Where it goes, and what happens on the way.
struct Way {
    server: String,
    event: Box<dyn Fn() + Send + Sync>,
    happened: AtomicBool,
}

impl Relay {
    /// `event` happens once, as soon as somebody has sent the server a good part of a layer. Bytes
    /// wait for its end.
    pub fn before(server: &Url, event: impl Fn() + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let way = Arc::new(Way {
            server: acceptance::host(server),
            event: Box::new(event),
            happened: AtomicBool::new(false),
        });
        thread::spawn(move || {
            for client in listener.incoming() {
                // Who comes to a server that is gone finds nobody.
                if let Ok(server) = TcpStream::connect(&way.server) {
                    join(&client.unwrap(), &server, &way);
                }
            }
        });
        Self {
            origin: origin.parse().unwrap(),
        }
    }

    pub fn origin(&self) -> &Url {
        &self.origin
    }
}

/// Passes on what either says, until one of them ends.
fn join(client: &TcpStream, server: &TcpStream, way: &Arc<Way>) {
    let [ours, theirs] = [client, server].map(|one| one.try_clone().unwrap());
    let (way, mut sent) = (Arc::clone(way), 0);
    thread::spawn(move || {
        pass(&ours, &theirs, |bytes| {
            sent += bytes;
            if sent > UNDER_WAY && !way.happened.swap(true, Ordering::SeqCst) {
                (way.event)();
            }
        });
    });
    let [ours, theirs] = [client, server].map(|one| one.try_clone().unwrap());
    thread::spawn(move || pass(&theirs, &ours, |_| ()));
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, mut passed: impl FnMut(usize)) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(bytes @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..bytes]).is_err() {
            break;
        }
        passed(bytes);
    }
    for end in [from, to] {
        let _ = end.shutdown(Shutdown::Both);
    }
}
