// SPDX-License-Identifier: Apache-2.0

package main

import "time"

func pingPong(params []int64) result {
	last := params[0]
	pings, pongs := make(chan int64), make(chan int64)
	pingSum, pongSum := make(chan int64), make(chan int64)
	start := make(chan bool)
	go func() {
		var sum int64
		for value := range pings {
			sum += value
			pongs <- value
		}
		pongSum <- sum
	}()
	go func() {
		var sum int64
		<-start
		for value := int64(1); value <= last; value++ {
			pings <- value
			sum += <-pongs
		}
		pingSum <- sum
		close(pings)
	}()
	begin := time.Now()
	start <- true
	sum := <-pingSum
	ns := since(begin)
	return result{ns, 2 * last, sum + <-pongSum, 0}
}
