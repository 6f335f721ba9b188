//! What the documents say to type works as written.

use std::path::{Path, PathBuf};

use acceptance::Invocation;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// README and everything in `docs/`.
fn documents() -> Vec<(PathBuf, String)> {
    let mut folders = vec![project().join("docs")];
    let mut files = vec![project().join("README.md")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                files.push(path);
            }
        }
    }
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// The lines of code blocks marked `sh` or `console`, prompts taken off.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    let mut continued = String::new();
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            inside = !inside && ["sh", "bash", "console", "shell"].contains(&language.trim());
            continue;
        }
        let line = line.trim().trim_start_matches("$ ");
        if !inside || line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(begun) => continued.push_str(begun),
            None => commands.push(std::mem::take(&mut continued) + line),
        }
    }
    commands
}

#[test]
fn every_command_of_ours_in_the_documents_exists() {
    let mut seen = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            let words: Vec<&str> = command
                .split_whitespace()
                .skip_while(|word| *word != "portcullis" && !word.ends_with("/portcullis"))
                .skip(1)
                .take_while(|word| !["|", "&&", ">", "<", ";", "&"].contains(word))
                .collect();
            if words.is_empty() {
                continue;
            }
            let subcommand: Vec<&str> = words
                .iter()
                .copied()
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
                .take_while(|word| !word.starts_with('-'))
                .collect();
            let help = Invocation::portcullis()
                .args(&subcommand)
                .arg("--help")
                .run();
            // The last word may be an argument rather than a command.
            let help = if help.status.success() {
                help
            } else {
                let shorter = &subcommand[..subcommand.len().saturating_sub(1)];
                Invocation::portcullis()
                    .args(shorter)
                    .arg("--help")
                    .run()
                    .expect_success()
            };
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let name = option.split('=').next().unwrap();
                assert!(
                    help.stdout.contains(name),
                    "{}: `{command}`: no {name} in\n{help}",
                    path.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 0, "the documents name no command at all");
}

#[test]
fn every_make_target_in_the_documents_exists() {
    let makefile = std::fs::read_to_string(project().join("Makefile")).unwrap();
    let mut seen = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            let mut words = command
                .split_whitespace()
                .skip_while(|word| *word != "make");
            let Some("make") = words.next() else { continue };
            for target in
                words.take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
            {
                assert!(
                    makefile.contains(&format!("\n{target}:")),
                    "{}: no target {target}",
                    path.display()
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "the documents name no target at all");
}

#[test]
fn links_between_documents_lead_somewhere() {
    for (path, text) in documents() {
        for (index, _) in text.match_indices("](") {
            let target = text[index + 2..].split([')', '#', ' ']).next().unwrap();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let linked = path.parent().unwrap().join(target);
            assert!(linked.exists(), "{}: {target} is not there", path.display());
        }
    }
}
