package swim
import ("testing";"time";"os";"strconv";"sort")
func TestMassDbg(t *testing.T) {
	gn,_ := strconv.Atoi(os.Getenv("GN"))
	for _, n := range []int{25,50,100} {
	var took []time.Duration
	k := 20; if n==100 {k=4}
	b := time.Now()
	for range k {
	bubble(t, func(t *testing.T) {
		c := newCluster(t)
		c.profile.GossipNodes = gn
		c.startAll(n)
		took = append(took, c.converged(120 * time.Second))
	})}
	sort.Slice(took, func(i,j int) bool { return took[i]<took[j] })
	t.Log(n, "GN", gn, took, time.Since(b)/time.Duration(k))
	}
}
