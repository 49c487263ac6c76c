// SPDX-License-Identifier: Apache-2.0
//! Prints every few seconds how often each system call was made since it started, counted in the kernel by a kprobe.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use aya::{include_bytes_aligned, maps::HashMap, programs::KProbe, Ebpf};
use clap::Parser;

#[derive(Parser)]
#[command(version, about)]
struct Options {
    /// Kernel function that every system call passes, with its number as second argument
    #[arg(long, default_value = "dragonos_kernel::syscall::Syscall::handle")]
    symbol: String,
    /// Seconds between two tables
    #[arg(long, default_value_t = 5.0)]
    interval: f64,
    /// End after this many tables
    #[arg(long)]
    tables: Option<u64>,
}

fn print_table(ebpf: &Ebpf) -> anyhow::Result<()> {
    let counts: HashMap<_, u32, u32> = HashMap::try_from(ebpf.map("COUNTS").context("no map COUNTS")?)?;
    let table = counts.iter().collect::<Result<BTreeMap<_, _>, _>>()?;
    println!("------------SYSCALL_LIST----------------");
    for (syscall, count) in table {
        println!("syscall: {syscall}, count: {count}");
    }
    println!("----------------------------------------");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut ebpf = Ebpf::load(include_bytes_aligned!("../syscall-ebpf.bpf.o"))?;
    let program: &mut KProbe = ebpf.program_mut("count_syscall").context("no program")?.try_into()?;
    program.load()?;
    program.attach(&options.symbol, 0)?;

    println!("Waiting for Ctrl-C...");
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(options.interval));
    ticks.tick().await;
    let mut left = options.tables;
    while left != Some(0) {
        tokio::select! {
            _ = ticks.tick() => print_table(&ebpf)?,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
        }
        left = left.map(|n| n - 1);
    }
    println!("Exiting...");
    Ok(())
}
