// SPDX-License-Identifier: Apache-2.0

package main

import "time"

func mailbox(params []int64) result {
	senders, messages := params[0], params[1]
	inbox, total := make(chan int64, places), make(chan int64)
	go func() {
		var sum int64
		for left := senders * messages; left > 0; left-- {
			sum += <-inbox
		}
		total <- sum
	}()
	begin := time.Now()
	for i := int64(0); i < senders; i++ {
		go func() {
			for value := int64(1); value <= messages; value++ {
				inbox <- value
			}
		}()
	}
	sum := <-total
	return result{since(begin), senders * messages, sum, 0}
}
