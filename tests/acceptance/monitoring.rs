//! What `deploy/monitoring` and `deploy/systemd` give to operators fits the program.

use std::collections::BTreeSet;

use acceptance::peers::free_address;
use acceptance::{Client, Databases, Image, Invocation, Setup};
use serde_json::Value;

use crate::documents::{document, project};

/// The series of both servers, by name, after they have had something to do.
async fn series() -> BTreeSet<String> {
    let (auth, registry) = (free_address(), free_address());
    let portcullis = Setup::apart(Databases::Sqlite)
        .env("REGISTRY_HTTP_DEBUG_ADDR", &registry)
        .env("REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED", "true")
        .auth_env("AUTH_HTTP_DEBUG_ADDR", &auth)
        .auth_env("AUTH_HTTP_DEBUG_PROMETHEUS_ENABLED", "true")
        .start()
        .await;
    let repository = portcullis.admin().repository("admin/app");
    let image = Image::random();
    repository.push(&image, "v1").await;
    repository.expect_image(&image, "v1").await;
    let mut series = BTreeSet::new();
    for address in [auth, registry] {
        let client = Client::new(&format!("http://{address}/").parse().unwrap());
        let answer = client.get("/metrics").send().await.expect(200);
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let names = text.lines().filter(|line| !line.starts_with('#'));
        let names = names.filter_map(|line| line.split(['{', ' ']).next());
        series.extend(names.map(str::to_owned));
    }
    series
}

/// Names of series in an expression: words that are none of the language, and no labels.
fn named(expression: &str) -> BTreeSet<String> {
    let prefixes = ["auth_", "health_", "process_", "registry_"];
    expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}

/// Every `expr` of the dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "expr" => found.push(text.clone()),
                    value => expressions(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn dashboard_and_alerts_name_metrics_that_exist() {
    let series = series().await;
    let dashboard: Value =
        serde_json::from_str(&document("deploy/monitoring/grafana-dashboard.json")).unwrap();
    let mut asked = Vec::new();
    expressions(&dashboard, &mut asked);
    assert!(asked.len() > 15, "{asked:?}");
    let alerts = document("deploy/monitoring/alerts.yml");
    let rules = alerts.split("- alert: ").skip(1);
    asked.extend(rules.map(|rule| {
        let (_, expression) = rule.split_once("expr:").unwrap();
        let end = expression.find("labels:").unwrap();
        expression[..end].to_owned()
    }));
    for expression in asked {
        let names = named(&expression);
        assert!(
            !names.is_empty() || expression.contains("up{"),
            "{expression}"
        );
        for name in names {
            assert!(
                series.contains(&name),
                "no {name} for {expression} in\n{series:#?}"
            );
        }
    }
}

/// The names that dashboards for distribution expect.
#[tokio::test]
async fn distributions_metrics_are_there() {
    let series = series().await;
    for name in [
        "registry_http_in_flight_requests",
        "registry_http_requests_total",
        "registry_http_request_duration_seconds_bucket",
        "registry_http_request_size_bytes_sum",
        "registry_http_response_size_bytes_count",
        "registry_storage_action_seconds_bucket",
        "registry_storage_cache_requests_total",
        "registry_storage_cache_hits_total",
        "registry_storage_cache_errors_total",
    ] {
        assert!(series.contains(name), "no {name} in\n{series:#?}");
    }
}

#[test]
fn prometheus_takes_the_rules() {
    let folder = project().join("deploy/monitoring");
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
    ] {
        Invocation::new("promtool")
            .args(arguments)
            .current_dir(&folder)
            .run()
            .expect_success();
    }
}

/// What may be full at any hour, and serves pulls, wakes nobody.
#[test]
fn a_degraded_server_is_a_warning_and_a_failing_one_is_critical() {
    let folder = tempfile::tempdir().unwrap();
    let tests = r#"
rule_files: [alerts.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: health_check_passing{job="portcullis", instance="full", check="writing"}
        values: 0x10
      - series: health_check_passing{job="portcullis", instance="full", check="reading"}
        values: 1x10
      - series: health_degraded{job="portcullis", instance="full"}
        values: 1x10
      - series: health_check_passing{job="portcullis", instance="gone", check="reading"}
        values: 0x10
      - series: health_degraded{job="portcullis", instance="gone"}
        values: 0x10
    promql_expr_test:
      - expr: ALERTS{alertstate="firing"}
        eval_time: 5m
        exp_samples:
          - labels: ALERTS{alertname="PortcullisDegraded", alertstate="firing", severity="warning", job="portcullis", instance="full", check="writing"}
            value: 1
          - labels: ALERTS{alertname="PortcullisCheckFails", alertstate="firing", severity="critical", job="portcullis", instance="gone", check="reading"}
            value: 1
"#;
    let rules = document("deploy/monitoring/alerts.yml");
    std::fs::write(folder.path().join("alerts.yml"), rules).unwrap();
    std::fs::write(folder.path().join("tests.yml"), tests).unwrap();
    Invocation::new("promtool")
        .args(["test", "rules", "tests.yml"])
        .current_dir(folder.path())
        .run()
        .expect_success();
}

#[test]
fn systemd_takes_the_units_and_finds_little_exposed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["portcullis-auth.service", "portcullis-registry.service"] {
        let unit = document(&format!("deploy/systemd/{name}"));
        // Any program will do that exists.
        let unit = unit.replace("/usr/local/bin/portcullis", "/bin/true");
        assert!(unit.contains("ExecStart=/bin/true "));
        let path = folder.path().join(name);
        std::fs::write(&path, unit).unwrap();
        let analyze = |arguments: &[&str]| {
            Invocation::new("systemd-analyze")
                .args(arguments.iter().copied())
                .arg(&path)
                .run()
                .expect_success()
        };
        let verified = analyze(&["verify", "--man=no"]);
        assert!(!verified.stderr.contains(name), "{verified}");
        // 2.0 of 10.
        analyze(&["security", "--offline=true", "--no-pager", "--threshold=20"]);
    }
}

#[test]
fn the_units_take_the_commands_that_exist() {
    for (name, command) in [
        ("auth", &["auth", "serve", "--config"][..]),
        ("registry", &["registry", "serve"]),
    ] {
        let unit = document(&format!("deploy/systemd/portcullis-{name}.service"));
        let start = format!(
            "ExecStart=/usr/local/bin/portcullis {} /etc/",
            command.join(" ")
        );
        assert!(unit.contains(&start), "{unit}");
        let reload = "ExecReload=/bin/kill -HUP $MAINPID";
        assert!(unit.contains(reload), "{unit}");
        let help = Invocation::portcullis().args(&command[..2]).arg("--help");
        help.run().expect_success();
    }
}
