package access

import (
	"slices"
	"strings"

	"mainstay/lib/fault"
)

// Permission is what may be done to objects of a class: "Device.Read".
type Permission string

// The permissions.
const (
	DeviceRead              Permission = "Device.Read"
	DeviceModify            Permission = "Device.Modify"
	DeviceDelete            Permission = "Device.Delete"
	RegistrationRead        Permission = "Registration.Read"
	RegistrationApprove     Permission = "Registration.Approve"
	RegistrationTokenRead   Permission = "RegistrationToken.Read"
	RegistrationTokenCreate Permission = "RegistrationToken.Create"
	RegistrationTokenDelete Permission = "RegistrationToken.Delete"
	ClientSettingRead       Permission = "ClientSetting.Read"
	ClientSettingCreate     Permission = "ClientSetting.Create"
	ClientSettingModify     Permission = "ClientSetting.Modify"
	ClientSettingDelete     Permission = "ClientSetting.Delete"
	ClientSettingDeploy     Permission = "ClientSetting.Deploy"
	SiteRead                Permission = "Site.Read"
	SiteModify              Permission = "Site.Modify"
	StatusMessageRead       Permission = "StatusMessage.Read"
	DeadLetterRead          Permission = "DeadLetter.Read"
	DeadLetterReplay        Permission = "DeadLetter.Replay"
	AdministratorRead       Permission = "Administrator.Read"
	AdministratorCreate     Permission = "Administrator.Create"
	AdministratorModify     Permission = "Administrator.Modify"
	RoleRead                Permission = "Role.Read"
	SessionRead             Permission = "Session.Read"
	SessionDelete           Permission = "Session.Delete"
	AuditRead               Permission = "Audit.Read"
)

// Permissions lists every permission, by class.
func Permissions() []Permission {
	return []Permission{
		DeviceRead, DeviceModify, DeviceDelete,
		RegistrationRead, RegistrationApprove,
		RegistrationTokenRead, RegistrationTokenCreate, RegistrationTokenDelete,
		ClientSettingRead, ClientSettingCreate, ClientSettingModify, ClientSettingDelete, ClientSettingDeploy,
		SiteRead, SiteModify, StatusMessageRead,
		DeadLetterRead, DeadLetterReplay,
		AdministratorRead, AdministratorCreate, AdministratorModify,
		RoleRead, SessionRead, SessionDelete, AuditRead,
	}
}

// Class is the kind of object that the permission is about.
func (p Permission) Class() string {
	class, _, _ := strings.Cut(string(p), ".")
	return class
}

// Verb is what may be done.
func (p Permission) Verb() string {
	_, verb, _ := strings.Cut(string(p), ".")
	return verb
}

// Role is a named set of permissions. The roles are those of the original that
// have something to do here; they cannot be changed.
type Role struct {
	ID          string
	Name        string
	Description string
	Permissions []Permission
}

// Identifiers of the roles.
const (
	FullAdministrator           = "full-administrator"
	OperationsAdministrator     = "operations-administrator"
	InfrastructureAdministrator = "infrastructure-administrator"
	SecurityAdministrator       = "security-administrator"
	ReadOnlyAnalyst             = "read-only-analyst"
	ApplicationAdministrator    = "application-administrator"
	AssetManager                = "asset-manager"
	ComplianceSettingsManager   = "compliance-settings-manager"
	OperatingSystemDeployment   = "operating-system-deployment-manager"
	classAdministrator          = "Administrator"
	classRole                   = "Role"
	classSession                = "Session"
)

// Roles lists the built-in roles.
func Roles() []Role {
	security := func(p Permission) bool {
		return slices.Contains([]string{classAdministrator, classRole, classSession}, p.Class())
	}
	return []Role{
		{FullAdministrator, "Full administrator", "Everything.", Permissions()},
		{OperationsAdministrator, "Operations administrator", "Everything except administrators, their roles and sessions.",
			only(func(p Permission) bool { return !security(p) })},
		{InfrastructureAdministrator, "Infrastructure administrator", "Site systems, components, the path of messages, and the registration of clients.",
			only(func(p Permission) bool {
				return slices.Contains([]string{"Site", "StatusMessage", "DeadLetter", "Registration", "RegistrationToken"}, p.Class()) || p == DeviceRead
			})},
		{SecurityAdministrator, "Security administrator", "Administrators, their roles and sessions, and the audit trail.",
			only(func(p Permission) bool {
				return security(p) || p == AuditRead || p == SiteRead || p == StatusMessageRead
			})},
		{ReadOnlyAnalyst, "Read-only analyst", "Sees everything, changes nothing.",
			only(func(p Permission) bool { return p.Verb() == "Read" })},
		{ApplicationAdministrator, "Application administrator", "Sees devices and settings, and installs clients.",
			[]Permission{DeviceRead, ClientSettingRead, RegistrationTokenRead, RegistrationTokenCreate, StatusMessageRead, SiteRead}},
		{AssetManager, "Asset manager", "Sees devices and their inventory, and says what is inventoried.",
			[]Permission{DeviceRead, ClientSettingRead, ClientSettingModify, StatusMessageRead, SiteRead}},
		{ComplianceSettingsManager, "Compliance settings manager", "Sees devices, makes client settings and deploys them.",
			[]Permission{DeviceRead, ClientSettingRead, ClientSettingCreate, ClientSettingModify, ClientSettingDelete, ClientSettingDeploy, StatusMessageRead, SiteRead}},
		{OperatingSystemDeployment, "Operating system deployment manager", "Brings new machines in: registration tokens and approvals.",
			[]Permission{DeviceRead, RegistrationRead, RegistrationApprove, RegistrationTokenRead, RegistrationTokenCreate, RegistrationTokenDelete, StatusMessageRead, SiteRead}},
	}
}

func only(want func(Permission) bool) []Permission {
	return slices.DeleteFunc(Permissions(), func(p Permission) bool { return !want(p) })
}

// RoleNamed finds a role by its identifier or its name, without regard to case.
func RoleNamed(name string) (Role, error) {
	ids := []string{}
	for _, r := range Roles() {
		if strings.EqualFold(r.ID, name) || strings.EqualFold(r.Name, name) {
			return r, nil
		}
		ids = append(ids, r.ID)
	}
	return Role{}, fault.InvalidField("roles", "%q is no role; the roles are %s", name, strings.Join(ids, ", "))
}
