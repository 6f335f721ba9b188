//! Requests and answers over plain HTTP.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::metrics::Metrics;

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let server = run_one(options());
    let mut ids = std::collections::HashSet::new();
    for path in ["/who", "/who", "/nothing", "/panic", "/fails"] {
        let response = reqwest::get(server.url(path)).await.unwrap();
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(id.len(), 36, "{path}");
        assert!(ids.insert(id), "{path}");
    }
    server.end().await;
}

#[tokio::test]
async fn a_client_is_known_by_its_own_address_unless_a_trusted_proxy_says_otherwise() {
    let ask = async |server: &Running| {
        let request = reqwest::Client::new()
            .get(server.url("/who"))
            .header("x-forwarded-for", "203.0.113.9")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "hub.example")
            .header("x-request-id", "chosen");
        let response = request.send().await.unwrap();
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        (response.text().await.unwrap(), id)
    };
    let suspicious = run_one(options());
    let (seen, id) = ask(&suspicious).await;
    let port = suspicious.address().port();
    assert_eq!(seen, format!("127.0.0.1 http://localhost:{port}/here"));
    assert_ne!(id, "chosen");
    suspicious.end().await;

    let trusting = run_one(ServerOptions {
        trusted_proxies: TrustedProxies::parse(["127.0.0.1"]).unwrap(),
        ..options()
    });
    let (seen, id) = ask(&trusting).await;
    assert_eq!(seen, "203.0.113.9 https://hub.example/here");
    assert_eq!(id, "chosen");
    trusting.end().await;
}

#[tokio::test]
async fn an_unknown_path_is_a_json_error() {
    let server = run_one(options());
    let response = reqwest::get(server.url("/nothing")).await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(
        response.json::<serde_json::Value>().await.unwrap(),
        serde_json::json!({"errors": [{
            "code": "NOT_FOUND",
            "message": "there is nothing at this path",
            "detail": null,
        }]})
    );
    server.end().await;
}

#[tokio::test]
async fn a_panic_is_a_json_500_and_the_connection_lives_on() {
    let server = run_one(options());
    let client = reqwest::Client::new();
    for _ in 0..3 {
        let response = client.get(server.url("/panic")).send().await.unwrap();
        assert_eq!(response.status(), 500);
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["errors"][0]["code"], "UNKNOWN");
        let message = body["errors"][0]["message"].as_str().unwrap();
        assert!(
            message.ends_with(&format!("under request id {id}")),
            "{message}"
        );
        assert!(!message.contains("on purpose"), "internals stay inside");
    }
    // Two requests on one connection, the first of which panics.
    let answers = exchange(
        server.address(),
        "GET /panic HTTP/1.1\r\nhost: a\r\n\r\nGET /who HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(answers.starts_with("HTTP/1.1 500 "), "{answers}");
    assert!(answers.contains("HTTP/1.1 200 OK"), "{answers}");
    server.end().await;
}

#[tokio::test]
async fn a_panic_in_a_body_breaks_the_answer_off() {
    let server = run_one(options());
    let body = async {
        reqwest::get(server.url("/panic-in-body"))
            .await?
            .bytes()
            .await
    };
    assert!(body.await.is_err(), "must not look complete");
    let response = reqwest::get(server.url("/who")).await.unwrap();
    assert_eq!(response.status(), 200, "the worker lives on");
    server.end().await;
}

#[tokio::test]
async fn each_listener_has_routes_of_its_own() {
    let debug = |config: &mut ServiceConfig| {
        config.route("/debug", web::to(async || HttpResponse::Ok().body("debug")));
    };
    let server = run(
        options(),
        vec![
            Listener::new("main", local(), routes),
            Listener::new("debug", local(), debug).unobserved(),
        ],
    );
    let BoundAddress::Tcp(debug) = server.bound[1].address else {
        panic!("no port: {:?}", server.bound);
    };
    let status = async |address: SocketAddr, path: &str| {
        let url = format!("http://{address}{path}");
        reqwest::get(url).await.unwrap().status().as_u16()
    };
    assert_eq!(status(server.address(), "/who").await, 200);
    assert_eq!(status(server.address(), "/debug").await, 404);
    assert_eq!(status(debug, "/debug").await, 200);
    assert_eq!(status(debug, "/who").await, 404);
    server.end().await;
}

