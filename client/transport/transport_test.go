package transport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"mainstay/client/clienttest"
	"mainstay/client/transport"
	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/wire"
)

// fixture is a site, its management points, and a transport that trusts it.
type fixture struct {
	site    *clienttest.Site
	network *clienttest.Network
	points  []*clienttest.Point
	client  *transport.Transport
}

func inBubble(t *testing.T, points int, test func(*testing.T, *fixture)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{site: clienttest.NewSite(t, "LAB"), network: clienttest.NewNetwork()}
		var addresses []string
		for i := range points {
			address := fmt.Sprintf("mp%d:8443", i)
			f.points = append(f.points, clienttest.NewPoint(t, f.site, f.network, address))
			addresses = append(addresses, address)
		}
		f.client = transport.New(transport.Config{
			ManagementPoints: addresses, SiteCode: "LAB", Root: f.site.Root(), Dial: f.network.Dial,
			Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		defer f.client.Close()
		test(t, f)
	})
}

// pass lets time pass, and all work of that time be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// intercept makes all points answer alike.
func (f *fixture) intercept(h http.HandlerFunc) {
	for _, p := range f.points {
		p.Intercept(h)
	}
}

func advice(err error) transport.Advice {
	if f := transport.AdviceOf(err); f != nil {
		return f.Advice
	}
	return -1
}

func TestKeepsWhatServesAndLeavesWhatDoesNot(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, f *fixture) {
		for range 5 {
			if _, _, err := f.client.Site(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		first := f.client.Current()
		if n := f.network.Dials(); n != 1 {
			t.Errorf("five requests made %d connections", n)
		}
		start := time.Now()
		f.network.SetDown(first, true)
		if _, point, err := f.client.Site(t.Context()); err != nil || point == first {
			t.Fatalf("with %s down: %s, %v", first, point, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v to change", took)
		}
		second := f.client.Current()
		f.network.SetDown(first, false)
		if _, point, err := f.client.Site(t.Context()); err != nil || point != second {
			t.Errorf("left %s, which serves, for %s: %v", second, point, err)
		}
	})
}

func TestHangingManagementPointIsLeft(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, f *fixture) {
		for _, p := range f.points[:1] {
			p.Intercept(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		}
		start := time.Now()
		if _, point, err := f.client.Site(t.Context()); err != nil || point != "mp1:8443" {
			t.Fatalf("asked %s: %v", point, err)
		}
		if took := time.Since(start); took > 40*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestAllDownIsGivenARest(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, f *fixture) {
		for _, p := range f.points {
			f.network.SetDown(p.Address, true)
		}
		_, _, err := f.client.Site(t.Context())
		failure := transport.AdviceOf(err)
		if failure == nil || failure.Advice != transport.TryAnother || failure.After <= 0 || failure.After > 2*time.Second {
			t.Fatalf("first failure is %+v", failure)
		}
		dials := f.network.Dials()
		if _, _, err := f.client.Site(t.Context()); advice(err) != transport.TryAnother || f.network.Dials() != dials {
			t.Errorf("did not rest: %v, %d connections", err, f.network.Dials()-dials)
		}
		// For an hour, as a client would: the waits grow, and have a bound.
		for start := time.Now(); time.Since(start) < time.Hour; {
			_, _, err := f.client.Site(t.Context())
			after := transport.AdviceOf(err).After
			if after > 5*time.Minute {
				t.Fatalf("told to wait %v", after)
			}
			pass(max(after, time.Millisecond))
		}
		if n := f.network.Dials() - dials; n < 20 || n > 150 {
			t.Errorf("%d connections to two management points in an hour", n)
		}
		for _, p := range f.points {
			f.network.SetDown(p.Address, false)
		}
		f.client.Wake()
		if _, _, err := f.client.Site(t.Context()); err != nil {
			t.Errorf("after Wake: %v", err)
		}
	})
}

func TestComeBackLaterAsksTheOthers(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, f *fixture) {
		later := func(seconds string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", seconds)
				clienttest.Refuse(w, http.StatusServiceUnavailable, wire.CodeComeBack, "busy")
			}
		}
		f.points[0].Intercept(later("600"))
		if _, point, err := f.client.Site(t.Context()); err != nil || point != "mp1:8443" {
			t.Fatalf("asked %s: %v", point, err)
		}
		f.points[1].Intercept(later("999999999"))
		_, _, err := f.client.Site(t.Context())
		if failure := transport.AdviceOf(err); failure == nil || failure.Advice != transport.ComeBack || failure.After > wire.MaxComeBack {
			t.Errorf("failure is %+v", failure)
		}
	})
}

