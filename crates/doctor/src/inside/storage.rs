//! Whether blobs can be kept: the folder, its permissions, its space.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Storage;
use crate::files::{Obstacle, in_words, patiently, silent};
use crate::report::{Report, Verdict};

const GIB: u64 = 1024 * 1024 * 1024;

/// How many files are looked at for their owner: the upper levels of the tree, mostly.
const MAX_FILES: usize = 2_000;

/// A disk that has much to do takes its time.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn examine(storage: &Storage, report: &mut Report) {
    let Storage { folder, read_only } = storage.clone();
    let looked = patiently(PATIENCE, move || {
        let mut report = Report::default();
        if read_only {
            look_without_writing(&folder, &mut report);
        } else {
            look(&folder, &mut report);
        }
        report
    });
    if let Some(found) = looked {
        report.append(found);
    } else {
        report.add("storage.writable", silent(&storage.folder));
    }
}

fn look(root: &Path, report: &mut Report) {
    let written = try_to_write(root);
    if report.add("storage.writable", writable(root, &written)) {
        let because = "because storage.writable failed";
        report.add("storage.owner", Verdict::skipped(because));
        if !root.exists() {
            report.add("storage.space", Verdict::skipped(because));
            return;
        }
    } else {
        report.add("storage.owner", owner(root, stranger(root)));
    }
    let verdict = match rustix::fs::statvfs(root) {
        Ok(found) => space(&Space {
            total: found.f_blocks * found.f_frsize,
            free: found.f_bavail * found.f_frsize,
            inodes: found.f_files,
            free_inodes: found.f_favail,
        }),
        Err(error) => Verdict::skipped(format!("the file system says nothing of itself: {error}")),
    };
    report.add("storage.space", verdict);
}

/// Of a registry that is read-only for maintenance: its storage may be mounted so.
fn look_without_writing(root: &Path, report: &mut Report) {
    let read = std::fs::read_dir(root).map(drop);
    report.add("storage.writable", readable(root, &read));
    let because = "because `storage.maintenance.readonly` lets nothing be written";
    report.add("storage.owner", Verdict::skipped(because));
    report.add("storage.space", Verdict::skipped(because));
}

fn readable(root: &Path, read: &std::io::Result<()>) -> Verdict {
    use std::io::ErrorKind;

    let shown = root.display();
    match read {
        Ok(()) => Verdict::ok(format!(
            "{shown} can be read, and is not to be written to (`storage.maintenance.readonly`)"
        )),
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {
            writable(root, read)
        }
        Err(error) => Verdict::failure(
            format!("{shown} cannot be read: {}", in_words(error)),
            "let the user that the registry runs as read it, and look into the kernel's log",
        ),
    }
}

