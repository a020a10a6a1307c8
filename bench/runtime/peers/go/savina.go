// SPDX-License-Identifier: Apache-2.0

// The program: go NAME PARAMETER...
//
// Runs a benchmark, first for a tenth of its last parameter to warm up, and prints what the runner
// wants. An actor is a goroutine with a channel that only it receives from; messages are values.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

type result struct {
	ns         int64
	operations int64
	checksum   int64
	bytes      int64
}

var programs = map[string]func(params []int64) result{
	"alive":                alive,
	"big":                  big,
	"bounded_buffer":       boundedBuffer,
	"chameneos":            chameneos,
	"counting":             counting,
	"fork_join_create":     forkJoinCreate,
	"fork_join_throughput": forkJoinThroughput,
	"mailbox":              mailbox,
	"ping_pong":            pingPong,
	"thread_ring":          threadRing,
}

// Places of a channel whose senders shall seldom wait.
const places = 1024

func since(begin time.Time) int64 { return time.Since(begin).Nanoseconds() }

// resident tells the bytes of this process that are in memory.
func resident() int64 {
	var all, here int64
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fmt.Sscan(string(text), &all, &here)
	return here * int64(os.Getpagesize())
}

// processor tells the nanoseconds of processor time that all threads have used.
func processor() int64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func fail(what ...any) {
	fmt.Fprintln(os.Stderr, what...)
	os.Exit(1)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "versions" {
		fmt.Printf("%s, GOMAXPROCS %d\n", runtime.Version(), runtime.GOMAXPROCS(0))
		return
	}
	if len(os.Args) < 3 || programs[os.Args[1]] == nil {
		fail("go: no such program")
	}
	name := os.Args[1]
	var params []int64
	for _, text := range os.Args[2:] {
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil || number < 1 {
			fail("go: parameters are positive numbers")
		}
		params = append(params, number)
	}
	if name != "alive" {
		fewer := append([]int64{}, params...)
		last := &fewer[len(fewer)-1]
		*last = (*last + 9) / 10
		programs[name](fewer)
		runtime.GC()
	}
	used := processor()
	r := programs[name](params)
	used = processor() - used
	fmt.Printf("%s %d %d %d cpu=%d", name, r.ns, r.operations, r.checksum, used)
	if r.bytes != 0 {
		fmt.Printf(" bytes=%d", r.bytes)
	}
	fmt.Println()
}
