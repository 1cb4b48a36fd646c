package swim
import ("testing";"time";micronet "github.com/micro/micro-net";"os";"strconv")
func TestDbgLoss(t *testing.T) {
	mult,_ := strconv.Atoi(os.Getenv("SM"))
	rm,_ := strconv.Atoi(os.Getenv("RM"))
	bad, sus, samples := 0, 0, 0
	for range 6 {
	bubble(t, func(t *testing.T) {
		c := newCluster(t)
		c.profile.SuspicionMult = mult
		c.profile.RetransmitMult = rm
		c.startAll(10)
		c.converged(5 * time.Second)
		c.fabric.setLoss(0.3)
		was := map[[2]int]bool{}
		for end := time.Now().Add(20 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			for i, m := range c.nodes {
				for j, o := range c.nodes {
					if i==j {continue}
					s := m.status(o.self.id)
					samples++
					if s == micronet.Suspect { sus++ }
					d := s == micronet.Dead
					if d && !was[[2]int{i,j}] { bad++ }
					was[[2]int{i,j}] = d
				}
			}
		}
	})}
	t.Log("SM", mult, "RM", rm, "false dead views in 2h x 10:", bad, "suspect share", float64(sus)/float64(samples))
}
