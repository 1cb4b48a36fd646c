package scenario

import (
	"reflect"
	"testing"
	"time"
)

// verbCases has every verb, in every form.
func verbCases(t *testing.T) map[string]Action {
	s := func(text string) Selector { return sel(t, text) }
	lossy := Link{Loss: 0.3, named: namedLoss}
	return map[string]Action{
		"partition: [[1-10], [11-12, us-east3]]":   Partition{[]Selector{s("1-10"), s("11-12, us-east3")}},
		"partition: {sides: [eu, us-east]}":        Partition{[]Selector{s("eu"), s("us-east")}},
		"isolate: founder":                         Isolate{s("founder")},
		"isolate: {nodes: [1, 2]}":                 Isolate{s("1, 2")},
		"apart: {a: 1-3, b: us-east}":              Apart{s("1-3"), s("us-east")},
		"bridge: {a: 1-5, b: 6-9, over: [10, 11]}": Bridge{s("1-5"), s("6-9"), s("10, 11")},
		"ring: all":                        Ring{s("all")},
		"one_way: {from: eu, to: us-east}": OneWay{s("eu"), s("us-east")},
		"flap: {a: eu, b: us-east, rate: 2/s}\n  for: 9s":     Flap{s("eu"), s("us-east"), 2},
		"flap: {a: eu, b: us-east}\n  for: 9s":                Flap{s("eu"), s("us-east"), 1},
		"link: {from: 1, to: 2, both: true, loss: 30%}":       SetLink{LinkRule{11, s("1"), s("2"), true, lossy}},
		"network: {loss: 30%}":                                SetNetwork{lossy},
		"heal: all":                                           Heal{HealAll},
		"heal: partitions":                                    Heal{HealPartitions},
		"heal: {what: links}":                                 Heal{HealLinks},
		"start: random 30%":                                   Start{s("random 30%")},
		"stop: [us-east]":                                     Stop{s("us-east")},
		"kill: random 1 of not founder":                       Kill{s("random 1 of not founder")},
		"restart: all":                                        Restart{s("all"), Kept, 0},
		"restart: {nodes: 3, disk: lost}":                     Restart{s("3"), Lost, 0},
		"restart: {nodes: 3, disk: rolled_back, within: 10s}": Restart{s("3"), RolledBack, 10 * time.Second},
		"stall: {nodes: 2}\n  for: 20s":                       Stall{s("2")},
		"slow: {nodes: 2, factor: 100}":                       Slow{s("2"), 100},
		"clock: {nodes: 2, skew: -5m}":                        Clock{s("2"), -5 * time.Minute, 0},
		"clock: {nodes: 2, skew: 1h, drift: -500ppm}":         Clock{s("2"), time.Hour, -500},
		"disk: {nodes: 2, fault: full}":                       Disk{s("2"), DiskFull},
		"disk: {nodes: 2, fault: eio}":                        Disk{s("2"), DiskEIO},
		"disk: {nodes: 2, fault: readonly}":                   Disk{s("2"), DiskReadOnly},
		"disk: {nodes: 2, fault: torn}":                       Disk{s("2"), DiskTorn},
		"disk: {nodes: 2, fault: none}":                       Disk{s("2"), DiskWhole},
		"snapshot: eu1-eu5":                                   Snapshot{s("eu1-eu5")},
		"clone: {of: 3, as: twin}":                            Clone{s("3"), "twin"},
		"join: {nodes: 100, within: 1s}":                      Join{Nodes: 100, Within: time.Second},
		"join: {nodes: 5, once: true}":                        Join{Nodes: 5, Once: true},
		"promote: 2-3":                                        Promote{s("2-3")},
		"demote: 2":                                           Demote{s("2")},
		"rotate: founder":                                     Rotate{s("founder")},
		"invite: {nodes: 2}":                                  Invite{s("2")},
		"address: {nodes: eu3}":                               Address{s("eu3")},
		"udp_blocked: {nodes: eu}":                            UDPBlocked{s("eu")},
		"rebind: {group: eu}":                                 Rebind{"eu"},
		"rebind: eu":                                          Rebind{"eu"},
		"register: {service: web, on: 3}":                     Register{"web", s("3")},
		"deregister: {service: web, on: 3}":                   Deregister{"web", s("3")},
		"grant: {service: web, on: 3}":                        Grant{"web", s("3")},
		"churn: {rate: 10/s, services: 5}\n  for: 1m":         Churn{10, 5},
		"churn: {rate: 6/m}\n  for: 1m":                       Churn{0.1, 1},
		"revoke: [3, us-east]":                                Revoke{s("3, us-east"), Selector{}},
		"revoke: {nodes: 3, by: 2}":                           Revoke{s("3"), s("2")},
		"policy: {from: 3, to: web}":                          Policy{s("3"), "web", Deny},
		"policy: {to: web, action: audit}":                    Policy{Selector{}, "web", Audit},
		"insider: {node: 4, forge: dead, about: eu}":          Insider{s("4"), ForgeDead, s("eu")},
		"insider: {node: 2, forge: withhold, about: eu}":      Insider{s("2"), ForgeWithhold, s("eu")},
		"insider: {node: 2, forge: suppress, about: eu}":      Insider{s("2"), ForgeSuppress, s("eu")},
		"insider: {node: 2, forge: foreign}":                  Insider{s("2"), ForgeForeign, Selector{}},
		"insider: {node: 2, forge: replay}":                   Insider{s("2"), ForgeReplay, Selector{}},
		"insider: {node: 2, forge: bombs}":                    Insider{s("2"), ForgeBombs, Selector{}},
		"insider: {node: 2, forge: block}":                    Insider{s("2"), ForgeBlock, Selector{}},
		"insider: {node: 2, forge: mangle}":                   Insider{s("2"), ForgeMangle, Selector{}},
		"insider: {node: 2, forge: equivocate}":               Insider{s("2"), ForgeEquivocate, Selector{}},
		"insider: {node: 2, forge: endpoints}":                Insider{s("2"), ForgeEndpoints, Selector{}},
		"insider: {node: 2, forge: reflect}":                  Insider{s("2"), ForgeReflect, Selector{}},
		"insider: {node: 2, forge: future}":                   Insider{s("2"), ForgeFuture, Selector{}},
		"insider: {node: random 1, forge: flood}":             Insider{s("random 1"), ForgeFlood, Selector{}},
		"insider: {node: 4, forge: squat}":                    Insider{s("4"), ForgeSquat, Selector{}},
		"insider: {node: 4, forge: relay_drops}":              Insider{s("4"), ForgeRelayDrops, Selector{}},
		"insider: {node: 4, forge: relay_thins}":              Insider{s("4"), ForgeRelayThins, Selector{}},
		"insider: {node: 4, forge: relay_sieves}":             Insider{s("4"), ForgeRelaySieves, Selector{}},
		"insider: {node: 4, forge: relay_delays}":             Insider{s("4"), ForgeRelayDelays, Selector{}},
		"insider: {node: 4, forge: relay_alters}":             Insider{s("4"), ForgeRelayAlters, Selector{}},
		"insider: {node: 4, forge: relay_repeats}":            Insider{s("4"), ForgeRelayRepeats, Selector{}},
	}
}

