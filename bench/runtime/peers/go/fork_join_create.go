// SPDX-License-Identifier: Apache-2.0

package main

import "time"

func forkJoinCreate(params []int64) result {
	actors := params[0]
	collector, total := make(chan int64, places), make(chan int64)
	go func() {
		var sum int64
		for left := actors; left > 0; left-- {
			sum += <-collector
		}
		total <- sum
	}()
	begin := time.Now()
	for value := int64(1); value <= actors; value++ {
		inbox := make(chan int64, 1)
		go func() { collector <- <-inbox }()
		inbox <- value
	}
	sum := <-total
	return result{since(begin), actors, sum, 0}
}
