// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// Numbers are increments; a 0 asks for the total.
func counting(params []int64) result {
	messages := params[0]
	inbox, totals := make(chan int64, places), make(chan int64)
	done, start := make(chan int64), make(chan bool)
	go func() {
		var sum int64
		for {
			value := <-inbox
			if value == 0 {
				break
			}
			sum += value
		}
		totals <- sum
	}()
	go func() {
		<-start
		for value := int64(1); value <= messages; value++ {
			inbox <- value
		}
		inbox <- 0
		done <- <-totals
	}()
	begin := time.Now()
	start <- true
	sum := <-done
	return result{since(begin), messages, sum, 0}
}
