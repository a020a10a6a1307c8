// SPDX-License-Identifier: Apache-2.0

package main

import "time"

const colours = 3 // 0, 1 and 2

const (
	startMeeting = iota
	meet
	change
	exit
)

type encounter struct {
	kind   int
	colour int64
	who    chan encounter
}

func mixed(one, other int64) int64 {
	if one == other {
		return one
	}
	return colours - one - other
}

func creature(inbox, mall chan encounter, colour int64, counts chan int64) {
	var meetings int64
	for {
		msg := <-inbox
		switch msg.kind {
		case meet:
			colour = mixed(colour, msg.colour)
			meetings++
			msg.who <- encounter{change, colour, nil}
		case change:
			colour = msg.colour
			meetings++
		case exit:
			counts <- meetings
			return
		}
		mall <- encounter{meet, colour, inbox}
	}
}

// No channel is ever full, since a creature has one request or answer under way at most.
func chameneos(params []int64) result {
	count, meetings := params[0], params[1]
	mall, counts, total := make(chan encounter, count), make(chan int64, count), make(chan int64)
	go func() {
		for left := meetings; left > 0; left-- {
			first, second := <-mall, <-mall
			first.who <- second
		}
		var sum int64
		for i := int64(0); i < count; i++ {
			request := <-mall
			request.who <- encounter{exit, 0, nil}
		}
		for i := int64(0); i < count; i++ {
			sum += <-counts
		}
		total <- sum
	}()
	var inboxes []chan encounter
	for i := int64(0); i < count; i++ {
		inbox := make(chan encounter, 1)
		inboxes = append(inboxes, inbox)
		go creature(inbox, mall, i%colours, counts)
	}
	begin := time.Now()
	for _, inbox := range inboxes {
		inbox <- encounter{startMeeting, 0, nil}
	}
	sum := <-total
	return result{since(begin), 4 * meetings, sum, 0}
}
