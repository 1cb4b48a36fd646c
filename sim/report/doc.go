// Package report writes down what a simulated run did: a page for people (HTML), a verdict for
// continuous integration (JUnit), figures for programs (JSON), a log that can be read back, and a
// sequence diagram (Mermaid) of the last messages.
//
// It owns the type Run, which the runner fills. Everything here is a function of a Run and a writer:
// the same Run gives the same bytes. No output is trusted to have friendly content: names and
// details are escaped for each format, and each output has a bound on its size that does not depend
// on how long the run was, or says so. A Run is only read, so several writers may share it.
//
// Goroutines: none.
package report
