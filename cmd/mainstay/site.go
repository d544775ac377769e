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

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mainstay/cmd/mainstay/config"
	"mainstay/lib/fault"
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
				return mayNot(err)
			}
			return showMade(cmd.OutOrStdout(), made, startLine(path))
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

// startLine is how a site is started whose configuration is at path.
func startLine(path string) string {
	if info, err := os.Stat("/run/systemd/system"); path == defaultConfig && err == nil && info.IsDir() {
		return "systemctl enable --now mainstay"
	}
	return "mainstay server --config " + path
}

// needSite refuses to work where no site is; opening its database would make
// an empty one.
func needSite(c config.Config) error {
	_, err := os.Stat(c.DatabasePath())
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fault.New(fault.NotFound, "there is no site at %s, which %s names; make one with 'mainstay site init', or give the right --config", c.DatabasePath(), c.File())
	case err != nil:
		return mayNot(err)
	}
	return nil
}

// mayNot tells who is not root what would help.
func mayNot(err error) error {
	if errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 {
		return fault.Wrap(fault.Denied, err, "this needs root; run it with sudo")
	}
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
variable MAINSTAY_PASSPHRASE. Nothing opens the file without it.

The data folder must have room for a copy of the database meanwhile.`,
		Example: "  mainstay site backup /backup/LAB-2026-05-01.mainstay\n" +
			"  mainstay site backup --passphrase-file /root/passphrase /backup/LAB-$(date +%F).mainstay",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(path)
			if err != nil {
				return err
			}
			passphrase, err := readPassphrase(cmd, passphraseFile, true)
			if err != nil {
				return err
			}
			if err := needSite(c); err != nil {
				return err
			}
			db, err := sitedb.Open(cmd.Context(), sitedb.Config{Path: c.DatabasePath()})
			if err != nil {
				return err
			}
			defer db.Close()
			manifest, err := backup.Write(cmd.Context(), backup.Source{
				DB: db, Keys: c.KeysDir(), Config: c.File(), Scratch: filepath.Dir(c.DatabasePath()), Program: version.Version, Now: time.Now(),
			}, args[0], passphrase)
			if err != nil {
				return mayNot(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Backup of site %s is in %s\n", manifest.SiteCode, args[0])
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&passphraseFile, "passphrase-file", "", "file whose first line is the passphrase")
	return cmd
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
