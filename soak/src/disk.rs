//! Disks that lose what was not synced: ext4 in a file, mounted over a loop device.
//!
//! A power cut is ext4's own shutdown, which file-system developers test recovery with: from one
//! moment on nothing more reaches the device, neither data nor journal. Unlike a copy of the file
//! taken while the kernel still writes, that is what a disk holds at one moment. The next mount
//! replays the journal, as after a real one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use acceptance::Invocation;
use rustix::fs::{FallocateFlags, fallocate};

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`. In Python, which Debian has: the call
/// is none that safe Rust can make.
const SHUT_DOWN: &str = "import fcntl, os, struct, sys\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// Uploads under way hold files open for writing, which a disk that turns read-only must wait for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mounted disk.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// A new one at a folder that exists.
    pub fn new(image: &Path, mount: &Path, mebibytes: u64) -> Self {
        let file = File::create(image).unwrap();
        file.set_len(mebibytes * 1024 * 1024).unwrap();
        // Nothing is kept back for root, who is the one to fill it.
        system("mkfs.ext4")
            .args(["-q", "-F", "-m", "0"])
            .arg(image)
            .run()
            .expect_success();
        let disk = Self {
            image: image.to_owned(),
            mount: mount.to_owned(),
        };
        disk.mount();
        disk
    }

    /// Cuts the power, and leaves the disk unmounted. Whoever used it must be gone.
    pub fn cut(&self) {
        Invocation::new("python3")
            .args(["-c", SHUT_DOWN])
            .arg(&self.mount)
            .run()
            .expect_success();
        self.unmount();
    }

    pub fn mount(&self) {
        system("mount")
            .args(["-o", "loop"])
            .arg(&self.image)
            .arg(&self.mount)
            .run()
            .expect_success();
    }

    fn unmount(&self) {
        eventually("unmount", || {
            system("umount").arg(&self.mount).run().status.success()
        });
    }

    /// Takes all the room there is.
    pub fn fill(&self) {
        let file = File::create(self.filler()).unwrap();
        let mut taken = 0;
        let mut piece = 1 << 30;
        while piece >= 1024 {
            match fallocate(&file, FallocateFlags::empty(), taken, piece) {
                Ok(()) => taken += piece,
                Err(_) => piece /= 2,
            }
        }
    }

    pub fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }

    /// False if somebody kept writing.
    pub async fn make_read_only(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.remount("remount,ro") {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        false
    }

    pub fn make_writable(&self) {
        assert!(self.remount("remount,rw"), "cannot make a disk writable");
    }

    fn remount(&self, options: &str) -> bool {
        let mount = system("mount").args(["-o", options]).arg(&self.mount);
        mount.run().status.success()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = system("umount").arg("--lazy").arg(&self.mount).run();
    }
}

/// Checks that a cut loses what was not synced and nothing else: without that, all that follows
/// would prove nothing.
pub fn prove(folder: &Path) {
    let mount = folder.join("proof");
    std::fs::create_dir(&mount).unwrap();
    let disk = Disk::new(&folder.join("proof.img"), &mount, 32);
    std::fs::write(mount.join("synced"), "kept").unwrap();
    File::open(mount.join("synced"))
        .unwrap()
        .sync_all()
        .unwrap();
    File::open(&mount).unwrap().sync_all().unwrap();
    std::fs::write(mount.join("unsynced"), "lost").unwrap();
    disk.cut();
    disk.mount();
    let synced = std::fs::read(mount.join("synced")).unwrap_or_default();
    assert_eq!(synced, b"kept", "a power cut here loses what was synced");
    let unsynced = std::fs::read(mount.join("unsynced")).unwrap_or_default();
    assert!(
        unsynced.is_empty(),
        "a power cut here loses nothing: it would prove nothing"
    );
}

/// A program of the system's, wherever `PATH` leads.
fn system(program: &str) -> Invocation {
    let path = std::env::var("PATH").unwrap_or_default();
    Invocation::new(program).env("PATH", format!("{path}:/usr/sbin:/sbin"))
}

fn eventually(what: &str, mut attempt: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !attempt() {
        assert!(Instant::now() < deadline, "cannot {what} a disk");
        std::thread::sleep(Duration::from_millis(10));
    }
}
