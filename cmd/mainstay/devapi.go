package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"mainstay/adminapi"
	"mainstay/client/localapi"
	"mainstay/cmd/mainstay/config"
)

// devAdministrator signs in to the console of a trial site.
const devAdministrator = "trial"

// devToken makes a token for this machine, once the site answers.
func devToken(ctx context.Context, api *adminapi.ClientWithResponses) (string, error) {
	uses := int64(1)
	name := "this machine"
	answer, err := check(api.CreateTokenWithResponse(ctx, adminapi.NewToken{Name: &name, MaxUses: &uses}))
	if err != nil {
		return "", fmt.Errorf("cannot make a registration token: %w", err)
	}
	created, err := body(answer.JSON201)
	return created.Text, err
}

// devWelcome waits until the inventory of this machine can be read, and says
// what to try.
func devWelcome(ctx context.Context, out io.Writer, api *adminapi.ClientWithResponses, o devOptions, c config.Config, state string) error {
	say(out, "waiting for this machine's inventory")
	name, err := devAwaitInventory(ctx, out, api, state)
	if err != nil {
		return err
	}
	link, err := devSignInLink(ctx, api, o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `
Try:

    %[1]s site status
    %[1]s device list
    %[1]s device show %[2]s

Console, signs in once within ten minutes (its certificate is the site's own,
which the browser does not know):

    %[3]s

Ctrl-C stops everything; the next run finds it as it was.
`, devCommand(c.Socket), name, link)
	return err
}

// devCommand is how the command is called from this folder so that it finds
// this site and no other.
func devCommand(socket string) string {
	program := quoted(devProgram())
	env := newEnvironment()
	if env.getenv("MAINSTAY_SOCKET") == "" && env.getenv("MAINSTAY_PROFILE") == "" {
		for _, usual := range env.sockets {
			if path, err := filepath.Abs(usual); err == nil && path == socket {
				return program
			}
			if tryDial(usual) == nil {
				break // another site would be found first
			}
		}
	}
	return program + " --socket " + quoted(relative(socket))
}

// devProgram is what to write in a shell to run this program.
func devProgram() string {
	self, err := os.Executable()
	if err != nil {
		return "mainstay"
	}
	if found, err := exec.LookPath("mainstay"); err == nil && found == self {
		return "mainstay"
	}
	if short := relative(self); strings.ContainsRune(short, filepath.Separator) {
		return short
	}
	return "." + string(filepath.Separator) + filepath.Base(self)
}

// quoted makes a path one word of a shell.
func quoted(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/._-+=:@%", r)
	}) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

func relative(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && len(short) < len(path) {
		return short
	}
	return path
}

// devPatience is how long the inventory may take before that is worth a word.
const devPatience = time.Minute

// devAwaitInventory returns the name of this machine's device once its
// inventory can be read.
func devAwaitInventory(ctx context.Context, out io.Writer, api *adminapi.ClientWithResponses, state string) (string, error) {
	door := localapi.NewDoor(filepath.Join(state, "client.sock"))
	late := time.After(devPatience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		// Its door opens a moment after the client has started.
		if client, err := door.Status(ctx); err == nil && client.DeviceID != "" {
			answer, err := check(api.GetDeviceWithResponse(ctx, client.DeviceID))
			if err != nil {
				return "", fmt.Errorf("cannot find this machine in the site: %w", err)
			}
			if d, err := body(answer.JSON200); err != nil || d.InventoryAt != nil {
				return d.Name, err
			}
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-late:
			say(out, "no inventory yet; the client's log is above, and this tells how it is: mainstay-client status --state-dir %s", quoted(relative(state)))
		case <-tick.C:
		}
	}
}

// devSignInLink makes a link for the trial administrator, who is made first
// where the site has none.
func devSignInLink(ctx context.Context, api *adminapi.ClientWithResponses, o devOptions) (string, error) {
	id, err := devAdministratorID(ctx, api)
	if err != nil {
		return "", err
	}
	answer, err := check(api.CreateSignInCodeWithResponse(ctx, id))
	if err != nil {
		return "", fmt.Errorf("cannot make a sign-in link: %w", err)
	}
	code, err := body(answer.JSON201)
	if err != nil {
		return "", err
	}
	if code.URL != nil {
		return *code.URL, nil
	}
	return fmt.Sprintf("https://localhost:%d/sign-in#%s", o.admin, code.Code), nil
}

func devAdministratorID(ctx context.Context, api *adminapi.ClientWithResponses) (string, error) {
	answer, err := check(api.ListAdministratorsWithResponse(ctx, &adminapi.ListAdministratorsParams{}))
	if err != nil {
		return "", fmt.Errorf("cannot list administrators: %w", err)
	}
	list, err := body(answer.JSON200)
	if err != nil {
		return "", err
	}
	for _, a := range list.Items {
		if a.Name == devAdministrator {
			return a.ID, nil
		}
	}
	made, err := check(api.CreateAdministratorWithResponse(ctx, adminapi.NewAdministrator{Name: devAdministrator, Roles: []string{"full-administrator"}}))
	if err != nil {
		return "", fmt.Errorf("cannot make an administrator: %w", err)
	}
	administrator, err := body(made.JSON201)
	return administrator.ID, err
}
