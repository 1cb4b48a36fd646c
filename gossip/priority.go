package gossip

// Priority says which broadcasts go first: higher ones before all lower ones.
type Priority uint8

// The priorities. What is of no known form is a hint.
const (
	PriorityHint Priority = iota
	PriorityRecord
	PriorityLeave      // a goodbye: its owner is about to fall silent
	PriorityRevocation // who must not be listened to any more comes before what anybody says
)

// PriorityOf returns that of a message, by its form alone.
func PriorityOf(msg []byte) Priority {
	if len(msg) == 0 {
		return PriorityHint
	}
	switch kind(msg[0]) {
	case kindRevocation:
		return PriorityRevocation
	case kindStatement:
		return PriorityRecord
	}
	m, err := parseMessage(msg)
	switch {
	case err != nil:
		return PriorityHint
	case m.left:
		return PriorityLeave
	}
	return PriorityRecord
}

// Message is the broadcast that carries a statement; nil for one that is too long, and is fetched.
func (s *Statement) Message() []byte {
	if len(s.Raw) >= MaxBroadcast {
		return nil
	}
	form := kindStatement
	if s.Revokes {
		form = kindRevocation
	}
	return append([]byte{byte(form)}, s.Raw...)
}

// StatementIn returns the statement that a broadcast carries, a part of it; false for one that carries
// something else.
func StatementIn(msg []byte) (raw []byte, ok bool) {
	if len(msg) > 1 && (kind(msg[0]) == kindStatement || kind(msg[0]) == kindRevocation) {
		return msg[1:], true
	}
	return nil, false
}
