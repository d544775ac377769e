package sitetest

import (
	"crypto/tls"
	"net/http"
	"time"
)

// Stranger is an HTTP client that trusts anybody and shows nothing.
func (s *Site) Stranger() *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}
