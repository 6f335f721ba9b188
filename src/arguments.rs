//! What distribution's images are called with means the same here, so that ours takes the place of
//! `registry:2` in somebody's compose file without a change to its `command`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The program's arguments, its name first, as our commands:
///
/// - `registry …` by the program's name, to which the image has a link, is `portcullis registry …`
/// - `serve CONFIG` and a bare `CONFIG.yml`, as distribution's entry point takes them, are
///   `registry serve CONFIG`
pub fn understood(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let called = arguments
        .first()
        .and_then(|name| Path::new(name).file_name());
    let first = arguments.get(1).map(OsString::as_os_str);
    let missing: &[&str] = if first.is_some_and(is_configuration) {
        &["registry", "serve"]
    } else if called == Some(OsStr::new("registry")) || first == Some(OsStr::new("serve")) {
        &["registry"]
    } else {
        &[]
    };
    arguments.splice(
        1.min(arguments.len())..1.min(arguments.len()),
        missing.iter().map(Into::into),
    );
    arguments
}

fn is_configuration(argument: &OsStr) -> bool {
    let extension = Path::new(argument).extension();
    extension.is_some_and(|extension| extension == "yml" || extension == "yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_distribution_understands_is_understood() {
        for (typed, meant) in [
            ("portcullis", "portcullis"),
            ("portcullis up", "portcullis up"),
            ("portcullis auth serve", "portcullis auth serve"),
            (
                "portcullis registry serve c.yml",
                "portcullis registry serve c.yml",
            ),
            (
                "portcullis serve /etc/c.yml",
                "portcullis registry serve /etc/c.yml",
            ),
            ("portcullis serve", "portcullis registry serve"),
            (
                "portcullis /etc/c.yml",
                "portcullis registry serve /etc/c.yml",
            ),
            ("portcullis c.yaml", "portcullis registry serve c.yaml"),
            (
                "/usr/bin/registry serve c.yml",
                "/usr/bin/registry registry serve c.yml",
            ),
            ("registry --help", "registry registry --help"),
            ("registry c.yml", "registry registry serve c.yml"),
        ] {
            let words = typed.split(' ').map(OsString::from);
            let expected: Vec<OsString> = meant.split(' ').map(OsString::from).collect();
            assert_eq!(understood(words), expected, "{typed}");
        }
        assert!(understood([]).is_empty());
    }
}
