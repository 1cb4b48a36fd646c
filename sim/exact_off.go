//go:build !simdet

package sim

// Exact says that a seed repeats to the bit: the program was built with the runtime of package simdet.
const Exact = false

// beExact prepares the process for that.
func beExact(uint64) {}
