// SPDX-License-Identifier: Apache-2.0

// Counts calls of a system call with a kprobe built from instructions, and prints the count every second.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// count adds one to the only element of an array map.
func count(counter *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, counter.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("exit"),
		asm.Return(),
	}
}

func run(syscall string, interval time.Duration, rounds int) error {
	if err := rlimit.RemoveMemlock(); err != nil {
		return err
	}
	counter, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "counter", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1,
	})
	if err != nil {
		return fmt.Errorf("create map: %w", err)
	}
	defer counter.Close()

	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "count", Type: ebpf.Kprobe, License: "Dual MIT/GPL", Instructions: count(counter),
	})
	if err != nil {
		var rejected *ebpf.VerifierError
		if errors.As(err, &rejected) {
			return fmt.Errorf("%+v", rejected)
		}
		return fmt.Errorf("load program: %w", err)
	}
	defer program.Close()

	probe, err := link.Kprobe("sys_"+syscall, program, nil)
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	defer probe.Close()

	fmt.Println("Waiting for events..")
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for i := 0; rounds == 0 || i < rounds; i++ {
		select {
		case <-ticks.C:
			var calls uint64
			if err := counter.Lookup(uint32(0), &calls); err != nil {
				return fmt.Errorf("read map: %w", err)
			}
			fmt.Printf("sys_%s called %d times\n", syscall, calls)
		case <-interrupted:
			return nil
		}
	}
	return nil
}

func main() {
	syscall := flag.String("syscall", "execve", "system call to count")
	interval := flag.Duration("interval", time.Second, "time between two lines")
	rounds := flag.Int("rounds", 0, "end after this many lines (0: never)")
	flag.Parse()
	if err := run(*syscall, *interval, *rounds); err != nil {
		log.Fatal(err)
	}
}
