package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
	"mainstay/lib/fault"
)

const defaultOrder = 10000

func (p *program) newClientSettingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "client-setting",
		Short: "Say how clients behave: default and custom client settings",
		Long: `Client settings say how clients behave. The default client settings apply to
every device. Custom client settings hold only chosen settings and are deployed
to devices; where several say something, the one with the lowest order number
wins, setting by setting, and lists are put together.`,
	}
	cmd.AddCommand(
		p.newSettingListCommand(), p.newSettingShowCommand(), p.newSettingCreateCommand(), p.newSettingEditCommand(), p.newSettingDeleteCommand(),
		p.newSettingMoveCommand(), p.newSettingDeployCommand(), p.newSettingWithdrawCommand(), p.newSettingResultantCommand(), p.newSettingKeysCommand(),
	)
	return cmd
}

func (p *program) newSettingListCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List client settings in their order",
		Example: "  mainstay client-setting list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			items, err := p.settings(cmd.Context(), api, o)
			if err != nil {
				return err
			}
			type s = adminapi.ClientSetting
			return printList(p, items, []column[s]{
				{head: "order", cell: func(s s) string { return orderText(s.Order) }, raw: func(s s) string { return fmt.Sprint(s.Order) }, right: true},
				{head: "name", cell: func(s s) string { return s.Name }},
				{head: "id", cell: func(s s) string { return short(s.ID) }, raw: func(s s) string { return s.ID }},
				{head: "settings", cell: func(s s) string { return fmt.Sprint(len(s.Settings)) }, right: true},
				{head: "deployed to", cell: func(s s) string { return deployedTo(s.AllDevices, s.Devices) }},
				{head: "modified", cell: func(s s) string { return p.when(s.ModifiedAt) }, raw: func(s s) string { return stamp(s.ModifiedAt) }},
			})
		},
	}
	listFlags(cmd, &o, "id name order created_at modified_at")
	return cmd
}

func orderText(order int64) string {
	if order == defaultOrder {
		return "default"
	}
	return fmt.Sprint(order)
}

func deployedTo(all bool, devices int64) string {
	switch {
	case all:
		return "all devices"
	case devices == 1:
		return "1 device"
	case devices > 1:
		return grouped(devices) + " devices"
	}
	return "nobody"
}

func (p *program) settings(ctx context.Context, api *adminapi.ClientWithResponses, o listOptions) ([]adminapi.ClientSetting, error) {
	return pages(p, o, func(cursor *string, limit int64) ([]adminapi.ClientSetting, *string, error) {
		answer, err := check(api.ListClientSettingsWithResponse(ctx, &adminapi.ListClientSettingsParams{Filter: given(o.filter), Sort: given(o.sort), Cursor: cursor, Limit: &limit}))
		if err != nil {
			return nil, nil, err
		}
		page, err := body(answer.JSON200)
		return page.Items, page.Next, err
	})
}

// withSetting finds the client settings that a user means; "default" means the
// default ones.
func (p *program) withSetting(ctx context.Context, meant string, f func(*adminapi.ClientWithResponses, adminapi.ClientSetting) error) error {
	api, err := p.connect()
	if err != nil {
		return err
	}
	items, err := p.settings(ctx, api, listOptions{})
	if err != nil {
		return err
	}
	for _, s := range items {
		if s.Default && strings.EqualFold(meant, "default") {
			return f(api, s)
		}
	}
	s, err := pick("client settings object", meant, items, func(s adminapi.ClientSetting) string { return s.ID }, func(s adminapi.ClientSetting) string { return s.Name })
	if err != nil {
		return err
	}
	return f(api, s)
}

func (p *program) completeSettings(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.complete(false, func(ctx context.Context, api *adminapi.ClientWithResponses, _ string) ([]string, error) {
		items, err := p.settings(ctx, api, listOptions{})
		names := []string{}
		for _, s := range items {
			names = append(names, s.Name+"\t"+orderText(s.Order))
		}
		return names, err
	})(cmd, args, begun)
}

