package managementpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"mainstay/lib/fault"
	"mainstay/site/inbox"
	"mainstay/wire"
)

// commitWait is how long an upload waits for its commit before the client is
// told to come back.
const commitWait = 20 * time.Second

// maxSignature bounds the signature of an upload: ECDSA P-256 in ASN.1 has 72
// bytes at most.
const maxSignature = 128

// messages takes an upload. It looks at the header and at the hash of the body
// and never into the body: what that says, only the site server judges. It
// answers when the upload is committed in the site database.
func (m *ManagementPoint) messages(w http.ResponseWriter, r *http.Request, p peer) {
	d, err := uploadHead(r, p)
	if err != nil {
		refuse(w, http.StatusBadRequest, wire.CodeRefused, err.Error())
		return
	}
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
		d.Encoding = inbox.EncodingPlain
	case inbox.EncodingZstd:
		d.Encoding = inbox.EncodingZstd
	default:
		refuse(w, http.StatusUnsupportedMediaType, wire.CodeRefused, "the body is encoded in a way that is not understood; use zstd or nothing")
		return
	}
	var ok bool
	if d.Body, ok = uploadBody(w, r); !ok {
		return
	}
	if hash := sha256.Sum256(d.Body); hex.EncodeToString(hash[:]) != d.Upload.Hash {
		refuse(w, http.StatusBadRequest, wire.CodeRefused, "the body is not the one that the upload header describes")
		return
	}
	m.contacts.message(p.DeviceID, m.c.Now())

	ctx, cancel := context.WithTimeout(r.Context(), commitWait)
	defer cancel()
	switch err := m.receiver.Submit(ctx, d); {
	case err == nil:
		answerJSON(w, http.StatusOK, wire.UploadAnswer{Incarnation: d.Upload.Born, Last: d.Upload.Last})
	case errors.Is(err, inbox.ErrNewIncarnation):
		refuse(w, http.StatusConflict, wire.CodeNewIncarnation, inbox.ErrNewIncarnation.Text)
	case errors.Is(err, inbox.ErrIdentityConflict):
		refuse(w, http.StatusConflict, wire.CodeIdentityConflict, inbox.ErrIdentityConflict.Text)
	case fault.Is(err, fault.Unavailable):
		comeBack(w, http.StatusServiceUnavailable, inbox.ComeBack(err), "the upload was not stored; send it again later")
	default:
		refuseError(w, r, err)
	}
}

// uploadHead reads what the headers say of an upload.
func uploadHead(r *http.Request, p peer) (inbox.Delivery, error) {
	header := r.Header.Get(wire.HeaderUpload)
	if len(r.Header.Values(wire.HeaderUpload)) != 1 || len(r.Header.Values(wire.HeaderSignature)) != 1 {
		return inbox.Delivery{}, fmt.Errorf("an upload needs the headers %s and %s, once each", wire.HeaderUpload, wire.HeaderSignature)
	}
	upload, err := wire.ParseUpload(header)
	if err != nil {
		return inbox.Delivery{}, fmt.Errorf("%s: %w", wire.HeaderUpload, err)
	}
	if upload.Device != p.DeviceID {
		return inbox.Delivery{}, fmt.Errorf("%s: the upload is of device %s and the certificate of %s", wire.HeaderUpload, upload.Device, p.DeviceID)
	}
	text := r.Header.Get(wire.HeaderSignature)
	if len(text) > base64.StdEncoding.EncodedLen(maxSignature) {
		return inbox.Delivery{}, fmt.Errorf("%s: is longer than %d bytes", wire.HeaderSignature, maxSignature)
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(signature) == 0 || len(signature) > maxSignature {
		return inbox.Delivery{}, fmt.Errorf("%s: is not base64 of 1 to %d bytes", wire.HeaderSignature, maxSignature)
	}
	return inbox.Delivery{Upload: upload, Header: header, Signature: signature}, nil
}

// uploadBody reads the body, whose length must be known, within its limit and
// deadline, or refuses.
func uploadBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	switch {
	case r.ContentLength < 0:
		refuse(w, http.StatusLengthRequired, wire.CodeRefused, "the length of the body must be known: send Content-Length")
		return nil, false
	case r.ContentLength > wire.MaxUploadBytes:
		refuse(w, http.StatusRequestEntityTooLarge, wire.CodeRefused, fmt.Sprintf("the body has %d bytes, at most %d are allowed", r.ContentLength, wire.MaxUploadBytes))
		return nil, false
	}
	// A connection that cannot have a deadline is bounded by the server alone.
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(bodyDeadline))
	// Room comes with the data: whoever only promises a body gets none.
	const first = 64 << 10
	var body bytes.Buffer
	body.Grow(int(min(r.ContentLength, first)) + bytes.MinRead)
	n, err := body.ReadFrom(io.LimitReader(r.Body, r.ContentLength))
	if err != nil || n != r.ContentLength {
		refuse(w, http.StatusBadRequest, wire.CodeRefused, "the body ended before it was whole")
		return nil, false
	}
	_ = deadline.SetReadDeadline(time.Time{})
	return body.Bytes(), true
}
