package wire

import (
	"strings"
	"testing"
)

var goodUpload = Upload{
	Device: "0d7c", Running: "00000000000000aa", Born: "00000000000000bb", First: 4, Last: 9, Acknowledged: 3, Count: 2,
	Hash: strings.Repeat("ab", 32),
}

func TestParseUploadRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Upload){
		"first at what is acknowledged": func(u *Upload) { u.First = 3 },
		"last before first":             func(u *Upload) { u.Last = 3 },
		"no messages":                   func(u *Upload) { u.Count = 0 },
		"more messages than numbers":    func(u *Upload) { u.Count = 7 },
		"too many":                      func(u *Upload) { u.Last, u.Count = 1<<40, MaxMessages+1 },
		"negative":                      func(u *Upload) { u.Acknowledged = -1 },
		"short incarnation":             func(u *Upload) { u.Born = "ab" },
		"incarnation in capitals":       func(u *Upload) { u.Running = "00000000000000AA" },
		"no device":                     func(u *Upload) { u.Device = "" },
		"device with a space":           func(u *Upload) { u.Device = "a b" },
		"hash of another length":        func(u *Upload) { u.Hash = "ab" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := goodUpload
			change(&u)
			if _, err := ParseUpload(u.String()); err == nil {
				t.Errorf("accepted %q", u)
			}
		})
	}
	if got, err := ParseUpload(goodUpload.String()); err != nil || got != goodUpload {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzParseUpload(f *testing.F) {
	f.Add(goodUpload.String())
	f.Add("a b c 1 2 0 1 d")
	f.Add(strings.Replace(goodUpload.String(), " 4 ", " 04 ", 1))
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseUpload(text)
		if err == nil && u.String() != text {
			t.Errorf("%q is read as %q", text, u)
		}
	})
}
