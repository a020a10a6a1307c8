// SPDX-License-Identifier: Apache-2.0

package main

import "time"

func forkJoinThroughput(params []int64) result {
	actors, messages := params[0], params[1]
	sums := make(chan int64, actors)
	var inboxes []chan int64
	for i := int64(0); i < actors; i++ {
		inbox := make(chan int64, places)
		inboxes = append(inboxes, inbox)
		go func() {
			var sum int64
			for left := messages; left > 0; left-- {
				sum += <-inbox
			}
			sums <- sum
		}()
	}
	begin := time.Now()
	for value := int64(1); value <= messages; value++ {
		for _, inbox := range inboxes {
			inbox <- value
		}
	}
	var sum int64
	for range inboxes {
		sum += <-sums
	}
	return result{since(begin), actors * messages, sum, 0}
}