func (p *program) newSettingShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show NAME",
		Short:             "Show client settings with what they say and where they are deployed",
		Example:           "  mainstay client-setting show default\n  mainstay client-setting show Servers -o yaml",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withSetting(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, s adminapi.ClientSetting) error {
				answer, err := check(api.GetClientSettingWithResponse(cmd.Context(), s.ID))
				if err != nil {
					return err
				}
				detail, err := body(answer.JSON200)
				if err != nil {
					return err
				}
				fields := []field{
					{label: "Name", text: detail.Name}, {label: "ID", text: detail.ID}, {label: "Description", text: detail.Description},
					{label: "Order", text: orderText(detail.Order)}, {label: "Deployed to", text: deployedTo(detail.AllDevices, detail.Devices)},
					{label: "Devices", text: strings.Join(detail.DeviceIds, "\n")},
					{label: "Modified", text: p.when(detail.ModifiedAt)},
				}
				keys := []string{}
				for key := range detail.Settings {
					keys = append(keys, key)
				}
				sort.Strings(keys)
				for _, key := range keys {
					fields = append(fields, field{label: key, text: settingText(detail.Settings[key])})
				}
				return p.printObject(detail, fields)
			})
		},
	}
}

// settingText is a setting's value as people write it.
func settingText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		texts := []string{}
		for _, item := range v {
			texts = append(texts, fmt.Sprint(item))
		}
		if len(texts) == 0 {
			return "(empty)"
		}
		return strings.Join(texts, ",")
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

// parseSettings reads KEY=VALUE pairs. What a value is, the definition of the
// setting says; of an unknown one the API says what is wrong.
func parseSettings(ctx context.Context, api *adminapi.ClientWithResponses, pairs []string) (map[string]any, error) {
	definitions, err := settingDefinitions(ctx, api)
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{}
	for _, d := range definitions {
		kinds[d.Key] = string(d.Type)
	}
	values := map[string]any{}
	for _, pair := range pairs {
		key, text, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, fault.New(fault.Invalid, "%q is no setting; write KEY=VALUE such as client_policy.polling_interval=15m", pair)
		}
		switch {
		case kinds[key] == "list" && text == "":
			values[key] = []string{}
		case kinds[key] == "list":
			values[key] = strings.Split(text, ",")
		case kinds[key] == "bool" && (text == "true" || text == "yes"):
			values[key] = true
		case kinds[key] == "bool" && (text == "false" || text == "no"):
			values[key] = false
		default:
			values[key] = text
		}
	}
	return values, nil
}

func settingDefinitions(ctx context.Context, api *adminapi.ClientWithResponses) ([]adminapi.SettingDefinition, error) {
	answer, err := check(api.ListClientSettingDefinitionsWithResponse(ctx))
	if err != nil {
		return nil, err
	}
	page, err := body(answer.JSON200)
	return page.Items, err
}

func (p *program) completeKeys(suffix string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		found, directive := p.complete(true, func(ctx context.Context, api *adminapi.ClientWithResponses, _ string) ([]string, error) {
			definitions, err := settingDefinitions(ctx, api)
			keys := []string{}
			for _, d := range definitions {
				keys = append(keys, d.Key+suffix+"\t"+d.Description)
			}
			return keys, err
		})(cmd, nil, begun)
		if suffix != "" {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return found, directive
	}
}

