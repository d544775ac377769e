package wire

import "time"

// The doors of a management point, below its base address
// (https://HOST:8443). Doors marked open ask for no client certificate.
const (
	// DoorSite (GET, open) answers with a Signed SiteDescription.
	DoorSite = "/mp/v1/site"
	// DoorRegister (POST, open) takes a RegisterRequest.
	DoorRegister = "/mp/v1/register"
	// DoorInstall (GET, open) serves the installation script and, below it,
	// the client packages: DoorInstall + "/" + file name.
	DoorInstall = "/mp/v1/install"
	// DoorRenew (POST, certificate, which may have expired) takes a
	// RenewRequest.
	DoorRenew = "/mp/v1/renew"
	// DoorPolicy (GET, certificate) answers with a PolicyAnswer, or with 304
	// when the client's If-None-Match names what it would answer.
	DoorPolicy = "/mp/v1/policy"
	// DoorPolicyBody (GET, certificate) + hash answers with the bytes of one
	// policy body.
	DoorPolicyBody = "/mp/v1/policy/body/"
	// DoorMessages (POST, certificate) takes an upload: a JSON array of
	// Message, described and signed by the upload headers.
	DoorMessages = "/mp/v1/messages"
)

// Headers that the wire adds to HTTP.
const (
	// HeaderVersion carries the sender's capability version.
	HeaderVersion = "Mainstay-Version"
	// HeaderUpload carries an UploadHeader in its text form.
	HeaderUpload = "Mainstay-Upload"
	// HeaderSignature carries the client's signature of an upload, base64.
	HeaderSignature = "Mainstay-Signature"
)

// Limits that every receiver enforces before it believes anything.
const (
	// MaxUploadBytes bounds the compressed body of one upload.
	MaxUploadBytes = 1 << 20
	// MaxUploadPlainBytes bounds the body of one upload after decompression.
	MaxUploadPlainBytes = 16 << 20
	// MaxMessages bounds the messages of one upload.
	MaxMessages = 1000
	// MaxMessageBytes bounds the body of one message. A full inventory of a
	// large machine is about 1 MB.
	MaxMessageBytes = 8 << 20
	// MaxRegisterBytes bounds the body of a registration or a renewal.
	MaxRegisterBytes = 64 << 10
	// MaxAnswerBytes bounds what a client reads of an answer other than a
	// policy body.
	MaxAnswerBytes = 1 << 20
	// MaxPolicyBodyBytes bounds one policy body.
	MaxPolicyBodyBytes = 4 << 20
	// MaxDepth bounds the nesting of any JSON value on the wire.
	MaxDepth = 32
	// MaxComeBack bounds how long a client obeys 'come back later' of a
	// management point, which may be a thief.
	MaxComeBack = 15 * time.Minute
)

// Codes of a Problem that a client's behaviour depends on. Everything else is
// told apart by the HTTP status alone.
const (
	// CodeComeBack (503, Retry-After): nothing was done, ask again then.
	CodeComeBack = "come_back"
	// CodePending (202): the registration waits for an administrator.
	CodePending = "pending"
	// CodeBlocked (403): an administrator has blocked this client.
	CodeBlocked = "blocked"
	// CodeUnknownDevice (403): the certificate is good but the site has no
	// record of the device (a restored site); register again with it.
	CodeUnknownDevice = "unknown_device"
	// CodeReplaced (403): the same machine has registered with a newer key.
	CodeReplaced = "replaced"
	// CodeNewIncarnation (409): the client says less about what it has seen
	// acknowledged than it said before, so its memory is that of an earlier
	// moment. It must draw a new incarnation.
	CodeNewIncarnation = "new_incarnation"
	// CodeIdentityConflict (409): two running clients use this identity. The
	// one that is told so must make a key of its own and register.
	CodeIdentityConflict = "identity_conflict"
	// CodeTokenRefused (403): the registration token is unknown, used up,
	// revoked or past its end.
	CodeTokenRefused = "token_refused"
	// CodeExpired (403): the certificate has ended; renew it.
	CodeExpired = "certificate_expired"
	// CodeRefused (4xx): the request is wrong and repeating it is useless.
	CodeRefused = "refused"
)

// Problem is the body of a refusal (application/problem+json, RFC 9457).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Code is one of the codes above.
	Code string `json:"code"`
	// Field names the part of the request that is wrong, where one is.
	Field string `json:"field,omitempty"`
}
