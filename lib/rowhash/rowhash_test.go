package rowhash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`{"a":`, n-1) + `{}` + strings.Repeat(`}`, n-1) }
	for _, test := range []struct{ name, in, want, refused string }{
		{name: "empty", in: ` { } `, want: `{}`},
		{name: "sorted and tightened", in: "{\"b\" : 1,\n\"a\":[1 , true,null ] ,\"Z\":{\"y\":0,\"x\":-5}}", want: `{"Z":{"x":-5,"y":0},"a":[1,true,null],"b":1}`},
		{name: "keys by UTF-8, not UTF-16", in: `{"😀":1,"\ue000":2}`, want: `{"` + "\ue000" + `":2,"😀":1}`},
		{name: "escaped keys by what they mean", in: `{"a\"":1,"a#":2,"a!":3}`, want: `{"a!":3,"a\"":1,"a#":2}`},
		{name: "prefix first", in: `{"ab":1,"a":2,"":3}`, want: `{"":3,"a":2,"ab":1}`},
		{name: "shortest escapes", in: `{"a":"\u0041\/\u003c\u0009\u001F\u007f\u2028\ud83d\ude00"}`, want: `{"a":"A/<\t\u001f` + "\x7f\u2028" + `😀"}`},
		{name: "all of uint64 and int64", in: `{"a":18446744073709551615,"b":-9223372036854775808}`, want: `{"a":18446744073709551615,"b":-9223372036854775808}`},
		{name: "minus zero", in: `{"a":-0}`, want: `{"a":0}`},
		{name: "as deep as allowed", in: deep(MaxDepth), want: deep(MaxDepth)},
		{name: "too deep", in: deep(MaxDepth + 1), refused: "nested too deep"},
		{name: "too deep without end", in: strings.Repeat(`{"a":[`, 30_000), refused: "nested too deep"},
		{name: "too large", in: `{"a":"` + strings.Repeat("x", MaxRow) + `"}`, refused: "too large"},
		{name: "too large source", in: `{"a":1` + strings.Repeat(" ", 7*MaxRow) + `}`, refused: "too large"},
		{name: "too many values", in: `{"a":[` + strings.Repeat("1,", MaxRow) + `1]}`, refused: "too large"},
		{name: "repeated key", in: `{"a":1,"b":2,"\u0061":3}`, refused: `"a" stands twice`},
		{name: "fraction", in: `{"a":1.0}`, refused: "not written as an integer"},
		{name: "exponent", in: `{"a":1e3}`, refused: "not written as an integer"},
		{name: "leading zero", in: `{"a":01}`, refused: "begins with a zero"},
		{name: "above uint64", in: `{"a":18446744073709551616}`, refused: "not between"},
		{name: "below int64", in: `{"a":-9223372036854775809}`, refused: "not between"},
		{name: "NUL", in: `{"a":"\u0000"}`, refused: "U+0000"},
		{name: "half a surrogate", in: `{"a":"\ud83dx"}`, refused: "surrogate"},
		{name: "wrong half first", in: `{"a":"\ude00\ud83d"}`, refused: "surrogate"},
		{name: "not UTF-8", in: "{\"a\":\"\xff\"}", refused: "not UTF-8"},
		{name: "bare control character", in: "{\"a\":\"\n\"}", refused: "stands bare"},
		{name: "not an object", in: `[1]`, refused: "should be"},
		{name: "two rows", in: `{}{}`, refused: "follows the row"},
		{name: "cut off", in: `{"a":"b`, refused: "does not end"},
		{name: "cut off in an escape", in: `{"a":"\u00`, refused: "four hex digits"},
		{name: "trailing comma", in: `{"a":1,}`, refused: "key"},
		{name: "wrong word", in: `{"a":nul}`, refused: "no JSON value"},
		{name: "nothing", in: ``, refused: "ends"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			prefix := []byte("kept")
			got, err := Canonical(prefix, []byte(test.in))
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Fatalf("got %.100q, error %v, want an error with %q", got, err, test.refused)
				}
				if string(got) != "kept" {
					t.Fatalf("after an error the result is %.100q", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != "kept"+test.want {
				t.Fatalf("got  %s\nwant kept%s", got, test.want)
			}
		})
	}
}

