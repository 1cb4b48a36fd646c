package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

const configFile = "config.yaml"

func (a *app) upCommand() *cobra.Command {
	flags := map[string]*settingFlag{}
	c := &cobra.Command{
		Use:   "up [flags]",
		Short: "run the daemon in the foreground",
		Long: `Runs the daemon in the foreground. The first start without --join makes a new cluster.
Each flag --x-y is also $MICRO_NET_X_Y, and x_y in config.yaml; flag beats environment beats file.
Ctrl-C or SIGTERM says goodbye to the mesh and stops; a second one stops at once.`,
		Example: `  micro-net up
  micro-net up --join @token
  micro-net up --name worker-7 --service web:8080/http
  micro-net up --api-addr 127.0.0.1:0 --dns-addr off --listen :9000`,
		Args: checked(noArgs), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), flags) },
	}
	c.Flags().SortFlags = false
	for _, s := range config.Specs() {
		f := &settingFlag{placeholder: s.Value, list: s.Kind == config.KindList, shown: s.Default}
		flag := c.Flags().VarPF(f, s.Key, "", s.Help)
		if s.Kind == config.KindBool {
			f.placeholder, flag.NoOptDefVal = "bool", "true"
		}
		flags[s.Key] = f
	}
	return c
}

// settingFlag is a flag whose value is checked later, together with environment and file.
type settingFlag struct {
	placeholder, shown string
	list               bool
	values             []string // nil: not given
}

func (f *settingFlag) String() string { return f.shown }
func (f *settingFlag) Type() string   { return f.placeholder }

func (f *settingFlag) Set(s string) error {
	if !f.list {
		f.values = f.values[:0]
	}
	f.values = append(f.values, s)
	return nil
}

// load reads flags, environment and config.yaml.
func (a *app) load(flags map[string]*settingFlag) (config.Loaded, error) {
	in := config.Input{
		Flags: map[string][]string{}, Getenv: a.env.Host.Getenv, Environ: a.environ, UID: a.env.Host.UID,
	}
	for key, f := range flags {
		if f.values != nil {
			in.Flags[key] = f.values
		}
	}
	in.File = a.configPath(flags)
	data, err := a.env.FS.ReadFile(in.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return config.Loaded{}, err
	}
	in.Data = data
	return config.Load(in)
}

// configPath is where config.yaml is looked for.
func (a *app) configPath(flags map[string]*settingFlag) string {
	dir := ""
	if f := flags["config-dir"]; f != nil && len(f.values) > 0 {
		dir = f.values[0]
	}
	return filepath.Join(config.ConfigDir(dir, a.env.Host.Getenv, a.env.Host.UID), configFile)
}

// looseConfig is what not everybody may do with config.yaml: its services may have checks that run
// commands.
const looseConfig = 0o002

// checkConfig refuses a config.yaml that others than root and this user can have written.
func (a *app) checkConfig(path string) error {
	err := micronet.CheckFile(a.env.FS, path, a.env.Host.UID, looseConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (a *app) up(ctx context.Context, flags map[string]*settingFlag) error {
	loaded, err := a.load(flags)
	if err != nil {
		return invalid("up", err)
	}
	s := &loaded.Settings
	if err := a.checkConfig(a.configPath(flags)); err != nil {
		return err
	}
	env := a.env
	env.Log = newLog(a.err, s.LogLevel, s.LogFormat)
	if err := a.harden(); err != nil {
		env.Log.Warn("core files may hold the keys of this node", "err", err)
	}
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	signals := a.env.Exec.Signals(watching, syscall.SIGINT, syscall.SIGTERM)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan error, 1)
	go func() { ended <- a.live(ctx, env, loaded) }()
	select {
	case err := <-ended:
		return err
	case <-signals:
		stop(errInterrupted)
	}
	select {
	case err := <-ended:
		return err
	case <-signals:
		return errInterrupted
	}
}

// live reads the token and runs the daemon.
func (a *app) live(ctx context.Context, env micronet.Env, loaded config.Loaded) error {
	token, err := a.token(ctx, "up", loaded.Settings.Join)
	if err != nil {
		return err
	}
	loaded.Settings.Join = token
	for _, w := range loaded.Warnings {
		env.Log.Warn(w)
	}
	return a.daemon(ctx, env, loaded, a.build.Version, func(s api.Status) {
		env.Log.Info("ready", "node", s.Node.Name, "cluster", s.Node.Cluster, "mesh", s.Listeners.Mesh, "api", s.Listeners.API, "dns", s.Listeners.DNS)
		if a.outTerminal && token == "" {
			a.tellHowToInvite(&s)
		}
	})
}
