package node

import (
	"context"
	"net/netip"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

// RunDaemon runs a node with everything a daemon has, until ctx ends. started, which may be nil,
// is called once when the node is ready.
func RunDaemon(ctx context.Context, env micronet.Env, loaded config.Loaded, version string, started func(api.Status)) error {
	n, err := build(daemonConfig(env, loaded, version))
	if err != nil {
		return err
	}
	g := newGroup(ctx)
	if started != nil {
		g.run(func(ctx context.Context) error {
			if l, err := n.ready(ctx); err == nil {
				started(backend{l}.Status())
			}
			return nil
		})
	}
	err = n.Run(ctx)
	g.stop()
	return err
}

func daemonConfig(env micronet.Env, loaded config.Loaded, version string) Config {
	s := &loaded.Settings
	c := Config{
		Env: env, Name: s.Name, Cluster: s.Cluster, Join: s.Join, DataDir: s.DataDir, Mesh: s.Listen, TCP: s.TCP, NoTCP: s.NoTCP, Advertise: s.Advertise,
		Relay: RelayMode(s.Relay), PortMap: PortMapMode(s.PortMap), Lane: LaneMode(s.Lane), ExpiredGrace: s.ExpiredGrace, Version: version, Services: append(append([]config.Service{}, s.Services...), loaded.Services...),
		Daemon: &Daemon{
			API: s.APIAddr, Socket: s.APISocket, DNS: s.DNSAddr, Proxy: s.ProxyAddr, VIPs: s.VIPs, Capture: Capture(s.Capture),
			Domains: []string{s.Domain}, Upstreams: s.Upstreams, AllowFrom: s.AllowFrom, ProxyPass: s.ProxyPass,
			APIWrite: api.Write(s.APIWrite), ConfigDir: s.ConfigDir, Settings: settingsOf(loaded.Origins),
		},
	}
	if s.AltDomain != "" {
		c.Daemon.Domains = append(c.Daemon.Domains, s.AltDomain)
	}
	if s.Dev {
		c.DataDir = ""
	}
	if !c.Mesh.IsValid() {
		c.Mesh = netip.AddrPortFrom(netip.IPv6Unspecified(), meshPort)
	}
	return c
}

func settingsOf(origins []config.Origin) []api.Setting {
	out := make([]api.Setting, 0, len(origins))
	for _, o := range origins {
		out = append(out, api.Setting{Key: o.Key, Value: o.Value, Origin: o.Origin})
	}
	return out
}
