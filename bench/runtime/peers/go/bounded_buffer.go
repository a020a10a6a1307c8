// SPDX-License-Identifier: Apache-2.0

package main

import "time"

type supply struct {
	item     int64      // 0: the consumer is free
	producer chan bool  // where to ask for the next one
	consumer chan int64 // who is free
}

type manager struct {
	left          int64
	limit         int
	perProducer   int64
	items         []int64
	idleProducers []chan bool
	idleConsumers []chan int64
}

func (m *manager) onItem(item int64, producer chan bool) {
	if len(m.idleConsumers) > 0 {
		m.idleConsumers[0] <- item
		m.idleConsumers = m.idleConsumers[1:]
	} else {
		m.items = append(m.items, item)
	}
	if item%m.perProducer == 0 {
		return // that was its last
	}
	if len(m.items) < m.limit {
		producer <- true
	} else {
		m.idleProducers = append(m.idleProducers, producer)
	}
}

func (m *manager) onFree(consumer chan int64) {
	m.left--
	if len(m.items) == 0 {
		m.idleConsumers = append(m.idleConsumers, consumer)
		return
	}
	consumer <- m.items[0]
	m.items = m.items[1:]
	if len(m.idleProducers) > 0 {
		m.idleProducers[0] <- true
		m.idleProducers = m.idleProducers[1:]
	}
}

// The work is that of the other languages; a program in Go would use one channel with 50 places.
func boundedBuffer(params []int64) result {
	producers, consumers, size, items := params[0], params[1], params[2], params[3]
	inbox := make(chan supply, producers+consumers)
	done, sums := make(chan bool), make(chan int64, consumers)
	m := &manager{left: producers * items, limit: int(size - producers), perProducer: items}
	for i := int64(0); i < consumers; i++ {
		mine := make(chan int64, 1)
		m.idleConsumers = append(m.idleConsumers, mine)
		go func() {
			var sum int64
			for item := range mine {
				sum += item
				inbox <- supply{0, nil, mine}
			}
			sums <- sum
		}()
	}
	var asked []chan bool
	for i := int64(0); i < producers; i++ {
		mine, first := make(chan bool, 1), i*items+1
		asked = append(asked, mine)
		go func() {
			for item := first; item < first+items; item++ {
				<-mine
				inbox <- supply{item, mine, nil}
			}
		}()
	}
	go func() {
		for m.left > 0 {
			msg := <-inbox
			if msg.item != 0 {
				m.onItem(msg.item, msg.producer)
			} else {
				m.onFree(msg.consumer)
			}
		}
		done <- true
		for _, consumer := range m.idleConsumers {
			close(consumer)
		}
	}()
	begin := time.Now()
	for _, ask := range asked {
		ask <- true
	}
	<-done
	ns := since(begin)
	var sum int64
	for i := int64(0); i < consumers; i++ {
		sum += <-sums
	}
	return result{ns, 4 * producers * items, sum, 0}
}
