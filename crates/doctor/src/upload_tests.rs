use super::*;
use crate::report::Status;
use crate::testing::answer;

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn error(status: u16, code: &str) -> Answer {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"because"}}]}}"#);
    answer(status, &JSON, &body)
}

fn sent(answer: Result<Answer, Trouble>) -> Sent {
    Sent {
        answer,
        bytes: 5 * MIB,
        took: Duration::from_secs(1),
    }
}

#[test]
fn who_refuses_an_upload_is_named() {
    let verdict = |answer| opened(&Ok(answer), "a/b");
    assert_eq!(verdict(answer(202, &[], "")).status, Status::Ok);
    for (answer, words) in [
        (error(401, "UNAUTHORIZED"), "--repository"),
        (error(403, "DENIED"), "--repository"),
        (answer(403, &[], "<html>"), "in the proxy"),
        (error(405, "UNSUPPORTED"), "readonly"),
        (answer(405, &[], "<html>"), "in the proxy"),
        (error(503, "UNAVAILABLE"), "writable"),
        (error(500, "UNKNOWN"), "writable"),
        (error(404, "NAME_UNKNOWN"), "log"),
    ] {
        let verdict = verdict(answer);
        assert!(verdict.is_failure());
        assert!(verdict.fix.clone().unwrap().contains(words), "{verdict:?}");
    }
    let mut stripped = error(401, "UNAUTHORIZED");
    let challenge = r#"Bearer realm="https://a.test",service="r""#;
    stripped
        .headers
        .insert("www-authenticate", challenge.parse().unwrap());
    assert!(verdict(stripped).message.contains("not for POST"));
    assert!(opened(&Err(Trouble::TimedOut), "a/b").is_failure());
}

#[test]
fn limits_of_proxies_are_recognized() {
    assert_eq!(
        size(&sent(Ok(answer(202, &[], "")))).message,
        "32 MiB got through, 5 MiB a second"
    );
    let page = [("content-type", "text/html")];
    let nginx = answer(413, &page, "<center>nginx/1.22</center>");
    let apache = answer(413, &page, "Apache/2.4 Server");
    for (answer, words) in [
        (nginx, "nginx refuses bodies of 32 MiB (413)"),
        (apache, "Apache refuses bodies of 32 MiB (413)"),
        (answer(413, &[], ""), "something between refuses"),
        (answer(411, &[], ""), "not known in advance"),
        (answer(408, &[], ""), "waiting for the rest"),
        (answer(504, &[], ""), "waiting for the registry"),
        (answer(502, &[], ""), "lost the registry"),
        (error(507, "UNAVAILABLE"), "could not store a layer (507)"),
        (error(405, "UNSUPPORTED"), "could not store a layer (405)"),
        (answer(405, &[], "<html>"), "answered 405"),
        (error(401, "UNAUTHORIZED"), "answered 401"),
    ] {
        let verdict = size(&sent(Ok(answer)));
        assert!(
            verdict.is_failure() && verdict.message.contains(words),
            "{verdict:?}"
        );
    }
    let cut = size(&sent(Err(Trouble::Failed("connection reset".to_owned()))));
    assert!(
        cut.message.contains("after about 5 MiB: connection reset"),
        "{cut:?}"
    );
    assert!(cut.fix.unwrap().contains("client_max_body_size"));
    assert!(
        size(&sent(Err(Trouble::TimedOut)))
            .message
            .contains("in time")
    );
}

#[test]
fn an_upload_must_say_how_far_it_is() {
    let at = |range: &str| progress(&Ok(answer(204, &[("range", range)], "")));
    assert_eq!(at("0-67108863").status, Status::Ok);
    assert_eq!(at("bytes=0-67108863").status, Status::Ok);
    assert!(at("0-99").message.contains("has 100"));
    assert!(
        progress(&Ok(answer(204, &[], "")))
            .message
            .contains("no `Range`")
    );
    let lost = progress(&Ok(error(404, "BLOB_UPLOAD_UNKNOWN")));
    assert!(lost.fix.unwrap().contains("replicas"));
    assert!(progress(&Err(Trouble::TimedOut)).is_failure());

    assert_eq!(resumed(&Ok(answer(202, &[], ""))).status, Status::Ok);
    assert!(
        resumed(&Ok(error(416, "X")))
            .fix
            .unwrap()
            .contains("Content-Range")
    );
    assert!(resumed(&Err(Trouble::TimedOut)).is_failure());
}

#[test]
fn bytes_that_arrive_are_told_from_bytes_that_are_held_back() {
    let status = |status, range: &str| has_arrived(&Ok(answer(status, &[("range", range)], "")));
    assert!(status(204, "0-1048575"));
    assert!(!status(204, "0-0"));
    assert!(!has_arrived(&Ok(answer(204, &[], ""))));
    assert!(status(409, ""), "ours is busy with it");
    assert!(status(416, ""), "distribution stumbles over it");
    assert!(!status(502, ""));
    assert!(!has_arrived(&Err(Trouble::TimedOut)));

    let second = Duration::from_secs(1);
    assert_eq!(streaming(&Streaming::Arrived(second)).status, Status::Ok);
    let held = streaming(&Streaming::HeldBack(second));
    assert_eq!(held.status, Status::Warning);
    assert!(held.fix.unwrap().contains("proxy_request_buffering off"));
    let early = |answer| {
        streaming(&Streaming::AnsweredEarly {
            answer,
            after: second,
        })
    };
    assert_eq!(early(Ok(413)).status, Status::Skipped);
    assert_eq!(early(Err(Trouble::TimedOut)).status, Status::Skipped);
    for (answer, words) in [
        (Ok(408), "after it began (408)"),
        (Err(Trouble::Failed("reset".to_owned())), "(reset)"),
    ] {
        let ended = early(answer);
        assert!(
            ended.is_failure() && ended.message.contains(words),
            "{ended:?}"
        );
        assert!(ended.fix.unwrap().contains("client_body_timeout"));
    }
}

#[test]
fn what_is_left_is_said() {
    let gone = Ok(error(404, "BLOB_UPLOAD_UNKNOWN"));
    let done = Ok(answer(204, &[], ""));
    let refused = Ok(error(405, "UNSUPPORTED"));
    assert_eq!(cancelled(&done, &gone).status, Status::Ok);
    // By a digest that it has not.
    assert_eq!(cancelled(&refused, &gone).status, Status::Ok);
    let left = cancelled(&refused, &done);
    assert_eq!(left.status, Status::Warning);
    assert!(left.fix.unwrap().contains("uploadpurging"));
    assert_eq!(
        cancelled(&Err(Trouble::TimedOut), &done).status,
        Status::Warning
    );
}
