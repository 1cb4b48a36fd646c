// Package policy decides who may call what: rules, the decision, and the form in which a rule is
// signed and replicated.
//
//	file ─▶ Rule ─▶ Encode ─▶ (statement of an authority) ─▶ Decode ─▶ Compile ─▶ Snapshot ─▶ Judge
//
// A rule names callers and services by patterns; what it leaves out means any. Deny wins over allow.
// What no rule decides is allowed inside a cluster and denied across links. An audit rule never
// changes the decision; it says what a deny in its place would have refused.
//
// A rule that this version does not wholly understand denies what the part that it understands covers:
// an older node must never let pass what a newer one refuses.
//
// Everything here is pure. A Snapshot is immutable and is read without a lock.
//
// Goroutines: none.
package policy
