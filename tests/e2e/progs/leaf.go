// SPDX-License-Identifier: Apache-2.0
// A leaf function called 4 x 5000 times by goroutines that the runtime preempts with signals all the time.
package main

import (
	"runtime"
	"sync"
	"time"
)

//go:noinline
func Leaf(x int) int { return x + 1 }

func main() {
	var calls, collections sync.WaitGroup
	stop := make(chan bool)
	collections.Add(1)
	go func() {
		defer collections.Done()
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC() // stops the world: every goroutine is preempted
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for i := 0; i < 4; i++ {
		calls.Add(1)
		go func() {
			defer calls.Done()
			for n := 0; n < 5000; n++ {
				Leaf(n)
			}
		}()
	}
	calls.Wait()
	close(stop)
	collections.Wait()
}
