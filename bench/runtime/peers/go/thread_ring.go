// SPDX-License-Identifier: Apache-2.0

package main

import "time"

func threadRing(params []int64) result {
	count, hops := params[0], params[1]
	var inboxes []chan int64
	for i := int64(0); i < count; i++ {
		inboxes = append(inboxes, make(chan int64))
	}
	done, sums := make(chan bool), make(chan int64, count)
	for i := int64(0); i < count; i++ {
		inbox, next := inboxes[i], inboxes[(i+1)%count]
		go func() {
			var sum int64
			for value := range inbox {
				sum += value
				if value > 0 {
					next <- value - 1
				} else {
					done <- true
				}
			}
			sums <- sum
		}()
	}
	begin := time.Now()
	inboxes[0] <- hops
	<-done
	ns := since(begin)
	var sum int64
	for _, inbox := range inboxes {
		close(inbox)
	}
	for range inboxes {
		sum += <-sums
	}
	return result{ns, hops, sum, 0}
}
