package wire

// HardwareIdentity is what ties a machine to its record across reinstalls. The
// site compares values, strongest first; an empty value compares with nothing.
type HardwareIdentity struct {
	// ProductUUID is the firmware's system identifier (DMI type 1).
	ProductUUID string `json:"product_uuid,omitempty"`
	// Serial is the chassis or board serial number.
	Serial string `json:"serial,omitempty"`
	// MachineID is the operating system's own identifier (machine-id).
	MachineID string `json:"machine_id,omitempty"`
	// MACs are the permanent addresses of physical network adapters, sorted.
	MACs []string `json:"macs,omitempty"`
}

// Proof kinds of a RegisterRequest.
const (
	// ProofToken: TokenID and TokenSignature are set.
	ProofToken = "token"
	// ProofCertificate: Certificate and CertificateSignature are set: a
	// client that the site has forgotten, or a copy that tells itself apart.
	ProofCertificate = "certificate"
	// ProofNone: an administrator must approve.
	ProofNone = "none"
)

// Registration is what a client says of itself when it registers. Its exact
// bytes are signed by the new key, and by the token where there is one.
type Registration struct {
	Version  int    `json:"version"`
	SiteCode string `json:"site_code"`
	// PublicKey is the device's key, PKIX DER (ECDSA P-256).
	PublicKey []byte `json:"public_key"`
	// Name is the machine's host name.
	Name     string           `json:"name"`
	Hardware HardwareIdentity `json:"hardware"`
	// OS, Arch, ClientVersion describe the client ("linux", "amd64", "0.1.0").
	OS            string `json:"os"`
	Arch          string `json:"arch"`
	ClientVersion string `json:"client_version"`
	// Proof is one of the proof kinds.
	Proof string `json:"proof"`
	// TokenID names the registration token.
	TokenID string `json:"token_id,omitempty"`
	// Certificate is the chain (DER, leaf first) of an earlier identity.
	Certificate [][]byte `json:"certificate,omitempty"`
	// CopyOf is the device identifier that this machine found on its disk
	// although its hardware is another: the machine is a clone.
	CopyOf string `json:"copy_of,omitempty"`
	// Time is the client's clock in microseconds since 1970, UTC.
	Time int64 `json:"time"`
}

// RegisterRequest is the body of DoorRegister. Signatures are over
// SignRegister + Registration.
type RegisterRequest struct {
	// Registration holds the JSON of a Registration.
	Registration []byte `json:"registration"`
	// Signature is made by the new key: proof of possession (ECDSA, ASN.1,
	// over SHA-256).
	Signature []byte `json:"signature"`
	// TokenSignature is made by the token's Ed25519 key, which never leaves
	// the client: whoever carries the request cannot use the token again.
	TokenSignature []byte `json:"token_signature,omitempty"`
	// CertificateSignature is made by the earlier identity's key.
	CertificateSignature []byte `json:"certificate_signature,omitempty"`
}

// RegisterAnswer is the answer (200) of DoorRegister and DoorRenew.
type RegisterAnswer struct {
	// DeviceID is the device's identifier in the site, a UUID.
	DeviceID string `json:"device_id"`
	// Chain is the new certificate and its issuers without the root, DER.
	Chain [][]byte `json:"chain"`
}

// RenewRequest is the body of DoorRenew, sent under the certificate that is to
// be replaced. Signature is made by the new key over SignRenew + PublicKey.
type RenewRequest struct {
	// PublicKey is the new key, PKIX DER; it may be the old one.
	PublicKey []byte `json:"public_key"`
	Signature []byte `json:"signature"`
	// CurrentSignature is made by the device's current key over the same
	// bytes. It is needed when PublicKey is another key, because the site
	// does not take a management point's word for who asked.
	CurrentSignature []byte `json:"current_signature,omitempty"`
}

// Prefixes that keep a signature made for one purpose from serving another.
const (
	SignRegister  = "mainstay register v1\n"
	SignRenew     = "mainstay renew v1\n"
	SignUpload    = "mainstay upload v1\n"
	SignStatement = "mainstay statement v1\n"
)
