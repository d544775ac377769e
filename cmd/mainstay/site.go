package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mainstay/cmd/mainstay/config"
	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/version"
	"mainstay/role/siteserver"
	"mainstay/site/backup"
	"mainstay/site/sitedb"
)

// newLocalSiteCommands are the commands of the noun 'site' that work on this
// machine's files and not through the API: there may be no site yet, or none
// any more.
func newLocalSiteCommands() []*cobra.Command {
	return []*cobra.Command{newSiteInitCommand(), newSiteBackupCommand(), newSiteRestoreCommand()}
}

func newSiteInitCommand() *cobra.Command {
	var path, code, name string
	cmd := &cobra.Command{
		Use:   "init --site-code LAB",
		Short: "Make a new site on this machine",
		Long: `Make a new site: its root, issuing and signing keys, its database, and this
machine as its site server. It prints the recovery key once and stores it
nowhere: whoever has it and a copy of the database or a backup can open every
secret of the site, and without it a site whose site servers are all lost
cannot be recovered. Keep it where the site is not.`,
		Example: "  mainstay site init --site-code LAB\n  mainstay site init --site-code MUC --name 'Munich' --config /etc/mainstay/mainstay.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(path)
			if err != nil {
				return err
			}
			made, err := siteserver.Init(cmd.Context(), siteserver.InitConfig{
				Database: c.DatabasePath(), Keys: c.KeysDir(), SiteCode: strings.ToUpper(code), Name: name, Now: time.Now(),
			})
			if err != nil {
				return err
			}
			return showMade(cmd.OutOrStdout(), made, "mainstay server --config "+path)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&code, "site-code", "", "three letters or digits that name the site for ever")
	cmd.Flags().StringVar(&name, "name", "", "name of the site for people")
	// A flag of this command; it cannot be missing.
	_ = cmd.MarkFlagRequired("site-code")
	return cmd
}

func showMade(w io.Writer, made siteserver.Made, next string) error {
	_, err := fmt.Fprintf(w, `Site %s is made.

Recovery key, shown this once:

    %s

Root key, sealed to the recovery key:

    %s

Write the recovery key down and copy the root key's file, and keep both away
from this machine: they open everything, and nothing else opens the root.

Start the site with: %s
`, made.Site.Code, made.RecoveryKey, made.RootKey, next)
	return err
}

func newSiteBackupCommand() *cobra.Command {
	var path, passphraseFile string
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the whole site into one encrypted file, while it runs",
		Long: `Write database, keys and configuration of the site into FILE, encrypted with a
passphrase of 12 characters or more. The site may run meanwhile. The passphrase
is asked for, read from --passphrase-file, or taken from the environment
variable MAINSTAY_PASSPHRASE.`,
		Example: "  mainstay site backup /backup/LAB-2026-05-01.mainstay",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(path)
			if err != nil {
				return err
			}
			passphrase, err := readPassphrase(cmd, passphraseFile, true)
			if err != nil {
				return err
			}
			db, err := sitedb.Open(cmd.Context(), sitedb.Config{Path: c.DatabasePath()})
			if err != nil {
				return err
			}
			defer db.Close()
			manifest, err := backup.Write(cmd.Context(), backup.Source{
				DB: db, Keys: c.KeysDir(), Config: c.File(), Scratch: filepath.Dir(args[0]), Program: version.Version, Now: time.Now(),
			}, args[0], passphrase)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Backup of site %s is in %s\n", manifest.SiteCode, args[0])
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&passphraseFile, "passphrase-file", "", "file whose first line is the passphrase")
	return cmd
}

// relocation changes where a restored site lives and listens.
type relocation struct{ data, address, clientListen, adminListen, socket string }

