package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"mainstay/cmd/mainstay/config"
	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/role/siteserver"
	"mainstay/site/backup"
)

// relocation changes where a restored site lives and listens.
type relocation struct{ data, address, clientListen, adminListen, socket string }

// restoration is one run of 'site restore'.
type restoration struct {
	path string
	to   relocation
	now  time.Time

	// settled while the backup is opened
	config config.Config
	// text is the configuration to write to path; nil keeps what is there.
	text []byte
	// made is the data folder where it was not there before.
	made string
}

func newSiteRestoreCommand() *cobra.Command {
	var passphraseFile string
	r := restoration{now: time.Now()}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a site back from a backup",
		Long: `Put the site of a backup in the place that the configuration names, which must
be empty. Where there is no file at --config, or only the defaults that the
package brought, the configuration of the backup is written there, changed by
the flags. The restored site signs everything anew, so that clients that have
seen more than the backup take it.

Never run it beside the site that it is a backup of.`,
		Example: "  mainstay site restore LAB.mainstay\n  mainstay site restore LAB.mainstay --config /srv/lab/mainstay.yaml --data /srv/lab --client-listen :8453",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			passphrase, err := readPassphrase(cmd, passphraseFile, false)
			if err != nil {
				return err
			}
			if r.path, err = filepath.Abs(r.path); err != nil {
				return fmt.Errorf("cannot resolve %s: %w", r.path, err)
			}
			return mayNot(r.run(cmd, args[0], passphrase))
		},
	}
	configFlag(cmd, &r.path)
	flags := cmd.Flags()
	flags.StringVar(&passphraseFile, "passphrase-file", "", "file whose first line is the passphrase")
	flags.StringVar(&r.to.data, "data", "", "data folder, when the configuration of the backup is used")
	flags.StringVar(&r.to.address, "address", "", "address that clients use, likewise")
	flags.StringVar(&r.to.clientListen, "client-listen", "", "address and port for clients, likewise")
	flags.StringVar(&r.to.adminListen, "admin-listen", "", "address and port for administrators, likewise")
	flags.StringVar(&r.to.socket, "socket", "", "local socket, likewise")
	return cmd
}

func (r *restoration) run(cmd *cobra.Command, file, passphrase string) (err error) {
	defer func() {
		if err != nil && r.made != "" {
			// Only an empty one goes, which is what a refusal leaves.
			_ = os.Remove(r.made)
		}
	}()
	u, err := backup.Unpack(file, passphrase, r.place)
	if err != nil {
		return err
	}
	defer os.RemoveAll(u.Dir)
	undo, err := r.writeConfig()
	if err != nil {
		return err
	}
	if err := siteserver.Restore(cmd.Context(), u, r.target()); err != nil {
		return errors.Join(err, undo())
	}
	whose := "the one that was there"
	if r.text != nil {
		whose = "that of the backup"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `Site %s is as it was at %s.
Its configuration is %s, %s.

Start it with: %s
Never run it beside the site that it is a backup of.
`, u.SiteCode, u.CreatedAt.Format(time.RFC3339), r.path, whose, startLine(r.path))
	return err
}

func (r *restoration) target() siteserver.RestoreConfig {
	return siteserver.RestoreConfig{Database: r.config.DatabasePath(), Keys: r.config.KeysDir(), Now: r.now}
}

// place decides on the configuration, and so on where the site goes to.
func (r *restoration) place(_ backup.Manifest, packed []byte) (string, error) {
	if err := r.configure(packed); err != nil {
		return "", err
	}
	if err := r.target().CheckTarget(); err != nil {
		return "", err
	}
	parent := filepath.Dir(r.config.DatabasePath())
	if _, err := os.Stat(parent); errors.Is(err, os.ErrNotExist) {
		r.made = parent
	}
	return parent, filesys.MakeDir(parent, 0o700)
}

// configure takes the configuration at path, or that of the backup where there
// is none that anybody wrote.
func (r *restoration) configure(packed []byte) error {
	there, err := config.Load(r.path)
	switch {
	case err == nil && !there.IsDefault():
		r.config = there
		if r.to != (relocation{}) {
			return fault.New(fault.Conflict, "%s exists; change it, or leave --data, --address, --socket and the listen flags out", r.path)
		}
		return nil
	case err == nil && packed == nil:
		r.config = there
		return nil
	case err != nil && !fault.Is(err, fault.NotFound):
		return err
	case packed == nil:
		return fault.New(fault.NotFound, "the backup has no configuration and there is none at %s; write one with 'mainstay config defaults > %s'", r.path, r.path)
	}
	was, err := config.Parse("the configuration in the backup", packed)
	if err != nil {
		return err
	}
	if r.text, err = r.to.change(was, packed); err != nil {
		return err
	}
	r.config, err = config.Parse(r.path, r.text)
	return err
}

// change is the text of a configuration after the relocation; without one it
// stays with all its comments.
func (to relocation) change(c config.Config, text []byte) ([]byte, error) {
	if to == (relocation{}) {
		return text, nil
	}
	if to.data != "" {
		data, err := filepath.Abs(to.data)
		if err != nil {
			return nil, fmt.Errorf("cannot resolve %s: %w", to.data, err)
		}
		c.Data, c.Database = data, ""
	}
	for _, change := range []struct{ from, to *string }{
		{&to.address, &c.Address}, {&to.clientListen, &c.ClientListen}, {&to.adminListen, &c.AdminListen}, {&to.socket, &c.Socket},
	} {
		if *change.from != "" {
			*change.to = *change.from
		}
	}
	changed, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the configuration: %w", err)
	}
	return changed, nil
}

// writeConfig writes the configuration of the backup and returns what puts
// things back.
func (r *restoration) writeConfig() (undo func() error, err error) {
	if r.text == nil {
		return func() error { return nil }, nil
	}
	before, err := os.ReadFile(r.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot read %s: %w", r.path, err)
	}
	undo = func() error {
		if before == nil {
			return filesys.Remove(r.path)
		}
		return writeForServer(r.path, before)
	}
	folder := filepath.Dir(r.path)
	if err := filesys.MakeDir(folder, 0o750); err != nil {
		return nil, err
	}
	return undo, writeForServer(r.path, r.text)
}

// writeForServer writes a configuration that the server's group may read where
// it may read the folder.
func writeForServer(path string, text []byte) error {
	if err := filesys.WriteFile(path, text, 0o640); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("cannot look at the folder of %s: %w", path, err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := os.Chown(path, -1, int(owner.Gid)); err != nil {
			return fmt.Errorf("cannot give %s to the group of its folder: %w", path, err)
		}
	}
	return nil
}