// verbFile is a file with one step in line 10, and before it in time a snapshot.
func verbFile(step string) string {
	return head + "timeline:\n- at: 30s\n  " + step + "\n- {at: 0, snapshot: all}\n"
}

func TestVerbs(t *testing.T) {
	seen := map[string]bool{}
	for text, want := range verbCases(t) {
		s := parse(t, verbFile(text))
		if len(s.Timeline) != 2 || s.Timeline[1].At != 30*time.Second || s.Timeline[1].Line != 10 {
			t.Errorf("%s: %+v", text, s.Timeline)
			continue
		}
		if got := s.Timeline[1].Action; !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nis   %#v\nwant %#v", text, got, want)
		}
		seen[want.Verb()] = true
	}
	for name := range verbs() {
		if !seen[name] {
			t.Errorf("no case for %s", name)
		}
	}
}

func TestVerbsNameThemselves(t *testing.T) {
	for name, v := range verbs() {
		if got := v.parts(newReader("f")).action().Verb(); got != name {
			t.Errorf("%s calls itself %s", name, got)
		}
	}
}

func TestForIsTakenWhereItMeansSomething(t *testing.T) {
	for text, want := range verbCases(t) {
		lasts := verbs()[want.Verb()].lasts
		if lasts == mustLast {
			continue // the cases have it
		}
		_, err := Parse("f", []byte(verbFile(text+"\n  for: 5s")))
		if (err == nil) != (lasts == mayLast) {
			t.Errorf("%s with for: %v", text, err)
		}
	}
}
