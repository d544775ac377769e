package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"mainstay/adminapi"
	"mainstay/cmd/mainstay/config"
	"mainstay/lib/fault"
)

// devAdministrator signs in to the console of a trial site.
const devAdministrator = "trial"

// devAPI reaches the API of a trial site through its local socket.
func devAPI(c config.Config) (*adminapi.ClientWithResponses, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
	}}
	api, err := adminapi.NewClientWithResponses("http://local/api/v1", adminapi.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		return nil, fmt.Errorf("cannot reach the API: %w", err)
	}
	return api, nil
}

// devToken makes a token for this machine, once the site answers.
func devToken(ctx context.Context, api *adminapi.ClientWithResponses) (string, error) {
	uses := int64(1)
	name := "this machine"
	answer, err := api.CreateTokenWithResponse(ctx, adminapi.NewToken{Name: &name, MaxUses: &uses})
	if err != nil {
		return "", fmt.Errorf("cannot make a registration token: %w", err)
	}
	if answer.JSON201 == nil {
		return "", apiError("make a registration token", answer.StatusCode(), answer.ApplicationProblemJSONDefault)
	}
	return answer.JSON201.Text, nil
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
		answer, err := api.ListDevicesWithResponse(ctx, &adminapi.ListDevicesParams{})
		if err != nil {
			return "", fmt.Errorf("cannot list devices: %w", err)
		}
		if answer.JSON200 == nil {
			return "", apiError("list devices", answer.StatusCode(), answer.ApplicationProblemJSONDefault)
		}
		for _, d := range answer.JSON200.Items {
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
	created, err := api.CreateAdministratorWithResponse(ctx, adminapi.NewAdministrator{Name: devAdministrator, Roles: []string{"full-administrator"}})
	if err != nil {
		return "", fmt.Errorf("cannot make an administrator: %w", err)
	}
	if code := created.StatusCode(); code != http.StatusCreated && code != http.StatusConflict {
		return "", apiError("make an administrator", code, created.ApplicationProblemJSONDefault)
	}
	id, err := devAdministratorID(ctx, api)
	if err != nil {
		return "", err
	}
	answer, err := api.CreateSignInCodeWithResponse(ctx, id)
	if err != nil {
		return "", fmt.Errorf("cannot make a sign-in link: %w", err)
	}
	if answer.JSON201 == nil {
		return "", apiError("make a sign-in link", answer.StatusCode(), answer.ApplicationProblemJSONDefault)
	}
	if answer.JSON201.URL != nil {
		return *answer.JSON201.URL, nil
	}
	return fmt.Sprintf("https://localhost:%d/sign-in#%s", o.admin, answer.JSON201.Code), nil
}

func devAdministratorID(ctx context.Context, api *adminapi.ClientWithResponses) (string, error) {
	answer, err := api.ListAdministratorsWithResponse(ctx, &adminapi.ListAdministratorsParams{})
	if err != nil {
		return "", fmt.Errorf("cannot list administrators: %w", err)
	}
	if answer.JSON200 == nil {
		return "", apiError("list administrators", answer.StatusCode(), answer.ApplicationProblemJSONDefault)
	}
	for _, a := range answer.JSON200.Items {
		if a.Name == devAdministrator {
			return a.ID, nil
		}
	}
	return "", fault.New(fault.NotFound, "the administrator %q is gone", devAdministrator)
}
