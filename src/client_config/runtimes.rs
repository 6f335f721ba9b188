//! What the engines of nodes read: containerd's `hosts.toml`, CRI-O's `registries.conf`, and the
//! certificates beside them.

use super::authority::WithAuthority;
use crate::failure::Failure;
use crate::output;

/// The name of the authority's file, beside `hosts.toml` and in `certs.d`.
const CA_FILE: &str = "ca.crt";

/// <https://github.com/containerd/containerd/blob/main/docs/hosts.md>
pub fn containerd(registry: &WithAuthority) -> Result<(), Failure> {
    let host = &registry.registry;
    let authority = registry.certificates()?;
    // containerd looks for it beside this file.
    let ca = match &authority {
        Some(_) => format!("  ca = \"{CA_FILE}\"\n"),
        None => String::new(),
    };
    output::bytes(
        format!(
            "server = \"https://{host}\"\n\n\
             [host.\"https://{host}\"]\n  \
             capabilities = [\"pull\", \"resolve\", \"push\"]\n{ca}"
        )
        .as_bytes(),
    )?;
    output::note(&format!(
        "This belongs into /etc/containerd/certs.d/{host}/hosts.toml."
    ))?;
    if authority.is_some() {
        output::note(&format!(
            "The certificate authority belongs beside it, into \
             /etc/containerd/certs.d/{host}/{CA_FILE}."
        ))?;
    }
    Ok(())
}

/// <https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md>
pub fn crio(registry: &WithAuthority) -> Result<(), Failure> {
    let host = &registry.registry;
    let authority = registry.certificates()?;
    output::bytes(
        format!(
            "[[registry]]\nprefix = \"{host}\"\nlocation = \"{host}\"\ninsecure = false\n\
             blocked = false\n"
        )
        .as_bytes(),
    )?;
    output::note("This belongs into /etc/containers/registries.conf.d/portcullis.conf.")?;
    if authority.is_some() {
        output::note(&format!(
            "The certificate authority belongs into /etc/containers/certs.d/{host}/{CA_FILE}."
        ))?;
    }
    Ok(())
}

/// <https://docs.docker.com/engine/security/certificates/>,
/// <https://github.com/containers/image/blob/main/docs/containers-certs.d.5.md>
pub fn certs_d(registry: &WithAuthority) -> Result<(), Failure> {
    let host = &registry.registry;
    let authority = registry.certificates()?.ok_or_else(|| {
        Failure::usage("--ca-file names the certificate authority that clients are to trust")
    })?;
    output::bytes(authority.as_bytes())?;
    output::note(&format!(
        "This belongs into /etc/docker/certs.d/{host}/{CA_FILE}, or for podman and CRI-O into \
         /etc/containers/certs.d/{host}/{CA_FILE}."
    ))?;
    Ok(())
}
