package wire

// Signed is a statement of the site: what a client obeys comes in this form
// and no other. The signature is over SignStatement + Kind + "\n" + Payload.
type Signed struct {
	// Kind is one of the statement kinds; a statement of one kind is never
	// accepted where another is expected.
	Kind string `json:"kind"`
	// Payload holds the JSON of the kind's type, which embeds a Statement.
	Payload []byte `json:"payload"`
	// Signature is ECDSA (ASN.1) over SHA-256 by the key of Chain[0].
	Signature []byte `json:"signature"`
	// Chain is the signing certificate and its issuers without the root,
	// DER. It must lead to the root that the client was given.
	Chain [][]byte `json:"chain"`
}

// Statement is the part that all signed payloads share.
type Statement struct {
	SiteCode string `json:"site_code"`
	// Device is the device that is addressed, or Everyone.
	Device string `json:"device"`
	// Version orders statements of one kind to one device. A client accepts
	// none below the highest that it has accepted.
	Version int64 `json:"version"`
	// Issued is the site's time, in microseconds since 1970, UTC.
	Issued int64 `json:"issued"`
	// Expires ends acceptance, never obedience; 0 means never.
	Expires int64 `json:"expires,omitempty"`
}

// Everyone addresses a statement to all devices of the site.
const Everyone = "*"

// Statement kinds.
const (
	KindSiteDescription   = "site-description"
	KindPolicyAssignments = "policy-assignments"
	KindPolicyFreshness   = "policy-freshness"
	KindClientPackages    = "client-packages"
)

// StatementKind describes one kind of statement for everyone who must treat
// all of them alike: the verifier, and the test that plays a thief at the
// management point.
type StatementKind struct {
	Kind string
	// New returns a pointer to an empty payload.
	New func() any
	// Addressed: the payload names one device, and others must refuse it.
	Addressed bool
	// Expiring: Expires must be set and in the future when it is accepted.
	Expiring bool
	// Ordered: a client remembers the highest version accepted.
	Ordered bool
}

// StatementKinds returns every kind of statement. Whatever a client obeys is
// in this list.
func StatementKinds() []StatementKind {
	return []StatementKind{
		{Kind: KindSiteDescription, New: func() any { return new(SiteDescription) }, Ordered: true},
		{Kind: KindPolicyAssignments, New: func() any { return new(PolicyAssignments) }, Addressed: true, Ordered: true},
		{Kind: KindPolicyFreshness, New: func() any { return new(PolicyFreshness) }, Addressed: true, Expiring: true, Ordered: true},
		{Kind: KindClientPackages, New: func() any { return new(ClientPackages) }, Ordered: true},
	}
}

// SiteDescription tells a client what it needs to know of the site before it
// registers and whenever its management points change.
type SiteDescription struct {
	Statement
	// Root is the site's root certificate, DER. Its hash is in every token.
	Root []byte `json:"root"`
	// ManagementPoints are host:port of the client port, in no order.
	ManagementPoints []string `json:"management_points"`
	// FallbackStatusPoints are host:port.
	FallbackStatusPoints []string `json:"fallback_status_points,omitempty"`
}

// ClientPackages lists the client's installation packages, so that a client or
// an installer can tell a right one from a wrong one.
type ClientPackages struct {
	Statement
	Packages []ClientPackage `json:"packages"`
}

// ClientPackage is one installation package of the client.
type ClientPackage struct {
	// File is its name below DoorInstall.
	File string `json:"file"`
	// Arch is Go's name of the architecture, Format "deb" or "rpm".
	Arch   string `json:"arch"`
	Format string `json:"format"`
	// ClientVersion is the version of the client inside.
	ClientVersion string `json:"client_version"`
	// Size in bytes, SHA256 in hex.
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}
