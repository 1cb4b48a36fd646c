package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// passphraseVariable is where scripts put the passphrase; arguments can be seen by everybody.
const passphraseVariable = "MICRO_NET_PASSPHRASE"

// secretPerm is for files that only their owner may read.
const secretPerm = 0o600

func (a *app) nodeRootCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "root", Short: "keep the cluster's root key elsewhere, bring it back, or replace it",
		Example: "  micro-net node root export /media/usb/root\n  micro-net node root import /media/usb/root\n  micro-net node root rotate",
		Args:    unknownVerb, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.rootExportCommand(), a.rootImportCommand(), a.rootRotateCommand())
	return c
}

func (a *app) rootExportCommand() *cobra.Command {
	var phrase string
	var remove, force bool
	c := a.command("export FILE [flags]", "write the cluster's root key to a file, encrypted with a passphrase",
		"  micro-net node root export /media/usb/root\n  micro-net node root export root --passphrase-file secret --remove",
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			if err := a.mayExport(ctx, args[0]); err != nil {
				return err
			}
			if remove { // a file that was written for nothing is one more to guard
				if err := a.client().RemoveRoot(ctx, api.RootRemoval{Force: force, Check: true}); err != nil {
					return err
				}
			}
			secret, err := a.passphrase(ctx, "export", phrase, true)
			if err != nil {
				return err
			}
			sealed, err := a.exportRoot(ctx, args[0], secret)
			if err != nil || !remove {
				return err
			}
			r := api.RootRemoval{SealedRoot: api.SealedRoot{Root: sealed, Passphrase: secret}, Force: force}
			if err := a.client().RemoveRoot(ctx, r); err != nil {
				return err
			}
			fmt.Fprintln(a.err, "The key is not on this host any more. Who is to become an authority needs the file.")
			return nil
		})
	passphraseFlag(c, &phrase)
	c.Flags().BoolVar(&remove, "remove", false, "then take the key off this host")
	c.Flags().BoolVar(&force, "force", false, "with --remove: also when nobody could sign for the cluster then")
	return a.talks(c)
}

// mayExport finds what is in the way before anybody thinks of a passphrase: a place for the file, and whether the
// daemon has the key. That it objects to no passphrase at all, and to nothing else, says that it has.
func (a *app) mayExport(ctx context.Context, path string) error {
	if _, err := a.env.FS.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return micronet.E("export", micronet.Refused, "%s is there already", path).WithFix("choose another file")
	}
	if _, err := a.env.FS.Stat(filepath.Dir(path)); err != nil {
		return micronet.E("export", micronet.Refused, "the folder of the file: %w", err).WithFix("make it, or choose another file")
	}
	_, err := a.client().ExportRoot(ctx, "")
	if micronet.KindOf(err) == micronet.Invalid {
		return nil
	}
	return err
}

// exportRoot writes the file and returns what it reads back.
func (a *app) exportRoot(ctx context.Context, path, secret string) ([]byte, error) {
	out, err := a.client().ExportRoot(ctx, secret)
	if err != nil {
		return nil, err
	}
	if err := micronet.WriteFile(a.env.FS, path, out.Root, secretPerm); err != nil {
		return nil, micronet.E("export", micronet.Internal, "%w", err)
	}
	back, err := a.env.FS.ReadFile(path)
	if err != nil || !bytes.Equal(back, out.Root) {
		return nil, micronet.E("export", micronet.Internal, "%s does not hold what was written: %w", path, err)
	}
	if err := a.client().RootKept(ctx, api.SealedRoot{Root: back, Passphrase: secret}); err != nil {
		return nil, err
	}
	fmt.Fprintf(a.err, "Wrote the root key to %s. Without its passphrase it is worth nothing: keep both, apart from each other.\n", path)
	return back, nil
}

func (a *app) rootImportCommand() *cobra.Command {
	var phrase string
	c := a.command("import FILE [flags]", "give this node the cluster's root key from an exported file",
		"  micro-net node root import /media/usb/root",
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			sealed, err := a.readInput(ctx, "import", args[0])
			if err != nil {
				return err
			}
			secret, err := a.passphrase(ctx, "import", phrase, false)
			if err != nil {
				return err
			}
			if err := a.client().ImportRoot(ctx, api.SealedRoot{Root: sealed, Passphrase: secret}); err != nil {
				return err
			}
			fmt.Fprintln(a.err, "The root key is on this host now.")
			return nil
		})
	passphraseFlag(c, &phrase)
	return a.talks(c)
}

func passphraseFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "passphrase-file", "", "`FILE` whose first line is the passphrase (default: $"+passphraseVariable+", else the terminal is asked)")
}

// passphrase comes from a file, the environment or the terminal, never from an argument. A new one
// is asked for twice.
func (a *app) passphrase(ctx context.Context, op, file string, fresh bool) (string, error) {
	if file != "" {
		raw, err := a.readInput(ctx, op, file)
		line, _, _ := bytes.Cut(raw, []byte{'\n'})
		return string(bytes.TrimRight(line, "\r")), err
	}
	if v := a.env.Host.Getenv(passphraseVariable); v != "" {
		return v, nil
	}
	if !a.inTerminal {
		return "", micronet.E(op, micronet.Invalid, "there is no terminal to ask for the passphrase").WithFix("use --passphrase-file FILE, or $" + passphraseVariable)
	}
	first, err := a.askSecret("Passphrase: ")
	if err != nil || !fresh {
		return first, err
	}
	again, err := a.askSecret("Once more: ")
	if err == nil && again != first {
		err = micronet.E(op, micronet.Invalid, "the two passphrases differ")
	}
	return first, err
}

func (a *app) askSecret(prompt string) (string, error) {
	fmt.Fprint(a.err, prompt)
	b, err := a.secret()
	fmt.Fprintln(a.err)
	return string(b), err
}
