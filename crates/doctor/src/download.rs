//! A pull, tried out: whether a part of a blob can be asked for, as a download that broke off does.

use reqwest::Method;
use serde_json::Value;

use crate::access::Guest;
use crate::http::{Answer, Trouble};
use crate::outside::api;
use crate::report::Verdict;

const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

impl Guest<'_> {
    /// Asks for one byte of some blob of the repository.
    pub async fn pull(&self) -> Verdict {
        let Some(digest) = self.some_blob().await else {
            return Verdict::skipped(format!("{} holds no image to pull from", self.repository))
                .unless("name a repository with an image with --repository to check it");
        };
        let url = api(
            self.registry,
            &format!("{}/blobs/{digest}", self.repository),
        );
        let request = self.ask(Method::GET, &url);
        let answer = self.http.send(request.header("range", "bytes=0-0")).await;
        verdict(&answer)
    }

    async fn json(&self, path: &str) -> Option<Value> {
        let request = self.ask(Method::GET, &api(self.registry, path));
        let request = request.header("accept", MANIFESTS);
        let answer = self.http.send(request).await.ok()?;
        (answer.status == 200).then_some(())?;
        serde_json::from_slice(&answer.body).ok()
    }

    async fn some_blob(&self) -> Option<String> {
        let repository = self.repository;
        let tags = self.json(&format!("{repository}/tags/list")).await?;
        let tag = tags.pointer("/tags/0")?.as_str()?;
        let mut manifest = self.json(&format!("{repository}/manifests/{tag}")).await?;
        if let Some(first) = manifest
            .pointer("/manifests/0/digest")
            .and_then(Value::as_str)
        {
            manifest = self
                .json(&format!("{repository}/manifests/{first}"))
                .await?;
        }
        let digest = manifest.pointer("/config/digest")?.as_str()?;
        // It becomes a part of a path.
        let plain = |c: char| c.is_ascii_alphanumeric() || ":_+.-".contains(c);
        digest.chars().all(plain).then(|| digest.to_owned())
    }
}

fn verdict(answer: &Result<Answer, Trouble>) -> Verdict {
    match answer {
        Ok(answer) if answer.status == 206 => {
            Verdict::ok("a part of a layer can be asked for: downloads that break off go on")
        }
        // The storage behind answers for itself.
        Ok(answer) if (300..400).contains(&answer.status) => {
            Verdict::ok("layers come from a storage that the registry redirects to")
        }
        Ok(answer) if answer.status == 200 => Verdict::warning(
            "who asks for a part of a layer gets all of it: downloads that break off begin anew",
            "let the proxy pass `Range` on to the registry, and cache nothing below /v2/",
        ),
        Ok(answer) => Verdict::failure(
            format!("a part of a layer was answered {}", answer.status),
            "look into the logs of the proxy and of the registry",
        ),
        Err(trouble) => Verdict::failure(
            format!("a part of a layer: {trouble}"),
            "look into the logs of the proxy and of the registry at this moment",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;
    use crate::testing::answer;

    #[test]
    fn a_range_must_be_answered_with_a_range() {
        let status = |status| verdict(&Ok(answer(status, &[], "x"))).status;
        assert_eq!(status(206), Status::Ok);
        assert_eq!(status(307), Status::Ok);
        assert_eq!(status(200), Status::Warning);
        assert_eq!(status(500), Status::Failure);
        assert_eq!(verdict(&Err(Trouble::TimedOut)).status, Status::Failure);
    }
}
