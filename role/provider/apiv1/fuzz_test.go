package apiv1

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"mainstay/site/access"
)

// FuzzRequests sends anything to any operation as somebody who may do
// everything: the answer is a success or a problem, and never our fault.
func FuzzRequests(f *testing.F) {
	for i, seed := range []struct{ id, query, body string }{
		{"1", "", `{"name":"alice","password":"correct horse battery"}`}, {"self", "", `{"roles":["asset-manager"]}`},
		{"x", "filter=name~web+and+cores>1&sort=-name&limit=5&count=true", ""}, {"%2e%2e", "cursor=abc", `{"set":{"heartbeat.interval":"2d"},"unset":["x"]}`},
		{"1", "at=2026-01-01T00:00:00Z", `{"all":true,"devices":[]}`}, {"9", "known_id=1&known_hash=00", `{"name":"x","lifetime":"1d","max_uses":3}`},
		{".", "0", ""}, {"a", "since=2026-01-01T00:00:00Z", `{"reason":"stolen"}`}, {"1", "topics=device", `{"order":1}`},
	} {
		f.Add(uint8(i*5), seed.id, seed.query, seed.body)
	}
	api, _ := newAPI(f)
	type route struct{ method, path string }
	routes := []route{}
	for path, item := range api.huma.OpenAPI().Paths {
		for method, op := range map[string]bool{
			http.MethodGet: item.Get != nil, http.MethodPost: item.Post != nil, http.MethodPut: item.Put != nil,
			http.MethodPatch: item.Patch != nil, http.MethodDelete: item.Delete != nil,
		} {
			if op && path != "/events" {
				routes = append(routes, route{method, path})
			}
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, id, query, body string) {
		r := routes[int(n)%len(routes)]
		path := strings.NewReplacer("{id}", url.PathEscape(id), "{class}", url.PathEscape(id)).Replace(r.path)
		request := httptest.NewRequest(r.method, "/", strings.NewReader(body))
		request.URL = &url.URL{Path: Prefix + strings.ReplaceAll(path, "%2F", "/"), RawQuery: query}
		request.Header.Set("Content-Type", "application/json")
		request = request.WithContext(WithCaller(t.Context(), access.Local("root", "fuzz")))
		recorder := httptest.NewRecorder()
		api.ServeHTTP(recorder, request)
		if recorder.Code < 300 {
			return
		}
		var p Problem
		if err := json.Unmarshal(recorder.Body.Bytes(), &p); err != nil || recorder.Header().Get("Content-Type") != problemType || p.Status != recorder.Code {
			t.Fatalf("%s %s?%s: %d is no problem: %s (%v)", r.method, path, query, recorder.Code, recorder.Body, err)
		}
		// There is no site in the database, which some operations say.
		if recorder.Code >= 500 {
			t.Fatalf("%s %s?%s with %q: %s", r.method, path, query, body, recorder.Body)
		}
	})
}
