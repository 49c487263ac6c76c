// SPDX-License-Identifier: Apache-2.0
//! Counts system calls by number. The probed function takes the number in its second argument register, as
//! `do_syscall_64(regs, nr)` and `x64_sys_call(regs, nr)` do.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(internal_features)]

use core::intrinsics::{atomic_xadd, AtomicOrdering::Relaxed};

use aya_ebpf::{
    macros::{kprobe, map},
    maps::HashMap,
    programs::ProbeContext,
};

const BPF_NOEXIST: u64 = 1;

#[map]
static COUNTS: HashMap<u32, u32> = HashMap::with_max_entries(1024, 0);

/// The value is shared by all CPUs: one instruction adds to it (the BPF target has no `AtomicU32`).
fn increment(number: &u32) -> bool {
    let Some(count) = COUNTS.get_ptr_mut(number) else {
        return false;
    };
    unsafe { atomic_xadd::<u32, u32, { Relaxed }>(count, 1) };
    true
}

#[kprobe]
pub fn count_syscall(ctx: ProbeContext) -> u32 {
    let Some(number) = ctx.arg::<u64>(1) else {
        return 0;
    };
    let number = number as u32;
    // Another CPU may add the key between the look-up and the insertion: then there is something to increment.
    if !increment(&number) && COUNTS.insert(&number, &1, BPF_NOEXIST).is_err() {
        increment(&number);
    }
    0
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