func (p *program) newSettingCreateCommand() *cobra.Command {
	var description string
	var set []string
	cmd := &cobra.Command{
		Use:   "create NAME [--set KEY=VALUE]...",
		Short: "Create custom client settings",
		Long:  "Create custom client settings. They get the highest order number and apply to no\ndevice until they are deployed. 'mainstay client-setting keys' lists what can be set.",
		Example: `  mainstay client-setting create Servers --set client_policy.polling_interval=15m
  mainstay client-setting create Kiosks --set 'software_inventory.files=/opt/kiosk/**,hash:/opt/kiosk/bin/*'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			values, err := parseSettings(cmd.Context(), api, set)
			if err != nil {
				return err
			}
			answer, err := check(api.CreateClientSettingWithResponse(cmd.Context(), adminapi.NewClientSetting{Name: args[0], Description: given(description), Settings: &values}))
			if err != nil {
				return err
			}
			return p.printDone(answer.JSON201, "Client settings %s are created; deploy them with 'mainstay client-setting deploy'.", args[0])
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what they are for")
	cmd.Flags().StringArrayVar(&set, "set", nil, "a setting as KEY=VALUE; may be given several times")
	completed(cmd, "set", p.completeKeys("="))
	return cmd
}

func (p *program) newSettingEditCommand() *cobra.Command {
	var name, description string
	var set, unset []string
	cmd := &cobra.Command{
		Use:   "edit NAME [--set KEY=VALUE]... [--unset KEY]...",
		Short: "Change client settings, default or custom",
		Example: `  mainstay client-setting edit default --set hardware_inventory.interval=12h
  mainstay client-setting edit Servers --unset client_policy.polling_interval --name 'All servers'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withSetting(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, s adminapi.ClientSetting) error {
				change := adminapi.EditClientSetting{}
				if cmd.Flags().Changed("name") {
					change.Name = &name
				}
				if cmd.Flags().Changed("description") {
					change.Description = &description
				}
				if len(unset) > 0 {
					change.Unset = &unset
				}
				if len(set) > 0 {
					values, err := parseSettings(cmd.Context(), api, set)
					if err != nil {
						return err
					}
					change.Set = &values
				}
				answer, err := check(api.EditClientSettingWithResponse(cmd.Context(), s.ID, change))
				if err != nil {
					return err
				}
				return p.printDone(answer.JSON200, "Client settings %s are changed; devices get them with their next policy.", s.Name)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "new name")
	flags.StringVar(&description, "description", "", "new description")
	flags.StringArrayVar(&set, "set", nil, "a setting to choose or change, as KEY=VALUE; may be given several times")
	flags.StringArrayVar(&unset, "unset", nil, "key of a setting to leave to other client settings; may be given several times")
	completed(cmd, "set", p.completeKeys("="))
	completed(cmd, "unset", p.completeKeys(""))
	return cmd
}

func (p *program) newSettingDeleteCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete custom client settings",
		Example:           "  mainstay client-setting delete Kiosks --yes",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withSetting(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, s adminapi.ClientSetting) error {
				if err := p.confirm(yes, "Delete client settings "+s.Name+", deployed to "+deployedTo(s.AllDevices, s.Devices)+"?"); err != nil {
					return err
				}
				if _, err := check(api.DeleteClientSettingWithResponse(cmd.Context(), s.ID)); err != nil {
					return err
				}
				return p.printDone(map[string]string{"id": s.ID, "name": s.Name}, "Client settings %s are deleted.", s.Name)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (p *program) newSettingMoveCommand() *cobra.Command {
	var to int64
	cmd := &cobra.Command{
		Use:               "move NAME --to ORDER",
		Short:             "Give custom client settings another order number; the lowest wins",
		Example:           "  mainstay client-setting move Servers --to 1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withSetting(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, s adminapi.ClientSetting) error {
				answer, err := check(api.MoveClientSettingWithResponse(cmd.Context(), s.ID, adminapi.ClientSettingOrder{Order: to}))
				if err != nil {
					return err
				}
				moved, err := body(answer.JSON200)
				if err != nil {
					return err
				}
				return p.printDone(moved, "Client settings %s have order number %d.", moved.Name, moved.Order)
			})
		},
	}
	cmd.Flags().Int64Var(&to, "to", 0, "order number, from 1; the others make room")
	mustGive(cmd, "to")
	return cmd
}

type targetOptions struct {
	all     bool
	devices []string
}

func (p *program) targetFlags(cmd *cobra.Command, o *targetOptions) {
	cmd.Flags().BoolVar(&o.all, "all", false, "every device, now and later")
	cmd.Flags().StringSliceVar(&o.devices, "device", nil, "devices by name or identifier, with commas between them")
	cmd.MarkFlagsOneRequired("all", "device")
	cmd.MarkFlagsMutuallyExclusive("all", "device")
	completed(cmd, "device", p.completeDevices(true))
}

// target finds the devices that a user means.
func (p *program) target(ctx context.Context, api *adminapi.ClientWithResponses, o targetOptions) (adminapi.ClientSettingTarget, error) {
	if o.all {
		return adminapi.ClientSettingTarget{All: &o.all}, nil
	}
	ids := []string{}
	for _, meant := range o.devices {
		d, err := p.deviceMeant(ctx, api, meant)
		if err != nil {
			return adminapi.ClientSettingTarget{}, err
		}
		ids = append(ids, d.ID)
	}
	return adminapi.ClientSettingTarget{Devices: &ids}, nil
}