/// Writes a file as a server would, and removes it.
fn try_to_write(root: &Path) -> std::io::Result<()> {
    std::fs::metadata(root)?;
    let path = root.join(format!(".portcullis-doctor-{}", std::process::id()));
    let write = || {
        let mut file = std::fs::File::create_new(&path)?;
        file.write_all(b"written by portcullis doctor; may be removed\n")?;
        file.sync_all()
    };
    let written = write();
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

fn writable(root: &Path, written: &std::io::Result<()>) -> Verdict {
    use std::io::ErrorKind;

    let shown = root.display();
    let Err(error) = written else {
        return Verdict::ok(format!("{shown} can be written to"));
    };
    let (message, fix) = match error.kind() {
        ErrorKind::NotFound => (
            format!("there is no folder {shown}"),
            "create it, owned by the user that the registry runs as, or correct \
             `storage.filesystem.rootdirectory`",
        ),
        ErrorKind::NotADirectory => (
            format!("{shown} is no folder"),
            "correct `storage.filesystem.rootdirectory`",
        ),
        ErrorKind::PermissionDenied => {
            let obstacle = Obstacle::to_writing_in(root);
            let owner = obstacle.map_or(String::new(), |obstacle| format!(": {obstacle}"));
            (
                format!("{shown} cannot be written to: permission denied{owner}"),
                "let the user that the registry runs as own `storage.filesystem.rootdirectory` \
                 (chown -R), and run doctor as that user or as root",
            )
        }
        ErrorKind::ReadOnlyFilesystem => (
            format!("{shown} is on a file system that is mounted read-only"),
            "mount it writable, and look into the kernel's log: it may have turned read-only after \
             an error. Pulls go on; if it is meant to be so, set `storage.maintenance.readonly`",
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (
            format!("{shown} cannot be written to: no space is left"),
            "make room on the file system of `storage.filesystem.rootdirectory`: until then the \
             registry serves pulls, and takes no pushes",
        ),
        _ => (
            format!("{shown} cannot be written to: {}", in_words(error)),
            "look into the kernel's log, and at the disk",
        ),
    };
    Verdict::failure(message, fix)
}

/// Something below that belongs to somebody else than the folder itself.
fn stranger(root: &Path) -> Option<PathBuf> {
    let owner = std::fs::metadata(root).ok()?.uid();
    let mut folders = vec![root.to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MAX_FILES {
                return None;
            }
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.uid() != owner {
                return Some(entry.path());
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    None
}

fn owner(root: &Path, stranger: Option<PathBuf>) -> Verdict {
    match stranger {
        None => Verdict::ok("one user owns all of it, as far as was looked"),
        Some(path) => Verdict::warning(
            format!(
                "{} belongs to another user than {} itself",
                path.display(),
                root.display()
            ),
            format!(
                "let one user own all of it: chown -R --reference={0} {0}",
                root.display()
            ),
        ),
    }
}

/// Of a file system, in bytes and numbers of files.
#[derive(Clone, Copy, Debug)]
struct Space {
    total: u64,
    free: u64,
    inodes: u64,
    free_inodes: u64,
}

fn space(space: &Space) -> Verdict {
    let fix = "make room, or move `storage.filesystem.rootdirectory` to a larger file system";
    let in_gib = |bytes: u64| format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB);
    let left = in_gib(space.free);
    if space.free < GIB / 4 {
        return Verdict::failure(format!("{left} are free"), fix);
    }
    // File systems without a fixed number say that they have none.
    if space.inodes > 0 && space.free_inodes < space.inodes / 20 {
        return Verdict::warning(
            format!(
                "of {} files that fit, {} are free",
                space.inodes, space.free_inodes
            ),
            fix,
        );
    }
    if space.free < 2 * GIB || space.free < space.total / 20 {
        let total = in_gib(space.total);
        return Verdict::warning(format!("{left} of {total} are free"), fix);
    }
    Verdict::ok(format!("{left} are free"))
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;
    use crate::report::Status;

    #[test]
    fn what_keeps_one_from_writing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(writable(path, &try_to_write(path)).status, Status::Ok);
        assert_eq!(
            std::fs::read_dir(path).unwrap().count(),
            0,
            "nothing is left"
        );
        let missing = path.join("missing");
        let verdict = writable(&missing, &try_to_write(&missing));
        assert!(verdict.is_failure() && verdict.message.contains("there is no folder"));
        let file = path.join("file");
        std::fs::write(&file, "").unwrap();
        let verdict = writable(&file, &try_to_write(&file));
        assert!(verdict.message.contains("is no folder"), "{verdict:?}");
        for (kind, words) in [
            (ErrorKind::PermissionDenied, "permission denied"),
            (ErrorKind::ReadOnlyFilesystem, "read-only"),
            (ErrorKind::StorageFull, "no space"),
            (ErrorKind::QuotaExceeded, "no space"),
            (ErrorKind::Other, "cannot be written to"),
        ] {
            let verdict = writable(path, &Err(Error::from(kind)));
            assert!(
                verdict.is_failure() && verdict.message.contains(words),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn what_is_not_to_be_written_is_only_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(readable(path, &Ok(())).status, Status::Ok);
        let denied = readable(path, &Err(ErrorKind::PermissionDenied.into()));
        assert!(denied.is_failure() && denied.message.contains("cannot be read"));
        let missing = readable(path, &Err(ErrorKind::NotFound.into()));
        assert!(missing.message.contains("there is no folder"));
    }

    #[test]
    fn little_space_is_worth_a_warning_and_none_is_a_failure() {
        let of = |free: u64, free_inodes| {
            space(&Space {
                total: 100 * GIB,
                free,
                inodes: 1_000,
                free_inodes,
            })
        };
        assert_eq!(of(50 * GIB, 900).status, Status::Ok);
        assert_eq!(of(4 * GIB, 900).status, Status::Warning);
        assert!(of(50 * GIB, 9).message.contains("of 1000 files"));
        assert!(of(GIB / 10, 900).is_failure());
        assert_eq!(
            of(GIB + GIB / 2, 900).message,
            "1.5 GiB of 100.0 GiB are free"
        );
    }

    #[test]
    fn files_of_another_user_are_named() {
        let verdict = owner(Path::new("/data"), Some(PathBuf::from("/data/docker")));
        assert_eq!(verdict.status, Status::Warning);
        assert!(
            verdict
                .fix
                .unwrap()
                .contains("chown -R --reference=/data /data")
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docker")).unwrap();
        assert_eq!(stranger(folder.path()), None);
    }
}
