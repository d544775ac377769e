package managementpoint

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/httpserve"
	"mainstay/site/device"
	"mainstay/site/publishing"
	"mainstay/wire"
)

// bodyDeadline bounds how slowly a body may arrive.
const bodyDeadline = 30 * time.Second

func (m *ManagementPoint) describe(w http.ResponseWriter, r *http.Request) {
	statement, err := publishing.Statement(r.Context(), m.c.DB, wire.KindSiteDescription)
	if fault.Is(err, fault.NotFound) {
		comeBack(w, http.StatusServiceUnavailable, time.Second, "the site has not described itself yet")
		return
	}
	if err != nil {
		refuseError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(statement)
}

func (m *ManagementPoint) register(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r, wire.MaxRegisterBytes)
	if !ok {
		return
	}
	row, err := device.Submit(r.Context(), m.c.DB, m.c.Site.Code, body, httpserve.Source(r), m.c.Now())
	if err != nil {
		refuseError(w, r, err)
		return
	}
	m.answerRegistration(w, r, row)
}

func (m *ManagementPoint) renew(w http.ResponseWriter, r *http.Request, p peer) {
	body, ok := readBody(w, r, wire.MaxRegisterBytes)
	if !ok {
		return
	}
	row, err := device.SubmitRenewal(r.Context(), m.c.DB, p.DeviceID, body, httpserve.Source(r), m.c.Now())
	if err != nil {
		refuseError(w, r, err)
		return
	}
	m.answerRegistration(w, r, row)
}

// answerRegistration waits for the site server's decision, and answers what it
// is.
func (m *ManagementPoint) answerRegistration(w http.ResponseWriter, r *http.Request, row device.Registration) {
	row, err := m.decisions.await(r.Context(), row)
	if err != nil {
		refuseError(w, r, err)
		return
	}
	switch row.State {
	case device.StateDone:
		// The client's next request must not meet a directory from before.
		if err := m.directory.Learn(r.Context(), row.KeyFingerprint); err != nil {
			refuseError(w, r, err)
			return
		}
		answer, err := row.Answer()
		if err != nil {
			refuseError(w, r, err)
			return
		}
		answerJSON(w, http.StatusOK, answer)
	case device.StatePending:
		w.Header().Set("Retry-After", "30")
		refuse(w, http.StatusAccepted, wire.CodePending, "the registration waits for an administrator: mainstay registration approve")
	case device.StateRefused:
		refuse(w, http.StatusForbidden, row.Code, row.Detail)
	default:
		comeBack(w, http.StatusServiceUnavailable, 5*time.Second, "the site server has not decided yet")
	}
}

func (m *ManagementPoint) installScript(w http.ResponseWriter, r *http.Request) {
	script, err := publishing.InstallScript(r.Context(), m.c.DB)
	if err != nil {
		refuseError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/x-shellscript; charset=utf-8")
	io.WriteString(w, script)
}

func (m *ManagementPoint) installPackage(w http.ResponseWriter, r *http.Request) {
	data, err := publishing.Package(r.Context(), m.c.DB, r.PathValue("file"))
	if err != nil {
		refuseError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, r.PathValue("file"), time.Time{}, bytes.NewReader(data))
}

// servePolicy answers a poll. One with nothing new is one comparison.
func (m *ManagementPoint) servePolicy(w http.ResponseWriter, r *http.Request, p peer) {
	m.contacts.policy(p.DeviceID, m.c.Now())
	if etag := r.Header.Get("If-None-Match"); m.policy.Unchanged(p.DeviceID, etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, etag, err := m.policy.Answer(r.Context(), p.DeviceID)
	if err != nil {
		refuseError(w, r, err)
		return
	}
	if etag == r.Header.Get("If-None-Match") {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func (m *ManagementPoint) servePolicyBody(w http.ResponseWriter, r *http.Request, _ peer) {
	body, err := m.policy.Body(r.Context(), r.PathValue("hash"))
	if err != nil {
		refuseError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

// readBody reads a bounded body, or refuses.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, bool) {
	if r.ContentLength > limit {
		refuse(w, http.StatusRequestEntityTooLarge, wire.CodeRefused, "the body is larger than "+strconv.FormatInt(limit, 10)+" bytes")
		return nil, false
	}
	// A connection that cannot have a deadline is bounded by the server alone.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyDeadline))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, wire.CodeRefused, "the body is larger than "+strconv.FormatInt(limit, 10)+" bytes")
		return nil, false
	case err != nil:
		refuse(w, http.StatusBadRequest, wire.CodeRefused, "the body ended before it was whole")
		return nil, false
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, true
}