func newSiteRestoreCommand() *cobra.Command {
	var path, passphraseFile string
	var to relocation
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a site back from a backup",
		Long: `Put the site of a backup in the place that the configuration names, which must
be empty. When there is no file at --config, the configuration of the backup is
written there, changed by the flags. The restored site signs everything anew, so
that clients that have seen more than the backup take it. Never run it beside
the site that it is a backup of.`,
		Example: "  mainstay site restore LAB.mainstay\n  mainstay site restore LAB.mainstay --config /srv/lab/mainstay.yaml --data /srv/lab --client-listen :8453",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			passphrase, err := readPassphrase(cmd, passphraseFile, false)
			if err != nil {
				return err
			}
			return restoreSite(cmd, args[0], passphrase, path, to)
		},
	}
	configFlag(cmd, &path)
	flags := cmd.Flags()
	flags.StringVar(&passphraseFile, "passphrase-file", "", "file whose first line is the passphrase")
	flags.StringVar(&to.data, "data", "", "data folder, when the configuration of the backup is used")
	flags.StringVar(&to.address, "address", "", "address that clients use, likewise")
	flags.StringVar(&to.clientListen, "client-listen", "", "address and port for clients, likewise")
	flags.StringVar(&to.adminListen, "admin-listen", "", "address and port for administrators, likewise")
	flags.StringVar(&to.socket, "socket", "", "local socket, likewise")
	return cmd
}

func restoreSite(cmd *cobra.Command, file, passphrase, path string, to relocation) error {
	parent := filepath.Dir(path)
	if err := filesys.MakeDir(parent, 0o750); err != nil {
		return err
	}
	u, err := backup.Unpack(file, passphrase, parent)
	if err != nil {
		return err
	}
	defer os.RemoveAll(u.Dir)
	if err := relocate(u, path, to); err != nil {
		return err
	}
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	err = siteserver.Restore(cmd.Context(), u, siteserver.RestoreConfig{Database: c.DatabasePath(), Keys: c.KeysDir(), Now: time.Now()})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Site %s is as it was at %s.\nStart it with: mainstay server --config %s\n",
		u.SiteCode, u.CreatedAt.Format(time.RFC3339), path)
	return err
}

// relocate writes the configuration of the backup to path, unless there is one.
func relocate(u backup.Unpacked, path string, to relocation) error {
	if _, err := os.Stat(path); err == nil {
		if to != (relocation{}) {
			return fault.New(fault.Conflict, "%s exists; change it, or leave --data and the listen flags out", path)
		}
		return nil
	}
	c, err := config.Load(u.Config())
	if errors.Is(err, os.ErrNotExist) {
		return fault.New(fault.NotFound, "the backup has no configuration and there is none at %s; write one with 'mainstay config defaults'", path)
	}
	if err != nil {
		return err
	}
	if to.data != "" {
		c.Data, c.Database = to.data, ""
	}
	for _, change := range []struct{ from, to *string }{
		{&to.address, &c.Address}, {&to.clientListen, &c.ClientListen}, {&to.adminListen, &c.AdminListen}, {&to.socket, &c.Socket},
	} {
		if *change.from != "" {
			*change.to = *change.from
		}
	}
	data, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("cannot encode the configuration: %w", err)
	}
	if _, err := config.Parse(path, data); err != nil {
		return err
	}
	return filesys.WriteFile(path, data, 0o640)
}

// readPassphrase takes the passphrase from a file, the environment, or the
// person at the terminal, who types a new one twice.
func readPassphrase(cmd *cobra.Command, file string, isNew bool) (string, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", fault.Wrap(fault.Invalid, err, "cannot read --passphrase-file %s", file)
		}
		defer f.Close()
		line, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", fmt.Errorf("cannot read %s: %w", file, err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	if p := os.Getenv("MAINSTAY_PASSPHRASE"); p != "" {
		return p, nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", fault.New(fault.Invalid, "no terminal to ask for the passphrase; give --passphrase-file or MAINSTAY_PASSPHRASE")
	}
	first, err := askSecret(cmd, "Passphrase: ")
	if err != nil || !isNew {
		return first, err
	}
	second, err := askSecret(cmd, "Again: ")
	if err == nil && first != second {
		err = fault.New(fault.Invalid, "the passphrases differ")
	}
	return first, err
}

func askSecret(cmd *cobra.Command, prompt string) (string, error) {
	fmt.Fprint(cmd.ErrOrStderr(), prompt)
	defer fmt.Fprintln(cmd.ErrOrStderr())
	secret, err := term.ReadPassword(int(os.Stdin.Fd()))
	if err != nil {
		return "", fmt.Errorf("cannot read from the terminal: %w", err)
	}
	return string(secret), nil
}
