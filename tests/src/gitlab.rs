//! GitLab's side of a pairing: a realm that issues tokens as GitLab does, with a key of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use url::Url;

use crate::tokens::{ForeignIssuer, claims};

/// Who may log in there.
pub const USER: &str = "root";
pub const PASSWORD: &str = "glpat-0123456789";

/// `https://git.example.com/jwt/auth`, on this machine. Serves until the test ends.
#[derive(Debug)]
pub struct GitLab {
    pub issuer: Arc<ForeignIssuer>,
    address: String,
}

impl GitLab {
    /// Tokens of this issuer, for this service; `root` may do everything, nobody else anything.
    ///
    /// On a thread of its own: tests wait for clients without leaving the processor to others.
    pub fn start(name: &'static str, service: &'static str) -> Self {
        let issuer = Arc::new(ForeignIssuer::new());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let signs = Arc::clone(&issuer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &signs, name, service);
            }
        });
        Self { issuer, address }
    }

    pub fn realm(&self) -> String {
        format!("http://{}/jwt/auth", self.address)
    }
}

fn answer(
    mut stream: TcpStream,
    issuer: &ForeignIssuer,
    name: &str,
    service: &str,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut authorization = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            authorization = Some(value.to_owned());
        }
    }
    let right = format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"))
    );
    let (status, body) = if !first.starts_with("GET ") {
        ("404 Not Found", json!({}))
    } else if authorization.as_ref() == Some(&right) {
        let claims = claims(name, service, &access(&first));
        ("200 OK", json!({"token": issuer.gitlab_token(&claims)}))
    } else {
        (
            "401 Unauthorized",
            json!({"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}),
        )
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What is asked for is granted, in the claims' form.
fn access(request_line: &str) -> Value {
    let target = request_line.split(' ').nth(1).unwrap_or("/");
    let url = Url::parse("http://gitlab.example.com")
        .unwrap()
        .join(target)
        .unwrap();
    let scopes = url.query_pairs().filter(|(name, _)| name == "scope");
    let entries = scopes.flat_map(|(_, value)| {
        let value = value.into_owned();
        let entries: Vec<Value> = value.split(' ').filter_map(entry).collect();
        entries
    });
    Value::Array(entries.collect())
}

fn entry(scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let actions: Vec<&str> = actions.split(',').collect();
    Some(json!({"type": kind, "name": name, "actions": actions}))
}
