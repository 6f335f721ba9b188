//! Numbers about this process, from `/proc`, by the names that Prometheus' own client libraries use.
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Reads `/proc` at each scrape. Where there is no `/proc`, it reports nothing.
#[derive(Debug)]
pub(super) struct ProcessCollector {
    page_bytes: u64,
    ticks_per_second: f64,
}

/// The parts of `/proc/self/stat` after the command, which is in brackets and may hold anything.
struct Stat<'t>(Vec<&'t str>);

impl<'t> Stat<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        Some(Self(rest.split_ascii_whitespace().collect()))
    }

    /// A field by its number in `proc_pid_stat(5)`, which counts from 1; state is number 3.
    fn field(&self, number: usize) -> Option<u64> {
        self.0.get(number.checked_sub(3)?)?.parse().ok()
    }
}

impl ProcessCollector {
    #[expect(
        clippy::cast_precision_loss,
        reason = "clock ticks per second are a hundred or a thousand"
    )]
    pub fn new() -> Self {
        Self {
            page_bytes: rustix::param::page_size() as u64,
            ticks_per_second: rustix::param::clock_ticks_per_second() as f64,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to 2^53 ticks, thousands of years"
    )]
    fn seconds(&self, ticks: u64) -> f64 {
        ticks as f64 / self.ticks_per_second
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Ok(text) = fs::read_to_string("/proc/self/stat") else {
            return Ok(());
        };
        let Some(stat) = Stat::parse(&text) else {
            return Ok(());
        };
        if let (Some(user), Some(system)) = (stat.field(14), stat.field(15)) {
            encoder
                .encode_descriptor(
                    "process_cpu_seconds",
                    "Processor time used.",
                    None,
                    MetricType::Counter,
                )?
                .encode_counter::<NoLabelSet, _, u64>(&self.seconds(user + system), None)?;
        }
        let mut gauge = |name: &str, help: &str, value: Option<f64>| match value {
            None => Ok(()),
            Some(value) => encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&value),
        };
        gauge(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970.",
            boot_time()
                .zip(stat.field(22))
                .map(|(boot, start)| boot + self.seconds(start)),
        )?;
        gauge(
            "process_virtual_memory_bytes",
            "Size of the address space.",
            stat.field(23).map(to_float),
        )?;
        gauge(
            "process_resident_memory_bytes",
            "Memory in use.",
            stat.field(24)
                .map(|pages| to_float(pages * self.page_bytes)),
        )?;
        gauge(
            "process_threads",
            "Threads of the process.",
            stat.field(20).map(to_float),
        )?;
        gauge(
            "process_open_fds",
            "Open file descriptors.",
            fs::read_dir("/proc/self/fd")
                .ok()
                .map(|entries| to_float(entries.count() as u64)),
        )?;
        gauge(
            "process_max_fds",
            "How many file descriptors may be open.",
            rustix::process::getrlimit(rustix::process::Resource::Nofile)
                .current
                .map(to_float),
        )
    }
}

/// Seconds since 1970 at which the system started.
fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    seconds.trim().parse().ok()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus knows floating point only"
)]
fn to_float(number: u64) -> f64 {
    number as f64
}
