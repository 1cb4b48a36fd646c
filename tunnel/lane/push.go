package lane

// push sends what is due. Whoever comes while another one sends leaves it to that one.
func (s *session) push() {
	if s.pushes.Add(1) != 1 {
		return
	}
	for {
		n := s.pushes.Load()
		s.transmit()
		if s.pushes.CompareAndSwap(n, 0) {
			return
		}
	}
}

// transmit sends what is due over the carrier that there is now.
func (s *session) transmit() {
	s.mu.Lock()
	c, turn := s.carrier, s.turn
	s.mu.Unlock()
	if c == nil || !c.enter() {
		return
	}
	err := s.transmitOn(c, turn)
	c.leave()
	if err != nil {
		c.end() // its reader looks after the session
		return
	}
	if over, well := s.transmitted(c, turn); over {
		s.t.complete(s, c, well)
	}
}

// transmitted reports whether the session is over now that all that was due has been sent, and whether it came to its end.
func (s *session) transmitted(c *carrier, turn byte) (over, well bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.carrier != c || s.turn != turn || s.over:
		return false, false
	case s.due.said:
		s.over = true
		return true, false
	}
	well = s.completeLocked()
	return well, well
}

func (s *session) transmitOn(c *carrier, turn byte) error {
	for {
		f, p, ok := s.nextFrame(c, turn)
		if !ok {
			return c.flush()
		}
		err := c.write(f)
		p.release()
		if err != nil {
			return err
		}
	}
}

// nextFrame makes the next frame that is due. It lies in the buffer of p, if there is one, which is to be released.
func (s *session) nextFrame(c *carrier, turn byte) (frame []byte, p piece, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.carrier != c || s.turn != turn || s.over || s.asking {
		return nil, piece{}, false
	}
	ack := s.in.consumed
	switch {
	case s.due.resumed:
		s.due.resumed = false
		return numberFrame(kindResumed, turn, s.in.received, ack), piece{}, true
	case s.due.said:
		return nil, piece{}, false
	case s.due.reset:
		s.due.said = true
		return shortFrame(kindReset, turn, ack, byte(s.due.why)), piece{}, true
	case s.due.open:
		s.due.open = false
		return s.openFrame(turn), piece{}, true
	case s.due.stop:
		s.due.stop = false
		return shortFrame(kindStop, turn, ack, byte(s.due.why)), piece{}, true
	}
	if p, ok = s.out.next(maxPayload); !ok {
		if !s.in.owes(s.out.fin) {
			return nil, piece{}, false
		}
		s.in.told = ack
		return shortFrame(kindAck, turn, ack), piece{}, true
	}
	s.in.told = ack
	return dataFrame(p, turn, ack), p, true
}

// openFrame begins the session, with as many of its first bytes as fit. The caller holds mu.
func (s *session) openFrame(turn byte) []byte {
	first := append([]byte(nil), s.id[:]...)
	if p, ok := s.out.next(maxPayload - len(first)); ok {
		first = append(first, p.buf.b[p.from:p.from+p.n]...)
		p.release()
		if p.fin {
			s.out.sent-- // the end goes in a frame of its own
		}
	}
	return shortFrame(kindOpen, turn, 0, first...)
}

// dataFrame makes a frame of a part. One at the beginning of its buffer has room for the header before it.
func dataFrame(p piece, turn byte, ack uint64) []byte {
	h := header{kindData, turn, p.n, uint32(ack)}
	if p.fin {
		h.kind = kindFin
	}
	if p.buf != nil && p.from == headerSize {
		h.put(p.buf.b)
		return p.buf.b[:headerSize+p.n]
	}
	b := make([]byte, headerSize+p.n)
	h.put(b)
	if p.n > 0 {
		copy(b[headerSize:], p.buf.b[p.from:p.from+p.n])
	}
	return b
}