func TestComeBackLaterIsForOneRequest(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, f *fixture) {
		f.points[0].Intercept(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wire.DoorPolicy {
				w.Header().Set("Retry-After", "600")
				clienttest.Refuse(w, http.StatusServiceUnavailable, wire.CodeComeBack, "no database")
			}
		})
		if _, err := f.client.Policy(t.Context(), ""); advice(err) != transport.ComeBack {
			t.Fatalf("policy: %v", err)
		}
		if _, _, err := f.client.Site(t.Context()); err != nil {
			t.Errorf("another request must wait too: %v", err)
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	endless := strings.Repeat("x", 1<<16)
	bomb := func() []byte {
		encoder, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return encoder.EncodeAll(make([]byte, 512<<20), nil)
	}()
	for name, h := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, endless); err != nil {
					return
				}
			}
		},
		"zstd bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "zstd")
			_, _ = w.Write(bomb)
		},
		"broken zstd": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "zstd")
			_, _ = io.WriteString(w, "no frame")
		},
		"unknown encoding": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "{}")
		},
		"endless problem": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, endless); err != nil {
					return
				}
			}
		},
		"huge header": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set(fmt.Sprintf("X-%d", i), endless[:1000])
			}
			_, _ = io.WriteString(w, "{}")
		},
		"deep": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"payload":`+strings.Repeat("[", 100_000))
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"nothing": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere/", http.StatusFound)
		},
		"too old": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(wire.HeaderVersion, "0")
			_, _ = io.WriteString(w, "{}")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, func(t *testing.T, f *fixture) {
				f.points[0].Intercept(h)
				for range 4 { // whichever is asked first
					if _, point, err := f.client.Site(t.Context()); err == nil && point != "mp1:8443" {
						t.Fatal("the answer was taken")
					}
					f.client.Wake()
				}
				if _, _, err := f.client.Site(t.Context()); err != nil {
					t.Errorf("the other management point was not asked: %v", err)
				}
				if n := len(f.points[0].Requests()); n > 4 {
					t.Errorf("asked %d times", n)
				}
			})
		})
	}
}

func TestPeerMustBeASiteSystem(t *testing.T) {
	for name, host := range map[string]func(*testing.T, *fixture) mtls.Host{
		"of another root": func(t *testing.T, _ *fixture) mtls.Host { return clienttest.NewSite(t, "LAB").System(t, "mp") },
		"with a client's certificate": func(t *testing.T, f *fixture) mtls.Host {
			key, err := mtls.NewKey()
			if err != nil {
				t.Fatal(err)
			}
			chain, err := f.site.Certify("device", key.Public(), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			host := mtls.Fixed{}
			host.Certificate.Certificate, host.Certificate.PrivateKey = chain, key
			return host
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(t *testing.T, f *fixture) {
				f.points[0].StartWith(t, host(t, f))
				_, _, err := f.client.Site(t.Context())
				if advice(err) != transport.TryAnother || !transport.IsUntrusted(err) {
					t.Errorf("error is %v", err)
				}
				if n := len(f.points[0].Requests()); n != 0 {
					t.Errorf("%d requests were made to it", n)
				}
			})
		})
	}
}

func TestClockThatIsBehindLearnsFromCertificates(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, f *fixture) {
		behind := transport.New(transport.Config{
			ManagementPoints: []string{"mp0:8443"}, SiteCode: "LAB", Root: f.site.Root(), Dial: f.network.Dial,
			Now: func() time.Time { return time.Unix(0, 0) },
		})
		defer behind.Close()
		if _, _, err := behind.Site(t.Context()); err != nil {
			t.Errorf("with a clock at 1970: %v", err)
		}
	})
}

func TestFirstContactTellsNobodyAnything(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, f *fixture) {
		refuse := fault.New(fault.Denied, "not the root that was given")
		_, _, err := f.client.FirstContact(t.Context(), func([]byte) error { return refuse })
		if err == nil || !strings.Contains(err.Error(), "not the root") {
			t.Errorf("error is %v", err)
		}
		f.client.Wake()
		_, d, err := f.client.FirstContact(t.Context(), func([]byte) error { return nil })
		if err != nil || len(d.ManagementPoints) != 1 {
			t.Errorf("description is %+v, %v", d, err)
		}
	})
}

func TestPolicyBodyIsTakenFromWhoHasTheRightOne(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, f *fixture) {
		body := []byte(`{"x":1}`)
		hash := mtls.Fingerprint(body)
		f.points[0].Intercept(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"x":2}`) })
		f.points[1].Intercept(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
		for range 6 {
			got, err := f.client.PolicyBody(t.Context(), hash, int64(len(body)))
			if err != nil || string(got) != string(body) {
				t.Fatalf("body is %q, %v", got, err)
			}
			f.client.Wake()
		}
		f.points[1].Intercept(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"x":3}`) })
		if got, err := f.client.PolicyBody(t.Context(), hash, int64(len(body))); err == nil {
			t.Errorf("took %q", got)
		}
		if _, err := f.client.PolicyBody(t.Context(), hash, wire.MaxPolicyBodyBytes+1); !fault.Is(err, fault.Denied) {
			t.Errorf("asked for a body that is too large: %v", err)
		}
	})
}

func TestUnchangedNeedsATag(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, f *fixture) {
		f.intercept(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
		if _, err := f.client.Policy(t.Context(), ""); err == nil {
			t.Error("'unchanged' was believed although nothing is known")
		}
		f.client.Wake()
		if reply, err := f.client.Policy(t.Context(), `"1"`); err != nil || !reply.Unchanged {
			t.Errorf("reply is %+v, %v", reply, err)
		}
	})
}

func TestUploadBelievesOnlyWhatWasSent(t *testing.T) {
	key, err := mtls.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	const born = "0123456789abcdef"
	up := transport.Upload{Device: "d", Running: born, Born: born, First: 3, Last: 4, Acknowledged: 2, Key: key, Messages: []wire.Message{
		{Incarnation: born, Number: 3, ID: strings.Repeat("0", 32), Type: "x", Body: json.RawMessage(`{}`)},
		{Incarnation: born, Number: 4, ID: strings.Repeat("1", 32), Type: "x", Body: json.RawMessage(`{}`)},
	}}
	for _, test := range []struct {
		name   string
		answer wire.UploadAnswer
		good   bool
	}{
		{"all", wire.UploadAnswer{Incarnation: born, Last: 4}, true},
		{"some", wire.UploadAnswer{Incarnation: born, Last: 3}, true},
		{"none", wire.UploadAnswer{Incarnation: born, Last: 2}, false},
		{"more than was sent", wire.UploadAnswer{Incarnation: born, Last: 1000}, false},
		{"another incarnation", wire.UploadAnswer{Incarnation: "ffffffffffffffff", Last: 4}, false},
		{"nothing", wire.UploadAnswer{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, 1, func(t *testing.T, f *fixture) {
				f.intercept(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(test.answer) })
				last, err := f.client.Upload(t.Context(), up)
				if (err == nil) != test.good || test.good && last != test.answer.Last {
					t.Errorf("upload: %d, %v", last, err)
				}
			})
		})
	}
	t.Run("too large", func(t *testing.T) {
		huge := up
		huge.Messages = []wire.Message{{Body: json.RawMessage(`"` + strings.Repeat("x", wire.MaxUploadPlainBytes) + `"`)}}
		client := transport.New(transport.Config{SiteCode: "LAB"})
		if _, err := client.Upload(t.Context(), huge); err != transport.ErrTooLarge {
			t.Errorf("a huge upload: %v", err)
		}
	})
}

func TestStopsWithItsContext(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, f *fixture) {
		f.intercept(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, _, err := f.client.Site(ctx); advice(err) != transport.Stop || time.Since(start) > time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestNoManagementPoint(t *testing.T) {
	t.Parallel()
	client := transport.New(transport.Config{SiteCode: "LAB", Dial: func(context.Context, string, string) (net.Conn, error) { panic("dialled") }})
	if _, _, err := client.Site(t.Context()); advice(err) != transport.TryAnother {
		t.Errorf("error is %v", err)
	}
}
