//! Cores, processor time and memory, as Linux tells them.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Result;

/// The core of whatever is measured.
pub const SERVER_CORE: usize = 0;

/// The core of who measures.
const CLIENT_CORE: usize = 1;

/// Fails with a list of what to install.
pub fn require(programs: &[&str]) -> Result<()> {
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| find(program).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "not installed: {}. On Debian: `apt-get install nginx docker-registry wrk util-linux`, or \
         `make bench`, which does that",
        missing.join(", ")
    )
    .into())
}

/// Administrators' programs are not in everybody's `PATH`.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/bin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Keeps this program, and what it starts, off the servers' core.
pub fn pin_clients() -> Result<()> {
    if std::thread::available_parallelism()?.get() <= CLIENT_CORE {
        return Err("needs two cores: one for the server, one for its clients".into());
    }
    sched_setaffinity(None, &cores(&[CLIENT_CORE]))?;
    Ok(())
}

/// Lets a running process use these cores, all its threads.
pub fn move_to(process: u32, on: &[usize]) -> Result<()> {
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let id = thread?.file_name().to_string_lossy().parse()?;
        // A thread that ended meanwhile needs no core.
        match sched_setaffinity(Pid::from_raw(id), &cores(on)) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The servers' core and the clients'.
pub const BOTH_CORES: [usize; 2] = [SERVER_CORE, CLIENT_CORE];

fn cores(numbers: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for number in numbers {
        set.set(*number);
    }
    set
}

/// A process and its children.
pub fn family(process: u32) -> Result<Vec<u32>> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    let mut family = vec![process];
    for child in children.split_whitespace() {
        family.push(child.parse()?);
    }
    Ok(family)
}

/// Counts processor time of processes.
#[derive(Debug)]
pub struct Stopwatch {
    processes: Vec<u32>,
    before: Duration,
}

impl Stopwatch {
    pub fn start(processes: Vec<u32>) -> Result<Self> {
        Ok(Self {
            before: processor_time(&processes)?,
            processes,
        })
    }

    /// Processor time since the start.
    pub fn spent(&self) -> Result<Duration> {
        Ok(processor_time(&self.processes)?.saturating_sub(self.before))
    }
}

/// In user space and in the kernel, since the processes began.
fn processor_time(processes: &[u32]) -> Result<Duration> {
    let mut ticks = 0;
    for process in processes {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The second field is the program's name in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(')').ok_or("a strange /proc/<pid>/stat")?;
        // utime and stime are the 14th and 15th field of proc(5), the 12th and 13th after the name.
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>()?;
        }
    }
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(ticks * 1000 / per_second))
}

/// Memory of a process in MiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now.
    pub resident: f64,
    /// The most it ever had resident.
    pub peak: f64,
}

pub fn memory(process: u32) -> Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let mebibytes = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = line
            .and_then(|line| line.split_whitespace().next())
            .ok_or_else(|| format!("no {name} in /proc/<pid>/status"))?;
        Ok(kibibytes.parse::<f64>()? / 1024.0)
    };
    Ok(Memory {
        resident: mebibytes("VmRSS:")?,
        peak: mebibytes("VmHWM:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_spent_time_and_memory() {
        let me = std::process::id();
        let watch = Stopwatch::start(vec![me]).unwrap();
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(50) {
            std::hint::black_box(started.elapsed());
        }
        assert!(watch.spent().unwrap() > Duration::ZERO);
        let memory = memory(me).unwrap();
        assert!(memory.resident > 0.0 && memory.peak >= memory.resident / 2.0);
        assert_eq!(family(me).unwrap()[0], me);
    }

    #[test]
    fn says_what_to_install() {
        let error = require(&["sh", "no-such-program"]).unwrap_err().to_string();
        assert!(error.contains("no-such-program") && !error.contains("sh,"));
    }
}
