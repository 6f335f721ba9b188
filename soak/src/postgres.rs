//! The databases of a lap on `PostgreSQL`, behind a proxy that can refuse everybody.

use std::net::{IpAddr, SocketAddr};

use acceptance::{Finished, Invocation, fresh_postgres};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

#[derive(Debug)]
pub struct Postgres {
    /// Of the auth-server and of the registry, by the proxy.
    pub urls: [String; 2],
    direct: [Url; 2],
    open: watch::Sender<bool>,
    relay: JoinHandle<()>,
}

impl Postgres {
    /// Empty databases on the server of the test environment.
    pub async fn start(address: IpAddr) -> Self {
        let direct = [(); 2].map(|()| Url::parse(&fresh_postgres()).unwrap());
        let upstream = format!(
            "{}:{}",
            direct[0].host_str().unwrap(),
            direct[0].port().unwrap_or(5432)
        );
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let proxy = listener.local_addr().unwrap();
        let (open, watched) = watch::channel(true);
        Self {
            urls: [0, 1].map(|which| behind(&direct[which], proxy)),
            direct,
            open,
            relay: tokio::spawn(relay(listener, upstream, watched)),
        }
    }

    /// Ends all connections, and refuses new ones.
    pub fn refuse(&self) {
        self.open.send_replace(false);
    }

    pub fn accept(&self) {
        self.open.send_replace(true);
    }

    /// Has the server end what serves our connections; new ones are welcome.
    pub fn drop_connections(&self) {
        for database in &self.direct {
            let statement = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = '{}' AND pid <> pg_backend_pid()",
                database.path().trim_start_matches('/')
            );
            psql(database, &statement).expect_success();
        }
    }
}

fn psql(database: &Url, statement: &str) -> Finished {
    Invocation::new("psql")
        .args(["--no-psqlrc", "--quiet", "--command", statement])
        .arg(database.as_str())
        .run()
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.relay.abort();
        for database in &self.direct {
            let name = database.path().trim_start_matches('/').to_owned();
            let mut server = database.clone();
            server.set_path("postgres");
            let statement = format!("DROP DATABASE {name} WITH (FORCE)");
            let _ = psql(&server, &statement);
        }
    }
}

fn behind(database: &Url, proxy: SocketAddr) -> String {
    let mut url = database.clone();
    url.set_ip_host(proxy.ip()).unwrap();
    url.set_port(Some(proxy.port())).unwrap();
    url.into()
}

async fn relay(listener: TcpListener, upstream: String, open: watch::Receiver<bool>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut open = open.clone();
        if !*open.borrow_and_update() {
            continue;
        }
        let upstream = upstream.clone();
        tokio::spawn(async move {
            let Ok(mut server) = TcpStream::connect(upstream).await else {
                return;
            };
            let _ = client.set_nodelay(true);
            let _ = server.set_nodelay(true);
            // Whatever changes, these connections end.
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = open.changed() => {}
            }
        });
    }
}
