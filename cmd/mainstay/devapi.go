package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"mainstay/adminapi"
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
func devWelcome(ctx context.Context, out io.Writer, api *adminapi.ClientWithResponses, o devOptions) error {
	say(out, "waiting for this machine's inventory")
	name, err := devAwaitInventory(ctx, api)
	if err != nil {
		return err
	}
	link, err := devSignInLink(ctx, api, o)
	if err != nil {
		return err
	}
	program := "mainstay"
	if self, err := os.Executable(); err == nil {
		program = relative(self)
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
`, program, name, link)
	return err
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

func devAwaitInventory(ctx context.Context, api *adminapi.ClientWithResponses) (string, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := check(api.ListDevicesWithResponse(ctx, &adminapi.ListDevicesParams{}))
		if err != nil {
			return "", fmt.Errorf("cannot list devices: %w", err)
		}
		list, err := body(answer.JSON200)
		if err != nil {
			return "", err
		}
		for _, d := range list.Items {
			if d.InventoryAt != nil {
				return d.Name, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
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
