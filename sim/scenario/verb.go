package scenario

func (Partition) action()  {}
func (Isolate) action()    {}
func (Apart) action()      {}
func (Bridge) action()     {}
func (Ring) action()       {}
func (OneWay) action()     {}
func (Flap) action()       {}
func (SetLink) action()    {}
func (SetNetwork) action() {}
func (Heal) action()       {}
func (Start) action()      {}
func (Stop) action()       {}
func (Kill) action()       {}
func (Restart) action()    {}
func (Stall) action()      {}
func (Slow) action()       {}
func (Clock) action()      {}
func (Disk) action()       {}
func (Snapshot) action()   {}
func (Clone) action()      {}
func (Join) action()       {}
func (Address) action()    {}
func (UDPBlocked) action() {}
func (Rebind) action()     {}
func (Register) action()   {}
func (Deregister) action() {}
func (Policy) action()     {}
func (Grant) action()      {}
func (Churn) action()      {}
func (Revoke) action()     {}
func (Insider) action()    {}
func (Promote) action()    {}
func (Demote) action()     {}
func (Rotate) action()     {}
func (Invite) action()     {}

// Verb returns "partition".
func (Partition) Verb() string { return "partition" }

// Verb returns "isolate".
func (Isolate) Verb() string { return "isolate" }

// Verb returns "apart".
func (Apart) Verb() string { return "apart" }

// Verb returns "bridge".
func (Bridge) Verb() string { return "bridge" }

// Verb returns "ring".
func (Ring) Verb() string { return "ring" }

// Verb returns "one_way".
func (OneWay) Verb() string { return "one_way" }

// Verb returns "flap".
func (Flap) Verb() string { return "flap" }

// Verb returns "link".
func (SetLink) Verb() string { return "link" }

// Verb returns "network".
func (SetNetwork) Verb() string { return "network" }

// Verb returns "heal".
func (Heal) Verb() string { return "heal" }

// Verb returns "start".
func (Start) Verb() string { return "start" }

// Verb returns "stop".
func (Stop) Verb() string { return "stop" }

// Verb returns "kill".
func (Kill) Verb() string { return "kill" }

// Verb returns "restart".
func (Restart) Verb() string { return "restart" }

// Verb returns "stall".
func (Stall) Verb() string { return "stall" }

// Verb returns "slow".
func (Slow) Verb() string { return "slow" }

// Verb returns "clock".
func (Clock) Verb() string { return "clock" }

// Verb returns "disk".
func (Disk) Verb() string { return "disk" }

// Verb returns "snapshot".
func (Snapshot) Verb() string { return "snapshot" }

// Verb returns "clone".
func (Clone) Verb() string { return "clone" }

// Verb returns "join".
func (Join) Verb() string { return "join" }

// Verb returns "address".
func (Address) Verb() string { return "address" }

// Verb returns "udp_blocked".
func (UDPBlocked) Verb() string { return "udp_blocked" }

// Verb returns "rebind".
func (Rebind) Verb() string { return "rebind" }

// Verb returns "register".
func (Register) Verb() string { return "register" }

// Verb returns "deregister".
func (Deregister) Verb() string { return "deregister" }

// Verb returns "grant".
func (Grant) Verb() string { return "grant" }

// Verb returns "churn".
func (Churn) Verb() string { return "churn" }

// Verb returns "revoke".
func (Revoke) Verb() string { return "revoke" }

// Verb returns "policy".
func (Policy) Verb() string { return "policy" }

// Verb returns "insider".
func (Insider) Verb() string { return "insider" }

// Verb returns "promote".
func (Promote) Verb() string { return "promote" }

// Verb returns "demote".
func (Demote) Verb() string { return "demote" }

// Verb returns "rotate".
func (Rotate) Verb() string { return "rotate" }

// Verb returns "invite".
func (Invite) Verb() string { return "invite" }
