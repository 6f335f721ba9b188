//! `client-config`: what the clients of a registry have to be told, in the words of each.
//!
//! - [`host`]: what the registry is called. [`login`]: who pulls. [`authority`]: who has signed its
//!   certificate.
//! - [`kubernetes`], [`runtimes`]: what is more than a file of credentials.
//!
//! What is to be in a file goes to standard output and nothing else does, so that it can be sent
//! there; where to put it, and what to mind, goes to standard error.

mod authority;
mod host;
mod kubernetes;
mod login;
mod runtimes;

use clap::Subcommand;

use self::authority::WithAuthority;
use self::kubernetes::PullSecret;
use self::login::Login;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, Subcommand)]
pub enum ClientConfig {
    /// Docker: `~/.docker/config.json`
    ///
    /// Merge it into a file that is there already. `docker login` does the same for a person, and
    /// keeps a token that can be revoked in place of the password.
    Docker(Login),
    /// CI: the variable `DOCKER_AUTH_CONFIG`, in one line
    ///
    /// GitLab Runner reads it to pull the images of jobs; a job writes it to
    /// `~/.docker/config.json` for its own pulls. Set it as a masked variable of the project or
    /// group.
    DockerAuthConfig(Login),
    /// Kubernetes: a Secret of the type `kubernetes.io/dockerconfigjson`
    ///
    /// For `kubectl apply --filename -`. Pods name it in `imagePullSecrets`, or their
    /// `ServiceAccount` does for all of them; the comments at the top say how.
    Kubernetes(PullSecret),
    /// podman, buildah, skopeo, CRI-O: `auth.json`
    ///
    /// Of a user: `~/.config/containers/auth.json`; named by `REGISTRY_AUTH_FILE` or `--authfile`
    /// otherwise. CRI-O: the file that `global_auth_file` names in `crio.conf`.
    Podman(Login),
    /// containerd: `/etc/containerd/certs.d/HOST/hosts.toml`
    ///
    /// containerd reads it at the next pull, if its configuration has
    /// `config_path = "/etc/containerd/certs.d"` for registries; so do nerdctl, and `ctr` with
    /// `--hosts-dir`. Credentials are not in it: Kubernetes hands them over (see `kubernetes`).
    Containerd(WithAuthority),
    /// CRI-O, podman: a file in `/etc/containers/registries.conf.d`
    ///
    /// Makes the registry known, reached over TLS alone. Credentials are in `auth.json` (see
    /// `podman`).
    Crio(WithAuthority),
    /// Docker, podman, CRI-O: the certificate authority of the registry
    ///
    /// `/etc/docker/certs.d/HOST/ca.crt` for Docker, `/etc/containers/certs.d/HOST/ca.crt` for the
    /// others; both read it at the next pull.
    #[command(name = "certs.d")]
    CertsD(WithAuthority),
    /// kaniko: `/kaniko/.docker/config.json`
    ///
    /// In a job that builds: write it there before `/kaniko/executor` runs, or mount it.
    Kaniko(Login),
}

/// `client-config …`
pub fn run(command: ClientConfig) -> Result<(), Failure> {
    match command {
        ClientConfig::Docker(login) => {
            let auths = login.auths()?;
            output::json(&auths)?;
            output::note(&format!(
                "This belongs into ~/.docker/config.json. For a person: docker login --username \
                 {} {}",
                login.user, login.registry
            ))?;
            login.tell_authority("/etc/docker/certs.d")
        }
        ClientConfig::DockerAuthConfig(login) => {
            output::line(&login.auths()?.to_string())?;
            output::note("This is the value of the variable DOCKER_AUTH_CONFIG; mask it.")?;
            login.tell_authority("/etc/docker/certs.d")
        }
        ClientConfig::Kubernetes(secret) => secret.print(),
        ClientConfig::Podman(login) => {
            output::json(&login.auths()?)?;
            output::note(
                "This belongs into ~/.config/containers/auth.json, or where REGISTRY_AUTH_FILE \
                 points.",
            )?;
            login.tell_authority("/etc/containers/certs.d")
        }
        ClientConfig::Containerd(registry) => runtimes::containerd(&registry),
        ClientConfig::Crio(registry) => runtimes::crio(&registry),
        ClientConfig::CertsD(registry) => runtimes::certs_d(&registry),
        ClientConfig::Kaniko(login) => {
            output::json(&login.auths()?)?;
            output::note("This belongs into /kaniko/.docker/config.json.")?;
            if login.ca_file.is_some() {
                output::note(&format!(
                    "Name the certificate authority with /kaniko/executor --registry-certificate \
                     {}=FILE",
                    login.registry
                ))?;
            }
            Ok(())
        }
    }
}
