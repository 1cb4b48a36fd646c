package osenv

// notify tells a watcher that something changed; changes it has not taken yet are one.
func notify(changed chan struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}
