package apiv1

import (
	"context"
	"net/http"
	"time"

	"mainstay/site/access"
	"mainstay/site/device"
	"mainstay/site/sitedb"
)

// Registration is a machine's request to become a device, or a device's for a
// new certificate. What it says of itself has been checked by nobody.
type Registration struct {
	ID            string     `json:"id" doc:"SHA-256 of the machine's public key, hex; compare it with what 'mainstay-client status' shows there"`
	Kind          string     `json:"kind" enum:"register,renew"`
	State         string     `json:"state" enum:"waiting,pending,approved,done,refused" doc:"pending: waits for an administrator"`
	Name          string     `json:"name" doc:"host name, as the machine says"`
	OS            string     `json:"os"`
	Arch          string     `json:"arch"`
	ClientVersion string     `json:"client_version"`
	Hardware      Hardware   `json:"hardware"`
	CopyOf        string     `json:"copy_of,omitempty" doc:"identifier of the device whose identity the machine found on its disk"`
	Source        string     `json:"source" doc:"address that the request came from"`
	ReceivedAt    time.Time  `json:"received_at"`
	DecidedAt     *time.Time `json:"decided_at,omitempty"`
	Device        string     `json:"device,omitempty" doc:"identifier of the device that it became"`
	Code          string     `json:"code,omitempty" doc:"why it was refused, for programs"`
	Detail        string     `json:"detail,omitempty" doc:"why it was refused"`
}

func registerRegistrations(a *API) {
	table := device.RegistrationTable()
	register(a, operation{
		method: http.MethodGet, path: "/registrations", id: "list-registrations", tag: "registration", permission: access.RegistrationRead,
		summary: "List registrations", description: "Those that wait for an administrator have the state pending.", list: &table,
	}, a.listRegistrations)
	register(a, operation{
		method: http.MethodPost, path: "/registrations/{id}/approve", id: "approve-registration", tag: "registration", permission: access.RegistrationApprove,
		summary: "Let a machine become a device",
	}, a.approveRegistration)
	register(a, operation{
		method: http.MethodPost, path: "/registrations/{id}/deny", id: "deny-registration", tag: "registration", permission: access.RegistrationApprove,
		summary: "Refuse a machine",
	}, a.denyRegistration)
}

func registrationOf(r device.Registration) Registration {
	claim := r.Claim()
	return Registration{
		ID: r.KeyFingerprint, Kind: r.Kind, State: r.State,
		Name: claim.Name, OS: claim.OS, Arch: claim.Arch, ClientVersion: claim.ClientVersion, CopyOf: claim.CopyOf,
		Hardware: Hardware{claim.Hardware.ProductUUID, claim.Hardware.Serial, claim.Hardware.MachineID, list(claim.Hardware.MACs)},
		Source:   r.Source, ReceivedAt: at(r.ReceivedAt), DecidedAt: maybeAt(r.DecidedAt), Device: r.Device, Code: r.Code, Detail: r.Detail,
	}
}

func (a *API) listRegistrations(ctx context.Context, caller access.Caller, in *ListInput) (*output[Page[Registration]], error) {
	page, err := read(ctx, a, func(tx *sitedb.Tx) (page[device.Registration], error) {
		return device.ListRegistrations(ctx, tx, caller.Scope(access.RegistrationRead), in.request(), a.c.Now())
	})
	return pageOf(page, registrationOf), err
}

func (a *API) approveRegistration(ctx context.Context, caller access.Caller, in *ByID) (*output[Registration], error) {
	row, err := write(ctx, a, func(tx *sitedb.Tx) (device.Registration, error) {
		return device.Approve(ctx, tx, caller, in.ID, a.c.Now())
	})
	return answer(registrationOf(row)), err
}

func (a *API) denyRegistration(ctx context.Context, caller access.Caller, in *reasonInput) (*output[Registration], error) {
	row, err := write(ctx, a, func(tx *sitedb.Tx) (device.Registration, error) {
		return device.Deny(ctx, tx, caller, in.ID, in.Body.Reason, a.c.Now())
	})
	return answer(registrationOf(row)), err
}
