//! `/etc/docker/certs.d/HOST[:PORT]/`: authorities are `*.crt`, certificates of this machine
//! `*.cert` with their `*.key`. <https://docs.docker.com/engine/security/certificates/>

use std::path::Path;

use super::{Entry, Host, authorities, files, folders};
use crate::report::Verdict;

pub(super) fn look(certs: &Path, host: &Host<'_>) -> Verdict {
    let name = host.name();
    let folder = certs.join(&name);
    let Some(files) = files(&folder) else {
        return without_folder(certs, host);
    };
    let shown = folder.display();
    if let Some(verdict) = wrong_file(&files) {
        return verdict;
    }
    if let Some(verdict) = client_pairs(&files) {
        return verdict;
    }
    let authorities = authorities(&files);
    if authorities.is_empty() && !host.is_trusted_by_system() {
        return Verdict::failure(
            format!(
                "there is no authority in {shown}, and the system does not know the registry's"
            ),
            format!("copy the authority's certificate to {shown}/ca.crt"),
        );
    }
    let judged = host.judged_by(authorities);
    if judged.is_failure() {
        return Verdict::failure(
            format!(
                "what is in {shown} does not verify the registry: {}",
                judged.message
            ),
            format!(
                "copy the certificate of the authority that signed the registry's to {shown}/ca.crt; \
                 or mend the chain that the registry sends"
            ),
        );
    }
    Verdict::ok(format!("Docker trusts the registry, by {shown}"))
}

fn without_folder(certs: &Path, host: &Host<'_>) -> Verdict {
    let name = host.name();
    let there = folders(certs);
    let meant = host
        .wrong_names()
        .into_iter()
        .filter(|wrong| *wrong != name)
        .find(|wrong| there.contains(wrong))
        .or_else(|| {
            let other_port = format!("{}:", host.server.host);
            there
                .iter()
                .find(|one| one.starts_with(&other_port))
                .cloned()
        });
    if host.is_trusted_by_system() {
        return Verdict::ok("the system trusts the registry, and so does Docker");
    }
    let shown = certs.display();
    if let Some(wrong) = meant {
        return Verdict::failure(
            format!("Docker does not look at {shown}/{wrong} for this registry"),
            format!(
                "name the folder as images are named, with the port: mv {shown}/{wrong} {shown}/{name}"
            ),
        );
    }
    if !certs.parent().is_some_and(Path::exists) {
        return Verdict::skipped("there is no Docker on this machine");
    }
    Verdict::warning(
        format!("Docker on this machine does not trust the registry: there is no {shown}/{name}"),
        format!("copy the authority's certificate to {shown}/{name}/ca.crt; no restart is needed"),
    )
}

/// A file that Docker does not read, or cannot.
fn wrong_file(files: &[Entry]) -> Option<Verdict> {
    for file in files {
        let shown = file.path.display();
        let wanted = [".crt", ".cert", ".key"];
        if !wanted.iter().any(|suffix| file.name.ends_with(suffix)) {
            // Notes and the like do no harm.
            if file.read.is_err() {
                continue;
            }
            let is_key = file
                .read
                .as_ref()
                .is_ok_and(|read| read.certificates.is_empty());
            let name = if is_key { "client.key" } else { "ca.crt" };
            return Some(Verdict::failure(
                format!("Docker does not read {shown}: authorities must be called *.crt"),
                format!(
                    "rename it: mv {shown} {}",
                    file.path.with_file_name(name).display()
                ),
            ));
        }
        if let Err(problem) = &file.read {
            return Some(Verdict::failure(
                format!("{shown} {problem}"),
                problem.fix_or(
                    "replace it by a file in PEM form (`openssl x509 -inform der -in FILE -out \
                     ca.crt` converts one)",
                ),
            ));
        }
        let holds_certificate = file
            .read
            .as_ref()
            .is_ok_and(|read| !read.certificates.is_empty());
        if file.is_authority() && !holds_certificate {
            return Some(Verdict::failure(
                format!("{shown} holds no certificate"),
                "replace it by the authority's certificate",
            ));
        }
    }
    None
}

/// A certificate of this machine must have its key, and the other way round: Docker refuses to talk
/// to the registry at all otherwise.
fn client_pairs(files: &[Entry]) -> Option<Verdict> {
    let has = |name: &str| files.iter().any(|file| file.name == name);
    for file in files {
        let shown = file.path.display();
        let (stem, partner) = if let Some(stem) = file.name.strip_suffix(".cert") {
            (stem, "key")
        } else if let Some(stem) = file.name.strip_suffix(".key") {
            (stem, "cert")
        } else {
            continue;
        };
        if !has(&format!("{stem}.{partner}")) {
            let hint = if partner == "key" {
                "if it is an authority, call it *.crt"
            } else {
                "without a certificate it is of no use: remove it"
            };
            return Some(Verdict::failure(
                format!("{shown} has no {stem}.{partner} beside it, and Docker gives up at that"),
                format!("put {stem}.{partner} beside it; {hint}"),
            ));
        }
        if partner == "cert" && file.mode & 0o077 != 0 {
            return Some(Verdict::warning(
                format!("{shown} can be read by others (mode {:03o})", file.mode),
                format!("chmod 600 {shown}"),
            ));
        }
    }
    None
}
