// SPDX-License-Identifier: Apache-2.0

package main

import "time"

type question struct {
	value int64
	reply chan int64
	last  bool
}

// So many messages are under way at a time, lest the memory for them be counted as the actors'.
const batch = 1000

func askAll(inboxes []chan question, reply chan int64, last bool) int64 {
	var sum int64
	for first := 0; first < len(inboxes); first += batch {
		behind := first + batch
		if behind > len(inboxes) {
			behind = len(inboxes)
		}
		for i := first; i < behind; i++ {
			inboxes[i] <- question{int64(i) + 1, reply, last}
		}
		for i := first; i < behind; i++ {
			sum += <-reply
		}
	}
	return sum
}

func alive(params []int64) result {
	inboxes := make([]chan question, 0, params[0])
	reply := make(chan int64, batch)
	before := resident()
	begin := time.Now()
	for i := int64(0); i < params[0]; i++ {
		inbox := make(chan question, 1)
		inboxes = append(inboxes, inbox)
		go func() {
			for {
				asked := <-inbox
				asked.reply <- asked.value
				if asked.last {
					return
				}
			}
		}()
	}
	sum := askAll(inboxes, reply, false)
	bytes := resident() - before
	sum += askAll(inboxes, reply, true)
	return result{since(begin), params[0], sum, bytes}
}
