//! The explorer of the admin API, in a real browser.

use acceptance::browser::Browser;
use acceptance::{ADMIN_PASSWORD, Portcullis};

/// Opens an operation, and has it tried as it stands.
async fn try_out(browser: &Browser, operation: &str) {
    let part = |part: &str| format!("#operations-{operation} {part}");
    browser.click(&part(".opblock-summary-control")).await;
    browser.click(&part(".try-out__btn")).await;
    browser.click(&part(".execute")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_logs_in_and_tries_what_there_is() {
    let portcullis = Portcullis::up().await;
    let browser = Browser::start().await;
    let port = portcullis.origin().port().unwrap();
    // Browsers keep the cookie of a name that is their own machine's, without TLS.
    browser
        .open(&format!("http://localhost:{port}/api/docs"))
        .await;
    browser.wait_for_text("#who", "Log in, or authorize").await;
    let answer = |operation: &str| format!("#operations-{operation} .live-responses-table");

    browser.fill("#username", "admin").await;
    browser.fill("#password", "not the password").await;
    browser.click("#submit").await;
    browser
        .wait_for_text("#who", "wrong username or password")
        .await;

    browser.fill("#password", ADMIN_PASSWORD).await;
    browser.click("#submit").await;
    browser.wait_for_text("#who", "Logged in as admin.").await;

    // By the cookie alone, also after the page was loaded anew.
    browser.reload().await;
    browser.wait_for_text("#who", "Logged in as admin.").await;
    try_out(&browser, "me-show_me").await;
    let me = browser
        .wait_for_text(&answer("me-show_me"), "\"username\"")
        .await;
    assert!(me.contains("\"admin\": true"), "{me}");

    // A change shows the session's token too, and so gets as far as the change itself.
    try_out(&browser, "groups-create_group").await;
    browser
        .wait_for_text(
            &answer("groups-create_group"),
            "there is no group `platform`",
        )
        .await;

    browser.click("#submit").await;
    browser.wait_for_text("#who", "Log in, or authorize").await;
    browser.reload().await;
    browser.wait_for_text("#who", "Log in, or authorize").await;
}
