package swim
import ("testing";"time";micronet "github.com/micro/micro-net";"os";"strconv";"sort")
func TestDbg(t *testing.T) {
	mm,_ := strconv.Atoi(os.Getenv("MM"))
	for _, n := range []int{5,10} {
	for _, out := range []time.Duration{1500*time.Millisecond, 2500*time.Millisecond} {
	bad:=0
	for range 40 {
	bubble(t, func(t *testing.T) {
		c := newCluster(t)
		c.profile.SuspicionMaxMult = mm
		c.startAll(n)
		c.converged(5 * time.Second)
		time.Sleep(7*time.Second)
		victim := c.nodes[n-1].self.id
		c.fabric.isolate(victim)
		time.Sleep(out)
		c.fabric.setCut(nil)
		for range 80 {
			time.Sleep(500*time.Millisecond)
			if !c.all(func(m *member) bool { return m.count(micronet.Dead)==0 }) { bad++; return }
		}
	})}
	t.Log(n, out, "false deads in", bad, "of 40")
	}}
}
func TestKillDbg(t *testing.T) {
	mm,_ := strconv.Atoi(os.Getenv("MM"))
	for _, n := range []int{3,10,30} {
	var took []time.Duration
	for range 60 {
	bubble(t, func(t *testing.T) {
		c := newCluster(t)
		c.profile.SuspicionMaxMult = mm
		c.startAll(n)
		c.converged(5 * time.Second)
		time.Sleep(10*time.Second)
		victim := c.nodes[n-1]
		c.kill(victim)
		took = append(took, c.within(60*time.Second, "dead", func(m *member) bool { return m.status(victim.self.id)==micronet.Dead }))
	})}
	sort.Slice(took, func(i,j int) bool { return took[i]<took[j] })
	t.Log(n, "p50", took[30], "p90", took[54], "p98", took[58], "max", took[59])
	}
}
