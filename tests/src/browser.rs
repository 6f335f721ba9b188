//! A real browser: Chromium, driven by chromedriver over the `WebDriver` protocol.
//! <https://www.w3.org/TR/webdriver2/>

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::Invocation;

/// Longer than any healthy page takes, on a machine that runs other tests beside.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the protocol calls an element's name. Section 12.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A window of its own profile: nothing is remembered from other tests. Closed when dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    http: reqwest::Client,
    session: Url,
    /// Removed at the end.
    profile: TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Invocation::new("chromedriver")
            .arg("--port=0")
            .env("HOME", profile.path())
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run chromedriver: {error}"));
        let output = BufReader::new(driver.stdout.take().unwrap());
        let port: u16 = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver says on which port it is");
        let sessions = Url::parse(&format!("http://127.0.0.1:{port}/session")).unwrap();
        let mut browser = Self {
            driver,
            http: reqwest::Client::new(),
            session: sessions,
            profile,
        };
        let folder = browser.profile.path().join("chromium");
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {
            "binary": "/usr/bin/chromium",
            "args": [
                "--headless=new",
                // Tests run as root, and in containers with little shared memory.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                // Nobody is to be asked for updates.
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--disable-gpu",
                format!("--user-data-dir={}", folder.display()),
            ],
        }}}});
        let opened = browser.ask(Method::POST, "", wanted).await.unwrap();
        let id = opened["sessionId"].as_str().unwrap();
        browser.session = Url::parse(&format!("{}/{id}", browser.session)).unwrap();
        browser
    }

    pub async fn open(&self, url: &str) {
        let ask = self.ask(Method::POST, "/url", json!({"url": url}));
        ask.await.unwrap();
    }

    pub async fn reload(&self) {
        self.ask(Method::POST, "/refresh", json!({})).await.unwrap();
    }

    /// Types into a field, in the place of what is there.
    pub async fn fill(&self, selector: &str, text: &str) {
        self.on(selector, "clear", json!({})).await;
        self.on(selector, "value", json!({"text": text})).await;
    }

    /// Clicks once something is there, in sight, and not behind something else.
    pub async fn click(&self, selector: &str) {
        self.on(selector, "click", json!({})).await;
    }

    /// Waits until an element says this; what it says altogether.
    pub async fn wait_for_text(&self, selector: &str, expected: &str) -> String {
        let begun = Instant::now();
        loop {
            let text = self.text(selector).await;
            match text {
                Some(text) if text.contains(expected) => return text,
                text if begun.elapsed() > PATIENCE => {
                    panic!("{selector} should say {expected:?}, and says {text:?}")
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// What somebody sees of it. None: it is not there.
    async fn text(&self, selector: &str) -> Option<String> {
        let element = self.find(selector).await?;
        let path = format!("/element/{element}/text");
        let text = self.ask(Method::GET, &path, Value::Null).await;
        text.ok()?.as_str().map(str::to_owned)
    }

    async fn find(&self, selector: &str) -> Option<String> {
        let wanted = json!({"using": "css selector", "value": selector});
        let found = self.ask(Method::POST, "/element", wanted).await.ok()?;
        found[ELEMENT].as_str().map(str::to_owned)
    }

    /// Pages take their time, and move what is in them.
    async fn on(&self, selector: &str, command: &str, body: Value) {
        let begun = Instant::now();
        loop {
            let refusal = match self.find(selector).await {
                None => "it is not there".to_owned(),
                Some(element) => {
                    let path = format!("/element/{element}/{command}");
                    match self.ask(Method::POST, &path, body.clone()).await {
                        Ok(_) => return,
                        Err(refusal) => refusal,
                    }
                }
            };
            assert!(
                begun.elapsed() < PATIENCE,
                "{command} {selector}: {refusal}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The value of the answer, or what stands against it.
    async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let mut request = self.http.request(method, format!("{}{path}", self.session));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let is_success = answer.status().is_success();
        let mut said: Value = answer.json().await.unwrap();
        if is_success {
            Ok(said["value"].take())
        } else {
            Err(said["value"]["message"].to_string())
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser; killed before that, it would leave it behind.
        let close = || -> std::io::Result<()> {
            let (host, port) = (self.session.host_str(), self.session.port());
            let address = (host.unwrap_or_default(), port.unwrap_or_default());
            let mut connection = TcpStream::connect(address)?;
            connection.set_read_timeout(Some(PATIENCE))?;
            let path = self.session.path();
            write!(
                connection,
                "DELETE {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )?;
            connection.read_to_end(&mut Vec::new()).map(drop)
        };
        let _ = close();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
