package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
	"mainstay/lib/fault"
)

const deviceFilterColumns = "id name os os_version arch client_version addresses serial product_uuid machine_id blocked conflict copy_of registered_by registered_at seen_at heartbeat_at policy_at inventory_at certificate_ends_at queued"

func (p *program) newDeviceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "device",
		Short: "See managed machines, their inventory and its history; block and delete them",
	}
	cmd.AddCommand(
		p.newDeviceListCommand(), p.newDeviceShowCommand(), p.newDeviceHistoryCommand(),
		p.newDeviceBlockCommand(), p.newDeviceUnblockCommand(), p.newDeviceDeleteCommand(),
	)
	return cmd
}

func (p *program) newDeviceListCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List devices",
		Example: `  mainstay device list
  mainstay device list --filter 'name~web and blocked=false' --sort -seen_at
  mainstay device list --filter 'seen_at<7d' -o csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			items, err := p.devices(cmd.Context(), api, o)
			if err != nil {
				return err
			}
			return printList(p, items, p.deviceColumns())
		},
	}
	listFlags(cmd, &o, deviceFilterColumns)
	return cmd
}

func (p *program) deviceColumns() []column[adminapi.Device] {
	type d = adminapi.Device
	return []column[d]{
		{head: "name", cell: func(d d) string { return d.Name }},
		{head: "id", cell: func(d d) string { return short(d.ID) }, raw: func(d d) string { return d.ID }},
		{head: "state", cell: func(d d) string { return string(d.Activity) }, tone: activityTone},
		{head: "seen", cell: func(d d) string { return p.ago(d.SeenAt) }, raw: func(d d) string { return maybeStamp(d.SeenAt) }},
		{head: "os", cell: func(d d) string { return strings.TrimSpace(d.Os + " " + d.OsVersion) }},
		{head: "arch", cell: func(d d) string { return d.Arch }},
		{head: "addresses", cell: func(d d) string { return firstFew(d.Addresses, 2) }, raw: func(d d) string { return strings.Join(d.Addresses, " ") }},
		{head: "client", cell: func(d d) string { return d.ClientVersion }},
	}
}

func activityTone(d adminapi.Device) tone {
	switch d.Activity {
	case "active":
		return good
	case "blocked":
		return bad
	}
	return doubtful
}

// firstFew joins the first of several texts and says how many are left out.
func firstFew(texts []string, most int) string {
	if len(texts) <= most {
		return strings.Join(texts, " ")
	}
	return strings.Join(texts[:most], " ") + " +" + strconv.Itoa(len(texts)-most)
}

func (p *program) devices(ctx context.Context, api *adminapi.ClientWithResponses, o listOptions) ([]adminapi.Device, error) {
	return pages(p, o, func(cursor *string, limit int64) ([]adminapi.Device, *string, error) {
		answer, err := check(api.ListDevicesWithResponse(ctx, &adminapi.ListDevicesParams{Filter: given(o.filter), Sort: given(o.sort), Cursor: cursor, Limit: &limit}))
		if err != nil {
			return nil, nil, err
		}
		page, err := body(answer.JSON200)
		return page.Items, page.Next, err
	})
}

// deviceMeant finds the device that a user means by its name, its identifier,
// or the beginning of its identifier.
func (p *program) deviceMeant(ctx context.Context, api *adminapi.ClientWithResponses, meant string) (adminapi.Device, error) {
	if strings.TrimSpace(meant) == "" {
		return adminapi.Device{}, fault.New(fault.Invalid, "the name of the device is empty")
	}
	items, err := p.devices(ctx, api, listOptions{filter: "name=" + quote(meant), limit: 50})
	if err != nil {
		return adminapi.Device{}, err
	}
	if len(items) == 0 {
		if items, err = p.devices(ctx, api, listOptions{filter: "id~" + quote(meant), limit: 50}); err != nil {
			return adminapi.Device{}, err
		}
	}
	if len(items) == 0 {
		if items, err = p.devices(ctx, api, listOptions{filter: "name~" + quote(meant), limit: 50}); err != nil {
			return adminapi.Device{}, err
		}
	}
	return pick("device", meant, items, func(d adminapi.Device) string { return d.ID }, func(d adminapi.Device) string { return d.Name })
}

// quote makes a text a value of a filter.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func (p *program) completeDevices(many bool) cobra.CompletionFunc {
	return p.complete(many, func(ctx context.Context, api *adminapi.ClientWithResponses, begun string) ([]string, error) {
		o := listOptions{limit: 100}
		if begun != "" {
			o.filter = "name~" + quote(begun)
		}
		items, err := p.devices(ctx, api, o)
		names := []string{}
		for _, d := range items {
			names = append(names, d.Name+"\t"+strings.TrimSpace(d.Os+" "+d.OsVersion+" "+string(d.Activity)))
		}
		return names, err
	})
}

func (p *program) newDeviceBlockCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:               "block DEVICE --reason TEXT",
		Short:             "Shut a device out",
		Long:              "Shut a device out: within a second no management point talks to it. It keeps its\nrecord, and the policy that it has.",
		Example:           "  mainstay device block web1 --reason 'stolen on Tuesday'",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeDevices(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDevice(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, d adminapi.Device) error {
				answer, err := check(api.BlockDeviceWithResponse(cmd.Context(), d.ID, adminapi.Reason{Reason: reason}))
				if err != nil {
					return err
				}
				return p.printDone(answer.JSON200, "Device %s is blocked.", d.Name)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever wonders later")
	mustGive(cmd, "reason")
	return cmd
}

// mustGive makes a flag required.
func mustGive(cmd *cobra.Command, flag string) {
	// The flag was defined just before: it cannot be missing.
	_ = cmd.MarkFlagRequired(flag)
}

func (p *program) withDevice(ctx context.Context, meant string, f func(*adminapi.ClientWithResponses, adminapi.Device) error) error {
	api, err := p.connect()
	if err != nil {
		return err
	}
	d, err := p.deviceMeant(ctx, api, meant)
	if err != nil {
		return err
	}
	return f(api, d)
}

func (p *program) newDeviceUnblockCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "unblock DEVICE",
		Short:             "Let a blocked device in again",
		Example:           "  mainstay device unblock web1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeDevices(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDevice(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, d adminapi.Device) error {
				answer, err := check(api.UnblockDeviceWithResponse(cmd.Context(), d.ID))
				if err != nil {
					return err
				}
				return p.printDone(answer.JSON200, "Device %s is let in again.", d.Name)
			})
		},
	}
}

func (p *program) newDeviceDeleteCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete DEVICE",
		Short: "Forget a device with its inventory and history",
		Long: `Forget a device: its record, inventory, history and messages are removed. A
client that still runs there must register again; to keep it out, use
'mainstay device block' instead.`,
		Example:           "  mainstay device delete web1\n  mainstay device delete 0d9f1c2e --yes",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeDevices(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDevice(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, d adminapi.Device) error {
				if err := p.confirm(yes, "Delete device "+d.Name+" ("+d.ID+") with its inventory and history?"); err != nil {
					return err
				}
				if _, err := check(api.DeleteDeviceWithResponse(cmd.Context(), d.ID)); err != nil {
					return err
				}
				return p.printDone(map[string]string{"id": d.ID, "name": d.Name}, "Device %s is deleted.", d.Name)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// confirm asks before something that cannot be undone.
func (p *program) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	answer, err := p.env.ask(printable(question)+" (yes/no) ", false)
	if err != nil {
		return fault.New(fault.Invalid, "nobody confirms it; use --yes")
	}
	if !strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return fault.New(fault.Conflict, "not confirmed; nothing was done")
	}
	return nil
}