func (p *program) newSettingDeployCommand() *cobra.Command {
	var o targetOptions
	cmd := &cobra.Command{
		Use:               "deploy NAME --all | --device DEVICE",
		Short:             "Apply custom client settings to devices",
		Example:           "  mainstay client-setting deploy Servers --device web1,web2\n  mainstay client-setting deploy 'Configuration Manager intervals' --all",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withSetting(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, s adminapi.ClientSetting) error {
				to, err := p.target(cmd.Context(), api, o)
				if err != nil {
					return err
				}
				answer, err := check(api.DeployClientSettingWithResponse(cmd.Context(), s.ID, to))
				if err != nil {
					return err
				}
				after, err := body(answer.JSON200)
				if err != nil {
					return err
				}
				return p.printDone(after, "Client settings %s are deployed to %s.", after.Name, deployedTo(after.AllDevices, after.Devices))
			})
		},
	}
	p.targetFlags(cmd, &o)
	return cmd
}

func (p *program) newSettingWithdrawCommand() *cobra.Command {
	var o targetOptions
	cmd := &cobra.Command{
		Use:               "withdraw NAME --all | --device DEVICE",
		Short:             "Take custom client settings away from devices",
		Long:              "Take custom client settings away from devices. Withdrawn from all devices they are\nstill deployed to those that were named.",
		Example:           "  mainstay client-setting withdraw Servers --device web2",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withSetting(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, s adminapi.ClientSetting) error {
				from, err := p.target(cmd.Context(), api, o)
				if err != nil {
					return err
				}
				answer, err := check(api.WithdrawClientSettingWithResponse(cmd.Context(), s.ID, from))
				if err != nil {
					return err
				}
				after, err := body(answer.JSON200)
				if err != nil {
					return err
				}
				return p.printDone(after, "Client settings %s are deployed to %s now.", after.Name, deployedTo(after.AllDevices, after.Devices))
			})
		},
	}
	p.targetFlags(cmd, &o)
	return cmd
}

func (p *program) newSettingResultantCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "resultant DEVICE",
		Short:             "Show the settings in force on a device and where each comes from",
		Example:           "  mainstay client-setting resultant web1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeDevices(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDevice(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, d adminapi.Device) error {
				answer, err := check(api.GetResultantClientSettingsWithResponse(cmd.Context(), d.ID))
				if err != nil {
					return err
				}
				page, err := body(answer.JSON200)
				if err != nil {
					return err
				}
				type r = adminapi.ResultantSetting
				return printList(p, page.Items, []column[r]{
					{head: "setting", cell: func(r r) string { return r.Key }},
					{head: "value", cell: func(r r) string { return settingText(r.Value) }},
					{head: "from", cell: func(r r) string {
						if r.Default {
							return "the product's default"
						}
						return sourceNames(r.From)
					}},
					{head: "overridden", cell: func(r r) string { return sourceNames(r.Overridden) }},
				})
			})
		},
	}
}

func sourceNames(sources []adminapi.SettingSource) string {
	names := []string{}
	for _, s := range sources {
		names = append(names, fmt.Sprintf("%s (%s)", s.Name, orderText(s.Order)))
	}
	return strings.Join(names, ", ")
}

func (p *program) newSettingKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "keys",
		Short:   "List everything that can be set, with default, range and meaning",
		Example: "  mainstay client-setting keys",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			definitions, err := settingDefinitions(cmd.Context(), api)
			if err != nil {
				return err
			}
			type d = adminapi.SettingDefinition
			return printList(p, definitions, []column[d]{
				{head: "setting", cell: func(d d) string { return d.Key }},
				{head: "type", cell: func(d d) string { return string(d.Type) }},
				{head: "default", cell: func(d d) string { return settingText(d.Default) }},
				{head: "range", cell: func(d d) string {
					if d.Min == nil {
						return ""
					}
					return value(d.Min) + " to " + value(d.Max)
				}},
				{head: "meaning", cell: func(d d) string { return d.Description }},
			})
		},
	}
}
