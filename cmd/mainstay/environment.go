package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"mainstay/lib/fault"
)

// environment is everything that a command has from outside, so that tests can
// give it something else.
type environment struct {
	in          io.Reader
	out, errOut io.Writer
	getenv      func(string) string
	now         func() time.Time
	zone        *time.Location
	// configDir holds the profiles of the user.
	configDir string
	// colour tells that out is a terminal that shows colours.
	colour bool
	// ask reads an answer from the user; a secret one is not shown.
	ask func(prompt string, secret bool) (string, error)
	// sockets are the places of the local socket, in the order in which they
	// are tried.
	sockets []string
}

func newEnvironment() *environment {
	dir, err := os.UserConfigDir()
	if err != nil {
		dir = "." // a user without a home keeps profiles where they stand
	}
	env := &environment{
		in: os.Stdin, out: os.Stdout, errOut: os.Stderr, getenv: os.Getenv, now: time.Now, zone: time.Local,
		configDir: filepath.Join(dir, "mainstay"),
		colour:    term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		sockets:   []string{"/run/mainstay/provider.sock", filepath.Join("var", "run", "provider.sock")},
	}
	env.ask = env.askUser
	return env
}

// askUser asks on the terminal, or reads a line where there is none.
func (e *environment) askUser(prompt string, secret bool) (string, error) {
	terminal := term.IsTerminal(int(os.Stdin.Fd()))
	if terminal {
		fmt.Fprint(e.errOut, prompt)
	}
	if terminal && secret {
		data, err := term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(e.errOut)
		return string(data), err
	}
	line, err := e.readLine()
	if err != nil {
		return "", fault.New(fault.Invalid, "nobody answers %q; give it by a flag, or run the command in a terminal", strings.TrimSpace(prompt))
	}
	return line, nil
}

func (e *environment) readLine() (string, error) {
	reader, ok := e.in.(*bufio.Reader)
	if !ok {
		reader = bufio.NewReader(e.in)
		e.in = reader
	}
	line, err := reader.ReadString('\n')
	if err != nil && line == "" {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
