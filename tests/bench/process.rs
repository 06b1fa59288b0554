//! What the kernel knows of a process and its children.

use std::fs;
use std::time::Duration;

/// CPU time of the process and all below it. Linux counts it in hundredths of a second.
pub(crate) fn cpu(pid: u32) -> Duration {
    let ticks: u64 = family(pid).into_iter().map(ticks).sum();
    Duration::from_millis(ticks * 10)
}

fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // the command's name stands in parentheses and may hold anything; fields 14 to 17 are times
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// The most memory that the process and all below it have held, in MiB.
pub(crate) fn peak_resident_mib(pid: u32) -> u64 {
    family(pid).into_iter().map(|pid| status_kib(pid, "VmHWM:")).sum::<u64>() / 1024
}

/// The memory that the process holds, in KiB.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    status_kib(pid, "VmRSS:")
}

fn status_kib(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(parent) = family.get(at) {
        let children =
            fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        at += 1;
    }
    family
}
