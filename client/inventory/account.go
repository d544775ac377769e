package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"mainstay/wire"
)

// administratorGroups are those whose members may become root on the usual
// distributions.
var administratorGroups = []string{"sudo", "wheel", "admin"}

// noLogin are the programs that stand in for a shell and let nobody in.
var noLogin = []string{"nologin", "false", "sync", "halt", "shutdown"}

// collectAccounts reads users and groups of the machine's own files.
func collectAccounts(_ context.Context, r *run) error {
	m := r.machine
	administrators := map[string]bool{}
	administratorIDs := map[int64]bool{}
	err := m.colonFile("/etc/group", 4, func(f []string) {
		gid, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return
		}
		members := strings.FieldsFunc(f[3], func(c rune) bool { return c == ',' || c == ' ' })
		slices.Sort(members)
		members = slices.Compact(members)
		if slices.Contains(administratorGroups, f[0]) {
			administratorIDs[gid] = true
			for _, name := range members {
				administrators[name] = true
			}
		}
		r.add(wire.ClassLocalGroup, &wire.LocalGroup{Name: f[0], GID: gid, Members: clean(strings.Join(members, ","), 32<<10)})
	})
	if err != nil {
		return err
	}
	passwords, err := m.passwordStates()
	if err != nil {
		return err
	}
	firstPerson := m.firstPerson()
	return m.colonFile("/etc/passwd", 7, func(f []string) {
		uid, uidErr := strconv.ParseInt(f[2], 10, 64)
		gid, gidErr := strconv.ParseInt(f[3], 10, 64)
		if uidErr != nil || gidErr != nil {
			return
		}
		full, _, _ := strings.Cut(f[4], ",")
		const nobody = 65534
		r.add(wire.ClassLocalUserAccount, &wire.LocalUserAccount{
			Name: f[0], UID: uid, GID: gid, FullName: clean(full, maxText), HomeDirectory: f[5], Shell: f[6],
			PasswordStatus: passwords(f[0]),
			SystemAccount:  uid < firstPerson || uid == nobody,
			LoginAllowed:   !slices.Contains(noLogin, path.Base(f[6])),
			Administrator:  uid == 0 || administrators[f[0]] || administratorIDs[gid],
		})
	})
}

// colonFile reads a file of lines with fields between colons. Lines with other
// than the wanted number of fields are those of directory services (+::) or
// damaged; the C library passes over them too.
func (m machine) colonFile(file string, fields int, visit func([]string)) error {
	err := m.lines(file, func(line []byte) bool {
		f := strings.Split(string(line), ":")
		if len(f) != fields || f[0] == "" || strings.ContainsAny(f[0][:1], "#+-") {
			return true
		}
		for i := range f {
			f[i] = clean(f[i], 32<<10)
		}
		visit(f)
		return true
	})
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", file, err)
	}
	return nil
}

// passwordStates tells of each account whether a password is set. It looks at
// the first byte of the field and keeps nothing of it.
func (m machine) passwordStates() (func(account string) string, error) {
	states := map[string]string{}
	err := m.lines("/etc/shadow", func(line []byte) bool {
		name, rest, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return true
		}
		state := "set"
		switch {
		case len(rest) == 0 || rest[0] == ':':
			state = "empty"
		case rest[0] == '!' || rest[0] == '*':
			state = "locked"
		}
		states[string(name)] = state
		clear(rest)
		return true
	})
	if errors.Is(err, fs.ErrPermission) {
		return func(string) string { return wire.NeedsRoot }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read /etc/shadow: %w", err)
	}
	return func(account string) string { return states[account] }, nil
}

// firstPerson is the lowest number that the machine gives to people.
func (m machine) firstPerson() int64 {
	first := int64(1000)
	// Without the file the usual number holds.
	_ = m.lines("/etc/login.defs", func(line []byte) bool {
		fields := strings.Fields(string(line))
		if len(fields) >= 2 && fields[0] == "UID_MIN" {
			if n, err := strconv.ParseInt(fields[1], 0, 64); err == nil {
				first = n
			}
		}
		return true
	})
	return first
}

// userNames and groupNames map numbers to names.
func (m machine) userNames() map[uint32]string  { return m.idNames("/etc/passwd", 7) }
func (m machine) groupNames() map[uint32]string { return m.idNames("/etc/group", 4) }

func (m machine) idNames(file string, fields int) map[uint32]string {
	names := map[uint32]string{}
	// Without the file the numbers stand for themselves.
	_ = m.colonFile(file, fields, func(f []string) {
		if id, err := strconv.ParseUint(f[2], 10, 32); err == nil && names[uint32(id)] == "" {
			names[uint32(id)] = f[0]
		}
	})
	return names
}

// nameOf is the name of a number, or the number.
func nameOf(names map[uint32]string, id uint32) string {
	if name := names[id]; name != "" {
		return name
	}
	return strconv.FormatUint(uint64(id), 10)
}
