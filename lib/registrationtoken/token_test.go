package registrationtoken

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"mainstay/lib/fault"
)

var root = []byte("the root certificate of the site")

func setup(t *testing.T) Token {
	t.Helper()
	token, err := New("LAB", root)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTextFormIsReadBack(t *testing.T) {
	t.Parallel()
	token := setup(t)
	for _, text := range []string{token.Reveal(), "  " + token.Reveal() + "\n"} {
		got, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got != token {
			t.Errorf("Parse(%q) is another token", text)
		}
	}
	if token.SiteCode() != "LAB" || len(token.ID()) != 16 {
		t.Errorf("token has site %q and identifier %q", token.SiteCode(), token.ID())
	}
}

func TestTwoTokensDiffer(t *testing.T) {
	t.Parallel()
	if a, b := setup(t), setup(t); a.ID() == b.ID() || bytes.Equal(a.PublicKey(), b.PublicKey()) {
		t.Error("two tokens share identifier or key")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, site string
		root       []byte
	}{
		{"no site", "", root},
		{"long site", "LABS", root},
		{"lower case", "lab", root},
		{"no root", "LAB", nil},
	} {
		if _, err := New(test.site, test.root); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: error is %v, want an invalid one", test.name, err)
		}
	}
}

func TestParseRefusesWithoutShowingTheSecret(t *testing.T) {
	t.Parallel()
	good := setup(t).Reveal()
	parts := strings.Split(good, ".")
	with := func(i int, value string) string {
		changed := append([]string(nil), parts...)
		changed[i] = value
		return strings.Join(changed, ".")
	}
	for name, text := range map[string]string{
		"empty":             "",
		"other version":     with(0, "mst2"),
		"cut":               strings.Join(parts[:4], "."),
		"cut in the hash":   good[:len(good)-1],
		"something more":    good + ".x",
		"bad site":          with(1, "L B"),
		"bad identifier":    with(2, "XYZ"),
		"short seed":        with(3, parts[3][:40]),
		"no base64":         with(3, strings.Repeat("*", 43)),
		"padded":            with(3, parts[3]+"="),
		"not canonical":     with(4, parts[4][:42]+"B"),
		"line in the seed":  with(3, parts[3][:20]+"\n"+parts[3][20:]),
		"far too long":      good + strings.Repeat("A", 1<<20),
		"standard alphabet": with(3, strings.Repeat("+", 43)),
	} {
		_, err := Parse(text)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: error is %v, want an invalid one", name, err)
			continue
		}
		if strings.Contains(err.Error(), parts[3]) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()
	token, other := setup(t), setup(t)
	registration := []byte(`{"site_code":"LAB"}`)
	signature := token.Sign(registration)

	for _, test := range []struct {
		name string
		good bool
		got  bool
	}{
		{"right", true, Verify(token.PublicKey(), registration, signature)},
		{"other token", false, Verify(other.PublicKey(), registration, signature)},
		{"other registration", false, Verify(token.PublicKey(), []byte(`{}`), signature)},
		{"no key", false, Verify(nil, registration, signature)},
		{"no signature", false, Verify(token.PublicKey(), registration, nil)},
	} {
		if test.got != test.good {
			t.Errorf("%s: Verify = %v", test.name, test.got)
		}
	}
}

func TestTrustsOnlyItsRoot(t *testing.T) {
	t.Parallel()
	token := setup(t)
	if !token.TrustsRoot(root) {
		t.Error("token refuses its own root")
	}
	if token.TrustsRoot([]byte("another")) || (Token{}).TrustsRoot(root) {
		t.Error("a root is trusted that is not in the token")
	}
}

func TestNothingPrintsTheSecret(t *testing.T) {
	t.Parallel()
	token := setup(t)
	secret := strings.Split(token.Reveal(), ".")[3]
	raw, _ := base64.RawURLEncoding.DecodeString(secret)

	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("registering", "token", token, "pointer", &token, "inside", struct{ T Token }{token})
	}
	encoded, err := json.Marshal(map[string]any{"token": token, "list": []Token{token}})
	if err != nil {
		t.Fatal(err)
	}
	type wrap struct{ Token Token }
	printed := fmt.Sprintf("%v %+v %#v %s %q %x %d", token, token, token, token, token, token, wrap{token}) + log.String() + string(encoded)
	for _, form := range []string{secret, fmt.Sprintf("%x", raw), fmt.Sprintf("%d", raw), fmt.Sprintf("%v", raw[:8])} {
		if strings.Contains(printed, strings.Trim(form, "[]")) {
			t.Errorf("the secret is shown in %s", printed)
		}
	}
	if !strings.Contains(printed, token.ID()) {
		t.Error("the identifier is not shown")
	}
}

func FuzzParse(f *testing.F) {
	token, err := New("LAB", root)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token.Reveal())
	f.Add("mst1.LAB.0123456789abcdef." + strings.Repeat("A", 43) + "." + strings.Repeat("A", 43))
	f.Add("mst1....")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := Parse(text)
		if err != nil {
			return
		}
		// What is accepted has one text, and works as a token.
		if token.Reveal() != strings.TrimSpace(text) {
			t.Fatalf("accepted %q, which is not its own text %q", text, token.Reveal())
		}
		if !Verify(token.PublicKey(), []byte("r"), token.Sign([]byte("r"))) {
			t.Fatal("an accepted token cannot sign")
		}
	})
}
