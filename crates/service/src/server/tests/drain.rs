//! The end of a server, with work in hand.

use super::*;

#[tokio::test]
async fn a_request_in_flight_is_answered_and_no_new_one_is_taken() {
    let metrics = crate::metrics::Metrics::new();
    let server = run_one(ServerOptions {
        metrics: Some(HttpMetrics::register(&metrics, "registry")),
        ..options()
    });
    let slow = tokio::spawn(reqwest::get(server.url("/slow")));
    until_counted(&metrics, &["registry_http_in_flight_requests 1"]).await;
    let address = server.address();
    server.shutdown.begin();
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(LAST_ACCEPTS / 2, refused)
        .await
        .expect("they are refused at once, not when the listener closes");
    let response = slow.await.unwrap().unwrap();
    assert_eq!(response.text().await.unwrap(), "done");
    assert!(server.ended().await < Duration::from_secs(5));
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_time_is_cut_off() {
    let metrics = crate::metrics::Metrics::new();
    let server = run_one(ServerOptions {
        drain_time: Duration::from_millis(200),
        metrics: Some(HttpMetrics::register(&metrics, "registry")),
        ..options()
    });
    let endless = tokio::spawn(reqwest::get(server.url("/endless")));
    until_counted(&metrics, &["registry_http_in_flight_requests 1"]).await;
    server.shutdown.begin();
    assert!(server.ended().await < Duration::from_secs(5));
    assert!(endless.await.unwrap().is_err());
    let cut_off = "registry_http_requests_total{handler=\"other\",method=\"get\",code=\"499\"} 1";
    until_counted(&metrics, &[cut_off, "registry_http_in_flight_requests 0"]).await;
}

#[tokio::test]
async fn a_second_request_to_stop_stops_at_once() {
    let server = run_one(options());
    let endless = tokio::spawn(reqwest::get(server.url("/endless")));
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.shutdown.begin();
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(!server.task.is_finished(), "one waits for the request");
    server.shutdown.force();
    assert!(server.ended().await < Duration::from_secs(5));
    assert!(endless.await.unwrap().is_err());
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let server = run_one(options());
    let client = reqwest::Client::new();
    let response = client.get(server.url("/who")).send().await.unwrap();
    response.bytes().await.unwrap();
    let silent = TcpStream::connect(server.address()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.begin();
    assert!(server.ended().await < Duration::from_secs(5));
    drop((client, silent));
}

async fn large() -> HttpResponse {
    let chunk = web::Bytes::from(vec![7_u8; 64 * 1024]);
    let chunks = std::iter::repeat_n(chunk, 512).map(Ok::<_, io::Error>);
    HttpResponse::Ok().streaming(futures_util::stream::iter(chunks))
}

#[tokio::test]
async fn a_download_in_flight_arrives_in_full() {
    let body = |config: &mut ServiceConfig| {
        config.route("/large", web::to(large));
    };
    let server = run(options(), vec![Listener::new("test", local(), body)]);
    let mut response = reqwest::get(server.url("/large")).await.unwrap();
    let first = response.chunk().await.unwrap().unwrap().len();
    server.shutdown.begin();
    // A slow reader: the answer outlives the beginning of the shutdown.
    tokio::time::sleep(Duration::from_millis(900)).await;
    let mut length = first;
    while let Some(chunk) = response.chunk().await.unwrap() {
        length += chunk.len();
    }
    assert_eq!(length, 512 * 64 * 1024);
    assert!(server.ended().await < Duration::from_secs(5));
}

/// A proxy that has a connection sends its request on it, and must not repeat it elsewhere.
#[tokio::test]
async fn who_has_come_in_and_not_spoken_yet_is_heard_and_told_not_to_come_again() {
    let server = run_one(options());
    let (mut fresh, mut known) = (connect(&server).await, connect(&server).await);
    let answer = ask(&mut known).await;
    assert!(!answer.contains("connection: close"), "{answer}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.begin();

    while !ask(&mut known).await.contains("connection: close") {}
    tokio::time::sleep(LAST_ACCEPTS + Duration::from_millis(500)).await;
    let answer = ask(&mut fresh).await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(server.ended().await < Duration::from_secs(5));
}

async fn connect(server: &Running) -> TcpStream {
    TcpStream::connect(server.address()).await.unwrap()
}

/// The head of the answer, in small letters.
async fn ask(stream: &mut TcpStream) -> String {
    let request = b"GET /who HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length.unwrap()]).to_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer:?}");
    answer
}

/// Whoever the kernel has let in is answered, also if the server has not accepted them yet. Without that,
/// a proxy in front has sent a request that it must not repeat.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_has_come_in_is_turned_away() {
    let mut answered = 0;
    for _ in 0..10 {
        let server = run_one(options());
        let address = server.address();
        let clients: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn(async move {
                    let mut answered = 0;
                    // The end is a connection that is refused.
                    while let Ok(mut stream) = TcpStream::connect(address).await {
                        let request = b"GET /who HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
                        stream.write_all(request).await.unwrap();
                        let mut answer = Vec::new();
                        stream.read_to_end(&mut answer).await.unwrap();
                        assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(30)).await;
        server.shutdown.begin();
        for client in clients {
            answered += client.await.unwrap();
        }
        server.ended().await;
    }
    assert!(answered > 100, "only {answered} came in at all");
}
