package osenv

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// runsHere reports whether a process has our name and can still act. One that has ended keeps its name until its
// parent has asked how, and one that is ending until it has given everything back.
func runsHere(pid string) bool {
	proc := "/proc/" + pid
	theirs, err := os.ReadFile(proc + "/comm")
	if err != nil {
		return false
	}
	ours, err := os.ReadFile("/proc/self/comm")
	if err != nil || !bytes.Equal(theirs, ours) {
		return false
	}
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil || isEnding(stat) {
		return false
	}
	// The program is let go of before the files are. Whose program may not be seen has one.
	_, err = os.Readlink(proc + "/exe")
	return !errors.Is(err, fs.ErrNotExist)
}

// isEnding reads /proc/PID/stat: column 3 is the state, 9 the kernel's flags. The name in column 2 may hold
// anything, parentheses and spaces too.
func isEnding(stat []byte) bool {
	const exiting = 0x4                                                    // PF_EXITING
	col := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from column 3 on
	if len(col) < 7 {
		return true // it ended while it was read
	}
	flags, err := strconv.ParseUint(col[6], 10, 64)
	return strings.Contains("ZXx", col[0]) || (err == nil && flags&exiting != 0)
}