#[tokio::test]
async fn a_unix_socket_replaces_a_dead_one_and_goes_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.sock");
    // A killed server leaves its file behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let address = Address::Unix(path.clone());
    let server = run(
        options(),
        vec![Listener::new("test", address.clone(), routes)],
    );
    let error = Server::bind(options(), vec![Listener::new("test", address, routes)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on unix:{} (test): another process listens there already",
            path.display()
        )
    );
    let client = reqwest::Client::builder()
        .unix_socket(path.clone())
        .build()
        .unwrap();
    let response = client.get("http://hub.example/who").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), " http://hub.example/here");
    drop(client);
    server.end().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let listener = Listener::new("test", Address::Unix(path.clone()), routes);
    assert!(Server::bind(options(), vec![listener]).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_named() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for (address, message) in [
        (
            taken.as_str(),
            format!("cannot listen on {taken} (main): another process listens there already"),
        ),
        (
            "192.0.2.1:5000",
            "cannot listen on 192.0.2.1:5000 (main): Cannot assign requested address (os error 99) \
             (no interface of this machine has that address)"
                .to_owned(),
        ),
        (
            ":65536",
            "cannot listen on :65536 (main): the port is no number up to 65535".to_owned(),
        ),
        (
            "5000",
            "cannot listen on 5000 (main): invalid socket address".to_owned(),
        ),
    ] {
        let listener = Listener::new("main", Address::Tcp(address.to_owned()), routes);
        let error = Server::bind(options(), vec![listener]).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn a_port_alone_means_every_address_of_both_families() {
    let server = run(
        options(),
        vec![Listener::new("test", Address::Tcp(":0".to_owned()), routes)],
    );
    let port = server.address().port();
    for host in ["127.0.0.1", "[::1]"] {
        let body = reqwest::get(format!("http://{host}:{port}/who"))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let client = host.trim_matches(['[', ']']);
        assert_eq!(body, format!("{client} http://{host}:{port}/here"));
    }
    server.end().await;
}

#[tokio::test]
async fn http2_without_tls_for_those_who_know() {
    let version = async |h2c: bool| {
        let listener = Listener::new("test", local(), routes).h2c(h2c);
        let server = run(options(), vec![listener]);
        let client = reqwest::Client::builder().http2_prior_knowledge();
        let client = client.timeout(PATIENCE).build().unwrap();
        let response = client.get(server.url("/who")).send().await;
        server.end().await;
        response.map(|response| response.version()).ok()
    };
    assert_eq!(version(true).await, Some(reqwest::Version::HTTP_2));
    assert_eq!(version(false).await, None);
}

#[tokio::test]
async fn a_client_that_dribbles_its_head_is_cut_off() {
    let server = run_one(ServerOptions {
        head_timeout: Duration::from_millis(400),
        keep_alive: Duration::from_millis(400),
        ..options()
    });
    // From the first byte of the connection, and from the second request on it.
    let complete = "GET /who HTTP/1.1\r\nhost: a\r\n\r\n";
    for beginning in ["", complete] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        stream.write_all(b"GET /who HTTP/1.1\r\n").await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let dribble = tokio::spawn(async move {
            while writer.write_all(b"x-slow: 1\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let started = Instant::now();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, reader.read_to_end(&mut answer))
            .await
            .unwrap();
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "{:?}",
            started.elapsed()
        );
        dribble.abort();
    }
    server.end().await;
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let server = run_one(options());
    let answer = exchange(
        server.address(),
        &format!(
            "GET /who HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
            "y".repeat(300_000)
        ),
    )
    .await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
        "{}",
        &answer[..answer.len().min(200)]
    );
    let answer = exchange(
        server.address(),
        &format!(
            "GET /who HTTP/1.1\r\nhost: a\r\n{}\r\n",
            "x: y\r\n".repeat(500)
        ),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    server.end().await;
}

#[tokio::test]
async fn requests_are_counted_by_handler_method_and_code() {
    let metrics = Metrics::new();
    let http = HttpMetrics::register(&metrics, "registry");
    let server = run_one(ServerOptions {
        metrics: Some(http),
        ..options()
    });
    let client = reqwest::Client::new();
    for path in ["/who", "/who", "/nothing", "/panic", "/fails"] {
        let response = client.get(server.url(path)).send().await.unwrap();
        response.bytes().await.unwrap();
    }
    let echo = client.put(server.url("/echo")).body("x".repeat(2000));
    echo.send().await.unwrap().bytes().await.unwrap();
    // A client that does not wait for its answer.
    let impatient = client.get(server.url("/slow"));
    assert!(
        impatient
            .timeout(Duration::from_millis(100))
            .send()
            .await
            .is_err()
    );
    tokio::time::sleep(Duration::from_millis(200)).await;

    let who = "handler=\"who\",method=\"get\",code=\"200\"";
    let echo = "handler=\"other\",method=\"put\",code=\"200\"";
    let lines = [
        format!("registry_http_requests_total{{{who}}} 2"),
        format!("registry_http_request_duration_seconds_count{{{who}}} 2"),
        format!("registry_http_request_duration_seconds_bucket{{le=\"10.0\",{who}}} 2"),
        "registry_http_requests_total{handler=\"other\",method=\"get\",code=\"404\"} 1".to_owned(),
        "registry_http_requests_total{handler=\"other\",method=\"get\",code=\"500\"} 1".to_owned(),
        "registry_http_requests_total{handler=\"other\",method=\"get\",code=\"403\"} 1".to_owned(),
        format!("registry_http_request_size_bytes_sum{{{echo}}} 2000.0"),
        format!("registry_http_response_size_bytes_sum{{{echo}}} 2000.0"),
        format!("registry_http_response_size_bytes_bucket{{le=\"1024.0\",{echo}}} 0"),
        format!("registry_http_response_size_bytes_bucket{{le=\"4096.0\",{echo}}} 1"),
        format!("registry_http_response_size_bytes_bucket{{le=\"+Inf\",{echo}}} 1"),
        "registry_http_in_flight_requests 0".to_owned(),
    ];
    until_counted(&metrics, &lines.each_ref().map(String::as_str)).await;
    server.end().await;
}

/// The most that wait for a disk at once, while many are asked for.
async fn waiting_at_once(blocking_threads: Option<usize>) -> usize {
    let (waiting, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (Arc::clone(&waiting), Arc::clone(&most));
    let routes = move |config: &mut ServiceConfig| {
        let counted = counted.clone();
        let wait = move || {
            let (waiting, most) = counted.clone();
            let disk = move || {
                most.fetch_max(waiting.fetch_add(1, Relaxed) + 1, Relaxed);
                std::thread::sleep(Duration::from_millis(100));
                waiting.fetch_sub(1, Relaxed);
            };
            async {
                tokio::task::spawn_blocking(disk).await.unwrap();
                HttpResponse::Ok().finish()
            }
        };
        config.route("/wait", web::to(wait));
    };
    let options = ServerOptions {
        workers: Some(2),
        blocking_threads,
        ..options()
    };
    let server = run(options, vec![Listener::new("test", local(), routes)]);
    let ask = || async { reqwest::get(server.url("/wait")).await.unwrap().status() };
    let answers = futures_util::future::join_all((0..24).map(|_| ask())).await;
    assert!(answers.iter().all(|status| status.as_u16() == 200));
    server.end().await;
    most.load(Relaxed)
}

#[tokio::test]
async fn as_many_wait_for_disks_as_are_allowed() {
    let limited = waiting_at_once(Some(6)).await;
    assert!((1..=6).contains(&limited), "{limited}");
    assert!(waiting_at_once(None).await > 6);
}
