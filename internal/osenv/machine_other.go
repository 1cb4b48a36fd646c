//go:build !linux

package osenv

// machine is not known here: loopback is used only between daemons told to listen there.
func machine() string { return "" }
