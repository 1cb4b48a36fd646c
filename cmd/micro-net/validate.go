package main

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/micro/micro-net/internal/config"
)

// checkedFile is what validate found in a file without mistakes.
type checkedFile struct {
	File     string   `json:"file"`
	Services []string `json:"services"`
	Policies []string `json:"policies"`
}

func (a *app) validateCommand() *cobra.Command {
	c := a.command("validate FILE… [flags]", "check service files, policy files and config.yaml without starting anything",
		"  micro-net validate /etc/micro-net/config.yaml /etc/micro-net/services.d/*.yaml\n  micro-net validate no-c.yaml",
		cobra.MinimumNArgs(1), func(ctx context.Context, files []string) error {
			out := []checkedFile{}
			var errs []error
			for _, file := range files {
				f, err := a.validate(ctx, file)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				out = append(out, f)
			}
			if err := a.print(out, func(t *table) {
				for _, f := range out {
					t.text("%s is valid, %s", f.File, f.holds())
				}
			}); err != nil {
				return err
			}
			return errors.Join(errs...)
		})
	return a.printsData(c)
}

func (a *app) validate(ctx context.Context, file string) (checkedFile, error) {
	data, err := a.readInput(ctx, "validate", file)
	if err != nil {
		return checkedFile{}, err
	}
	f := checkedFile{File: file, Services: []string{}, Policies: []string{}}
	if holdsPolicies.Match(data) {
		return a.validatePolicies(f, data)
	}
	services, errs := parseConfig(file, data)
	if len(errs) > 0 {
		return checkedFile{}, invalid("validate", errs...)
	}
	for i := range services {
		f.Services = append(f.Services, services[i].Name)
	}
	return f, nil
}

// holdsPolicies tells a policy file from others by its only key, in YAML and in JSON.
var holdsPolicies = regexp.MustCompile(`(?m)^(?:\s*\{\s*)?"?policies"?\s*:`)

func (a *app) validatePolicies(f checkedFile, data []byte) (checkedFile, error) {
	rules, errs := config.ParsePolicies(f.File, data)
	if len(errs) > 0 {
		return checkedFile{}, invalid("validate", errs...)
	}
	for i := range rules {
		f.Policies = append(f.Policies, rules[i].Name)
	}
	return f, nil
}

// holds counts what is in a file.
func (f *checkedFile) holds() string {
	if len(f.Policies) > 0 {
		return plural(len(f.Policies), "policy", "policies")
	}
	return plural(len(f.Services), "service", "services")
}

// parseConfig tells the two kinds of files apart by their names, as the daemon does. The
// environment does not matter: the file alone is checked.
func parseConfig(file string, data []byte) ([]config.Service, []error) {
	if !slices.Contains([]string{configFile, "config.yml"}, filepath.Base(file)) {
		return config.ParseServices(file, data)
	}
	nothing := func(string) string { return "" }
	loaded, err := config.Load(config.Input{Getenv: nothing, File: file, Data: data})
	if err != nil {
		return nil, []error{err}
	}
	return loaded.Services, nil
}
