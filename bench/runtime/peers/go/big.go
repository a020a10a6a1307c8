// SPDX-License-Identifier: Apache-2.0

package main

import "time"

const (
	startPinging = iota
	ping
	pong
	stop
)

type note struct {
	kind  int
	value int64
	from  *bigWorker
}

type bigWorker struct {
	inbox  chan note
	later  []note // received while a send had to wait
	number int64
	random uint32
	sum    int64
}

// Sends, and receives meanwhile when the other's inbox is full: that other one may be waiting for
// us.
func (w *bigWorker) send(to *bigWorker, msg note) {
	select {
	case to.inbox <- msg:
		return
	default:
	}
	for {
		select {
		case to.inbox <- msg:
			return
		case early := <-w.inbox:
			w.later = append(w.later, early)
		}
	}
}

func (w *bigWorker) receive() note {
	if len(w.later) > 0 {
		msg := w.later[0]
		w.later = w.later[1:]
		return msg
	}
	return <-w.inbox
}

func (w *bigWorker) ping(all []*bigWorker, value int64) {
	w.random = w.random*69069 + 1
	w.send(all[int64(w.random>>8)%int64(len(all))], note{ping, value, w})
}

func (w *bigWorker) work(all []*bigWorker, pings int64, sink chan bool, sums chan int64) {
	for {
		msg := w.receive()
		switch msg.kind {
		case startPinging:
			w.ping(all, 1)
		case ping:
			w.sum += msg.value * w.number
			w.send(msg.from, note{pong, msg.value, nil})
		case pong:
			w.sum += msg.value
			if msg.value < pings {
				w.ping(all, msg.value+1)
			} else {
				sink <- true
			}
		case stop:
			sums <- w.sum
			return
		}
	}
}

func big(params []int64) result {
	count, pings := params[0], params[1]
	sink, done, sums := make(chan bool, places), make(chan bool), make(chan int64, places)
	go func() {
		for left := count; left > 0; left-- {
			<-sink
		}
		done <- true
	}()
	var all []*bigWorker
	for i := int64(1); i <= count; i++ {
		all = append(all, &bigWorker{inbox: make(chan note, 8), number: i, random: uint32(i)})
	}
	for _, worker := range all {
		go worker.work(all, pings, sink, sums)
	}
	begin := time.Now()
	for _, worker := range all {
		worker.inbox <- note{startPinging, 0, nil}
	}
	<-done
	ns := since(begin)
	go func() {
		for _, worker := range all {
			worker.inbox <- note{stop, 0, nil}
		}
	}()
	var sum int64
	for range all {
		sum += <-sums
	}
	return result{ns, 2 * count * pings, sum, 0}
}
