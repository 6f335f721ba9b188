//! What the section `health` asks to be watched: files, and other servers.
//! <https://distribution.github.io/distribution/about/configuration/#health>

use std::time::Duration;

use service::health::Check;

use crate::config::{FileCheck, HealthSettings, HttpCheck, TcpCheck};

/// The checks; while one of them fails, the registry is out of service.
pub fn configured(health: &HealthSettings) -> Vec<Check> {
    let files = health.files.iter().map(file);
    let http = health.http.iter().map(http);
    let tcp = health.tcp.iter().map(tcp);
    let all = files.chain(http).chain(tcp);
    all.map(Check::stops_service).collect()
}

/// Fails while the file exists: an operator makes it to take the registry out of service.
fn file(check: &FileCheck) -> Check {
    let path = check.path.clone();
    Check::new(&path.display().to_string(), move || {
        let path = path.clone();
        async move {
            match tokio::fs::try_exists(&path).await {
                Ok(true) => Err("the file exists".to_owned()),
                Ok(false) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        }
    })
    .interval(check.interval)
}

fn http(check: &HttpCheck) -> Check {
    let wanted = check.clone();
    let mut shown = check.url.clone();
    // Fails for URLs that cannot have credentials, which is just as well.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    Check::new(shown.as_str(), move || head(wanted.clone()))
        .interval(check.interval)
        .timeout(check.timeout + MARGIN)
        .threshold(check.threshold)
}

/// So that what took too long says so in its own words.
const MARGIN: Duration = Duration::from_millis(500);

async fn head(check: HttpCheck) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .timeout(check.timeout)
        .build()
        .map_err(|error| error.to_string())?;
    let mut request = client.head(check.url);
    for (name, value) in &check.headers {
        request = request.header(name.as_str(), value.as_bytes());
    }
    // Without the URL, which may hold a password.
    let answer = request.send().await.map_err(|error| {
        let error = error.without_url();
        if error.is_timeout() {
            format!("no answer within {:?}", check.timeout)
        } else {
            chain(&error)
        }
    })?;
    if answer.status().as_u16() == check.status.as_u16() {
        Ok(())
    } else {
        Err(format!(
            "answered {}, not {}",
            answer.status(),
            check.status
        ))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn tcp(check: &TcpCheck) -> Check {
    let address = check.address.clone();
    Check::new(&check.address, move || {
        let address = address.clone();
        async move { tokio::net::TcpStream::connect(address).await.map(drop) }
    })
    .interval(check.interval)
    .timeout(check.timeout)
    .threshold(check.threshold)
}