func TestLimitsAreNamed(t *testing.T) {
	t.Parallel()
	if _, err := Canonical(nil, []byte(strings.Repeat(`{"a":`, 20))); !errors.Is(err, ErrTooDeep) {
		t.Errorf("got %v, want ErrTooDeep", err)
	}
	if _, err := Canonical(nil, make([]byte, 7*MaxRow)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func TestMarshalEqualsAnyOtherSpelling(t *testing.T) {
	t.Parallel()
	row := struct {
		Size uint64
		Name string
		Gone string `json:",omitempty"`
	}{Size: 1 << 63, Name: "a<b>&c \xff"}
	got, err := Marshal(nil, row)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"Name":"a<b>&c ` + "\ufffd" + `","Size":9223372036854775808}`; string(got) != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if _, err := Marshal(nil, make(chan int)); err == nil {
		t.Fatal("a channel was encoded")
	}
}

// These values are the protocol: whoever changes them makes every client and
// site disagree.
func TestHashesStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	row := Row("OS", []byte(`{"Name":"Debian"}`))
	if got, want := row.String(), "a808e38275f1e9d812116d31b9b7e55d"; got != want {
		t.Errorf("row: got %s, want %s", got, want)
	}
	other := Row("OS", []byte(`{"Name":"Fedora"}`))
	set := Set([]Hash{row, other})
	if got, want := set.String(), "bec1687f550f2587502c7ac49cef533df9e5e203a0effb7592befb402c11d9a6"; got != want {
		t.Errorf("set: got %s, want %s", got, want)
	}
	if got, want := Tables(map[string]Sum{"OS": set, "A": {}}).String(), "e364c937739be15cecc0f1588ce456f07ba8dde1c7c04dca39ebc3bf1620e528"; got != want {
		t.Errorf("tables: got %s, want %s", got, want)
	}
	if got, want := Tables(nil).String(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; got != want {
		t.Errorf("no tables: got %s, want %s", got, want)
	}
}

func TestSetForgetsOrderAndRepeats(t *testing.T) {
	t.Parallel()
	a, b, c := Row("T", []byte("a")), Row("T", []byte("b")), Row("T", []byte("c"))
	want := Set([]Hash{a, b, c})
	if got := Set([]Hash{c, b, a, b, b}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if Set([]Hash{a, b}) == want {
		t.Error("a smaller set has the same hash")
	}
}

func TestTableIsPartOfTheRow(t *testing.T) {
	t.Parallel()
	if Row("A", []byte("{}")) == Row("B", []byte("{}")) {
		t.Error("equal rows of two tables have the same hash")
	}
	long := bytes.Repeat([]byte("x"), 5000)
	if Row("A", long) == Row("A", long[1:]) {
		t.Error("long rows collide")
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	h := Row("T", []byte("{}"))
	got, err := Parse(h.String())
	if err != nil || got != h {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "00", strings.ToUpper(h.String()), h.String() + "0", h.String()[:31] + "g"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// FuzzCanonical holds that the canonical form is a fixed point, that it means
// what the source meant, and that no input is answered by a panic.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"b":1,"a":"\u00e9\ud83d\ude00\n"}`, `{"a":{"b":[{"c":null},-1,18446744073709551615]}}`, `{"a":1,"a":2}`,
		`{"a\"":0,"a!":0}`, `{"":""}`, `{"a":-0}`, strings.Repeat(`{"a":`, 20), `{"a":"\u0000"}`, "{\"a\":\"\xff\"}", `{"a":1.5}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		once, err := Canonical(nil, source)
		if err != nil {
			return
		}
		twice, err := Canonical(nil, once)
		if err != nil {
			t.Fatalf("%q became %q, which is refused: %v", source, once, err)
		}
		if !bytes.Equal(once, twice) {
			t.Fatalf("%q became %q, then %q", source, once, twice)
		}
		if !reflect.DeepEqual(decode(t, source), decode(t, once)) {
			t.Fatalf("%q became %q, which means something else", source, once)
		}
	})
}

func decode(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q is canonical and not JSON: %v", text, err)
	}
	return zero(v)
}

// zero makes -0 and 0 the same, as they are.
func zero(v any) any {
	switch v := v.(type) {
	case json.Number:
		if v == "-0" {
			return json.Number("0")
		}
	case map[string]any:
		for k := range v {
			v[k] = zero(v[k])
		}
	case []any:
		for i := range v {
			v[i] = zero(v[i])
		}
	}
	return v
}

type benchRow struct {
	Name, Version, Architecture, Source, SourcePackage, Publisher, DisplayName string
	InstalledSize                                                              uint64
	InstallTime                                                                int64
	Status                                                                     string
	Held                                                                       bool
}

// BenchmarkRowHash hashes an inventory of 3,000 packages: encoding, canonical
// form, row hashes and set hash.
func BenchmarkRowHash(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	rows := make([]benchRow, 3000)
	for i := range rows {
		rows[i] = benchRow{
			Name: fmt.Sprintf("package-%d", i), Version: fmt.Sprintf("1:%d.%d-%d", r.IntN(20), r.IntN(20), r.IntN(9)),
			Architecture: "amd64", Source: "dpkg", Publisher: "Some Maintainers <some-maintainers@lists.example.org>",
			DisplayName: "a library that does this & that (shared objects)", InstalledSize: r.Uint64N(1 << 30),
			InstallTime: r.Int64N(1 << 50), Status: "installed",
		}
	}
	var buffer []byte
	hashes := make([]Hash, len(rows))
	b.ReportAllocs()
	for b.Loop() {
		for i := range rows {
			var err error
			if buffer, err = Marshal(buffer[:0], &rows[i]); err != nil {
				b.Fatal(err)
			}
			hashes[i] = Row("InstalledSoftware", buffer)
		}
		Set(hashes)
	}
}
