package provider

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"

	"mainstay/lib/fault"
)

// OwnSocket gives the file of the local socket to the group whose members may
// administer the site. Where there is no such group, or this process may not
// give to it, the socket is for its owner (and root) alone.
func OwnSocket(path, group string) error {
	mode := os.FileMode(0o600)
	if found, err := user.LookupGroup(group); err == nil {
		gid, err := strconv.Atoi(found.Gid)
		if err == nil && os.Chown(path, -1, gid) == nil {
			mode = 0o660
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("cannot set the mode of the local socket %s: %w", path, err)
	}
	return nil
}

type peerKey struct{}

// peer is the process at the other end of a Unix socket, as the kernel says.
type peer struct {
	cred *syscall.Ucred
	err  error
}

// ConnContext asks the kernel who is at the other end of a Unix socket. It is
// for http.Server.ConnContext of a server with LocalHandler.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	p := peer{}
	p.cred, p.err = credentials(conn)
	return context.WithValue(ctx, peerKey{}, p)
}

func credentials(conn net.Conn) (*syscall.Ucred, error) {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = wrapped.NetConn()
	}
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fault.New(fault.Denied, "the connection is no Unix socket")
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *syscall.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		cred, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err == nil {
		err = asked
	}
	return cred, err
}

// localUser is the name of the user at the other end, if they may administer
// the site: root, the user that this process runs as, and members of the group.
func (p *Provider) localUser(ctx context.Context) (string, error) {
	from, ok := ctx.Value(peerKey{}).(peer)
	if !ok || from.err != nil || from.cred == nil {
		return "", fault.Wrap(fault.Denied, from.err, "the operating system does not say who is at the other end of the socket")
	}
	uid := strconv.FormatUint(uint64(from.cred.Uid), 10)
	name := "uid-" + uid
	account, err := user.LookupId(uid)
	if err == nil {
		name = account.Username
	}
	if from.cred.Uid == 0 || int(from.cred.Uid) == os.Getuid() {
		return name, nil
	}
	if account != nil && p.inGroup(account, from.cred.Gid) {
		return name, nil
	}
	return "", fault.New(fault.Denied, "user %s may not administer the site through the local socket; root and members of the group %s may ('usermod -aG %s %s', then sign in again)", name, p.c.Group, p.c.Group, name)
}

// inGroup tells whether a user belongs to the group; the process may have it as
// its group for the moment only.
func (p *Provider) inGroup(account *user.User, gid uint32) bool {
	group, err := user.LookupGroup(p.c.Group)
	if err != nil {
		return false
	}
	if group.Gid == strconv.FormatUint(uint64(gid), 10) {
		return true
	}
	groups, err := account.GroupIds()
	return err == nil && slices.Contains(groups, group.Gid)
}
