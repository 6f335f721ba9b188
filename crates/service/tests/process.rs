//! A whole process: its log, its signals, its end.
//!
//! Log and signals belong to the process, so each test starts this very program again, as `child`,
//! and looks at it from outside.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy knows the helpers of an integration test for production code"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, http::StatusCode};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde_json::Value;
use service::request::HandlerName;
use service::server::{Address, Listener, Server, ServerOptions};
use service::shutdown::{Reload, Shutdown, listen_to_signals};
use service::telemetry::{self, Format, Level};

const PATIENCE: Duration = Duration::from_secs(20);

fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/token")
                .app_data(HandlerName("token"))
                .route(web::get().to(token)),
        )
        .route("/panic", web::to(panicking))
        .route("/slow", web::to(slow))
        .route("/endless", web::to(endless));
}

async fn token() -> HttpResponse {
    tracing::info!(user = "alice", "token issued");
    tracing::debug!("not at this level");
    HttpResponse::Ok().body("12345")
}

async fn panicking() -> HttpResponse {
    panic!("on purpose")
}

async fn slow() -> HttpResponse {
    tokio::time::sleep(Duration::from_millis(1500)).await;
    HttpResponse::build(StatusCode::OK).body("done")
}

async fn endless() -> HttpResponse {
    tokio::time::sleep(PATIENCE * 2).await;
    HttpResponse::Ok().finish()
}

/// What the tests below start.
#[test]
#[ignore = "started by the other tests, in a process of its own"]
fn child() {
    let format = match std::env::var("LOG_FORMAT").as_deref() {
        Ok("json") => Format::Json,
        _ => Format::Text,
    };
    let fields = [("site".to_owned(), "lab 1".to_owned())].into();
    let level = telemetry::init(Level::Info, format, fields).unwrap();
    assert!(telemetry::init(Level::Info, format, BTreeMap::new()).is_err());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (shutdown, reload) = (Shutdown::new(), Reload::new());
        listen_to_signals(&shutdown, &reload).unwrap();
        let mut reloads = reload.subscribe();
        tokio::spawn(async move {
            reloads.next().await;
            level.set(Level::Debug);
            tracing::debug!("reloaded");
        });
        let maximum = getrlimit(Resource::Nofile).maximum;
        let current = Some(256);
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
        let options = ServerOptions {
            workers: Some(1),
            ..ServerOptions::default()
        };
        let address = Address::Tcp("127.0.0.1:0".to_owned());
        let listener = Listener::new("main", address, routes);
        let server = Server::bind(options, vec![listener]).unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
        println!("address={}", server.bound()[0].address);
        server.run(&shutdown).await.unwrap();
    });
}

struct Process {
    child: Child,
    address: String,
    log: BufReader<ChildStderr>,
    /// Kept open: the test harness in the child writes there at its end.
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(format: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored", "--nocapture"])
            .env("LOG_FORMAT", format)
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = output
            .find_map(|line| Some(line.unwrap().split_once("address=")?.1.to_owned()))
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            address,
            log,
            output,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Reads the log up to a line that has this in it.
    fn log_until(&mut self, part: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let length = self.log.read_line(&mut line).unwrap();
            assert!(length > 0, "the log ended without {part:?}: {lines:#?}");
            let found = line.contains(part);
            lines.push(line.trim_end().to_owned());
            if found {
                return lines;
            }
        }
    }

