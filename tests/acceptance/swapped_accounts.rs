//! A server that is started with other accounts than those that its keys belong to.

use acceptance::{ADMIN_PASSWORD, Invocation, Portcullis};

#[tokio::test]
async fn the_keys_of_other_accounts_are_refused_until_they_are_adopted() {
    let mut portcullis = Portcullis::up().await;
    portcullis.new_user("alice");
    let data = portcullis.folder();
    let bundle = || std::fs::read_to_string(data.join("keys/bundle.pem")).unwrap();
    let before = bundle();
    portcullis.stop().await;

    // A restore that has forgotten the accounts.
    let (accounts, aside) = (data.join("auth.sqlite"), data.join("aside.sqlite"));
    std::fs::rename(&accounts, &aside).unwrap();
    let command = |arguments: &[&str]| {
        Invocation::portcullis()
            .args(arguments)
            .arg("--data-dir")
            .arg(&data)
            .env("AUTH_ADMIN_PASSWORD", ADMIN_PASSWORD)
    };
    for refused in [
        command(&["up", "--listen", "127.0.0.1:0"]),
        command(&["auth", "user", "list"]),
    ] {
        refused.run().expect_failure().expect_says([
            "belong to other accounts",
            "auth.sqlite",
            "portcullis auth key adopt",
        ]);
    }
    assert_eq!(bundle(), before);

    // They come back, and nothing has happened.
    let made_by_mistake = data.join("mistake.sqlite");
    std::fs::rename(&accounts, &made_by_mistake).unwrap();
    std::fs::rename(&aside, &accounts).unwrap();
    portcullis.start_again().await;
    portcullis.admin().token(&[]).await;
    command(&["auth", "user", "list"])
        .run()
        .expect_success()
        .expect_says(["alice"]);
    portcullis.stop().await;

    // They are lost for good.
    std::fs::rename(&made_by_mistake, &accounts).unwrap();
    command(&["auth", "key", "adopt"])
        .run()
        .expect_success()
        .expect_says(["belong to these accounts now"]);
    portcullis.start_again().await;
    assert_eq!(bundle(), before, "the same key signs");
    portcullis.admin().token(&[]).await;
}
