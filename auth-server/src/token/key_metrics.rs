//! What Prometheus learns of the signing keys: enough to tell when nobody rotates them any more.

use registry_token::Certificate;
use service::metrics::prometheus_client::collector::Collector;
use service::metrics::prometheus_client::encoding::DescriptorEncoder;
use service::metrics::prometheus_client::metrics::MetricType;

use super::key_ring::KeyRing;

/// Looks at the ring at each scrape.
#[derive(Debug)]
pub(crate) struct KeyMetrics(pub KeyRing);

impl Collector for KeyMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let now = self.0.clock().now();
        let ring = self.0.load();
        let mut gauge = |name: &str, help: &str, value: Option<i64>| match value {
            None => Ok(()),
            Some(value) => encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&value),
        };
        let current = ring.schedule.current(now);
        gauge(
            "auth_signing_key_since_timestamp_seconds",
            "Since when the key signs that signs now, in seconds since 1970.",
            current
                .and_then(|key| key.signs_from)
                .map(|from| from.timestamp()),
        )?;
        gauge(
            "auth_signing_key_certificate_expiry_timestamp_seconds",
            "When the certificate of the key that signs now ends, in seconds since 1970.",
            ring.signer(now)
                .and_then(|key| key.certificates().first().map(Certificate::not_after))
                .map(|end| end.timestamp()),
        )?;
        gauge(
            "auth_signing_keys_published",
            "How many keys registries can learn: two during a rotation.",
            i64::try_from(ring.schedule.live().count()).ok(),
        )
    }
}

#[cfg(test)]
mod tests {
    use service::metrics::Metrics;

    use super::*;
    use crate::http::test_app::TestApp;
    use crate::token::rotation;

    #[tokio::test]
    async fn the_keys_can_be_watched() {
        let app = TestApp::start().await;
        let state = &app.application.state;
        let metrics = Metrics::new();
        metrics.register_collector(KeyMetrics(state.issuer.keys.clone()));
        let since = app.clock.now().timestamp();
        let context = crate::context::Context {
            database: state.database.clone(),
            clock: state.clock.clone(),
            origin: crate::audit::Origin::local(crate::audit::Actor::system()),
        };
        rotation::rotate(&context, &state.issuer.keys)
            .await
            .unwrap();
        let text = metrics.encode();
        for line in [
            format!("auth_signing_key_since_timestamp_seconds {since}"),
            "auth_signing_key_certificate_expiry_timestamp_seconds ".to_owned(),
            "auth_signing_keys_published 2".to_owned(),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