    /// Waits for the end; says how long it took and what was logged until then.
    fn ended(mut self) -> (Duration, String) {
        let started = Instant::now();
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        self.output.by_ref().for_each(drop);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {log}");
        (started.elapsed(), log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn get(url: String) -> reqwest::Response {
    reqwest::Client::new()
        .get(url)
        .header("user-agent", "test \u{e9}\"agent")
        .header("authorization", "Bearer hunter2")
        .timeout(PATIENCE)
        .send()
        .await
        .unwrap()
}

fn object(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[tokio::test]
async fn json_lines_carry_request_ids_and_no_secrets() {
    let mut process = Process::start("json");
    let listening = process.log_until("listening");
    let listening = object(listening.last().unwrap());
    assert_eq!(listening["level"], "info");
    assert_eq!(listening["msg"], "listening");
    assert_eq!(listening["address"], process.address);
    assert!(listening["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(listening.get("request_id"), None);

    let answer = get(process.url("/token?password=hunter2&n=1")).await;
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    answer.bytes().await.unwrap();
    let lines = process.log_until("\"request\"");
    assert!(!lines.concat().contains("hunter2"), "{lines:#?}");
    let [issued, access] = lines.as_slice() else {
        panic!("two lines, not {lines:#?}");
    };
    let issued = object(issued);
    assert_eq!(issued["msg"], "token issued");
    assert_eq!(issued["user"], "alice");
    assert_eq!(issued["site"], "lab 1");
    assert_eq!(issued["request_id"], id);
    let access = object(access);
    assert_eq!(access["target"], "access");
    assert_eq!(access["method"], "GET");
    assert_eq!(access["path"], "/token");
    assert_eq!(access["status"], 200);
    assert_eq!(access["bytes"], 5);
    assert_eq!(access["client"], "127.0.0.1");
    assert_eq!(access["user_agent"], "test \u{e9}\"agent");
    assert_eq!(access["request_id"], id);
    assert!(access["duration_ms"].as_f64().unwrap() > 0.0);

    let answer = get(process.url("/panic")).await;
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(answer.status(), 500);
    let lines = process.log_until("defect");
    let [defect] = lines.as_slice() else {
        panic!("one line, not {lines:#?}");
    };
    let defect = object(defect);
    assert_eq!(defect["level"], "error");
    assert_eq!(defect["msg"], "defect: the program panicked");
    assert!(defect["location"].as_str().unwrap().contains("process.rs:"));
    assert_eq!(defect["panic"], "on purpose");
    assert_eq!(defect["request_id"], id);
}

#[tokio::test]
async fn text_lines_are_for_reading() {
    let mut process = Process::start("text");
    let lines = process.log_until("listening");
    let line = lines.last().unwrap();
    assert!(
        line.ends_with(&format!(
            "Z INFO  listening listener=\"main\" scheme=\"http\" address={} site=\"lab 1\"",
            process.address
        )),
        "{line}"
    );
    get(process.url("/readyz")).await;
    let answer = get(process.url("/token")).await;
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let lines = process.log_until("token issued");
    assert!(lines.iter().all(|line| !line.contains("readyz")), "a probe");
    let line = lines.last().unwrap();
    let end = format!("Z INFO  token issued user=\"alice\" site=\"lab 1\" request_id={id}");
    assert!(line.ends_with(&end), "{line}");
    assert!(!line.contains('\u{1b}'), "colours are for terminals");
}

#[tokio::test]
async fn hang_up_reloads_and_terminate_drains() {
    let mut process = Process::start("json");
    process.log_until("listening");
    process.signal(Signal::HUP);
    // Logged at a level that only the reload has switched on.
    process.log_until("reloaded");
    let slow = tokio::spawn(get(process.url("/slow")));
    tokio::time::sleep(Duration::from_millis(300)).await;
    process.signal(Signal::TERM);
    process.log_until("SIGTERM");
    assert_eq!(slow.await.unwrap().text().await.unwrap(), "done");
    let (elapsed, _) = process.ended();
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut process = Process::start("json");
    process.log_until("listening");
    let endless = tokio::spawn(reqwest::get(process.url("/endless")));
    tokio::time::sleep(Duration::from_millis(300)).await;
    process.signal(Signal::INT);
    process.log_until("SIGINT");
    process.signal(Signal::TERM);
    let (elapsed, log) = process.ended();
    assert!(log.contains("SIGTERM again: stopping at once"), "{log}");
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    assert!(endless.await.unwrap().is_err());
}
