package inbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"mainstay/wire"
)

func TestDecodeTakesWhatClientsSend(t *testing.T) {
	t.Parallel()
	list := messages(runA, 5, 7)
	list[1].Body = json.RawMessage(`{"a":[1,-2.5e+3,"é\u00e9\\",{"b":null}],"c":true}`)
	list[2].Body = json.RawMessage(`"text"`)
	plain, err := json.MarshalIndent(list, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	// What a newer client adds is left alone.
	plain = bytes.Replace(plain, []byte(`"incarnation"`), []byte(`"newer": {"body": [1]}, "incarnation"`), 1)
	got, err := decodeMessages(plain, wire.Upload{Born: runA, First: 5, Last: 7, Count: 3})
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range got {
		var a, b bytes.Buffer
		json.Compact(&a, m.Body)
		json.Compact(&b, list[i].Body)
		if m.ID != list[i].ID || m.Number != list[i].Number || m.Type != list[i].Type || m.Time != list[i].Time || a.String() != b.String() {
			t.Errorf("message %d is %+v, want %+v", i, m, list[i])
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	u := wire.Upload{Born: runA, First: 1, Last: 1, Count: 1}
	good := fmt.Sprintf(`[{"incarnation":"%s","number":1,"id":"%s","type":"t","time":1,"body":{}}]`, runA, strings.Repeat("0", 32))
	if _, err := decodeMessages([]byte(good), u); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"key twice":            {`"number":1`, `"number":1,"number":1`},
		"body twice":           {`"body":{}`, `"body":{},"body":1`},
		"number as text":       {`"number":1`, `"number":"1"`},
		"fraction":             {`"number":1`, `"number":1.0`},
		"exponent":             {`"time":1`, `"time":1e3`},
		"too large a number":   {`"time":1`, `"time":9223372036854775808`},
		"leading zero":         {`"time":1`, `"time":01`},
		"something after":      {`]`, `] []`},
		"comma at the end":     {`}]`, `},]`},
		"no comma":             {`,"id"`, ` "id"`},
		"escaped identifier":   {`"id":"0`, `"id":"\u0030`},
		"control character":    {`"type":"t"`, "\"type\":\"t\x01\""},
		"escape":               {`"body":{}`, `"body":"\x"`},
		"short escape":         {`"body":{}`, `"body":"\u12"`},
		"not UTF-8":            {`"body":{}`, "\"body\":\"\xff\""},
		"word":                 {`"body":{}`, `"body":nul`},
		"bare minus":           {`"body":{}`, `"body":-`},
		"object as array":      {`[{`, `{`},
		"null message":         {good, `[null]`},
		"nothing":              {good, ``},
		"empty array":          {good, `[]`},
		"key that is no text":  {`"type"`, `1`},
		"type too long":        {`"type":"t"`, `"type":"` + strings.Repeat("t", 65) + `"`},
		"body too large":       {`"body":{}`, `"body":"` + strings.Repeat("x", wire.MaxMessageBytes) + `"`},
		"whole body too large": {`"body":{}`, `"body":{}` + strings.Repeat(" ", wire.MaxUploadPlainBytes)},
		"too deep":             {`"body":{}`, `"body":` + strings.Repeat("[", wire.MaxDepth) + strings.Repeat("]", wire.MaxDepth)},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := decodeMessages([]byte(bad), u); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// FuzzDecode compares the decoder with encoding/json: what it takes is JSON and
// means the same, within the limits.
func FuzzDecode(f *testing.F) {
	for _, list := range [][]wire.Message{messages(runA, 1, 1), messages(runA, 1, 3)} {
		plain, _ := json.Marshal(list)
		f.Add(plain)
		f.Add(bytes.Replace(plain, []byte(`{"message_id":1}`), []byte(`[1,{"x":"\ud83d\ude00\n"},-0.1E-7,null,true,[[]]]`), 1))
	}
	f.Add([]byte(`[{"body":` + strings.Repeat("[", 40)))
	f.Fuzz(func(t *testing.T, plain []byte) {
		var want []wire.Message
		err := json.Unmarshal(plain, &want)
		u := wire.Upload{Born: runA, First: 1, Last: 1, Count: 1}
		if err == nil && len(want) > 0 && len(want) <= wire.MaxMessages {
			u = wire.Upload{Born: want[0].Incarnation, First: want[0].Number, Last: want[len(want)-1].Number, Count: len(want)}
		}
		got, refused := decodeMessages(plain, u)
		if refused != nil {
			return
		}
		if err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		for i, m := range got {
			if len(m.ID) != 32 || m.Incarnation != u.Born || m.Number < u.First || m.Number > u.Last || !json.Valid(m.Body) {
				t.Errorf("accepted %+v", m)
			}
			// encoding/json takes keys in any case, and the last of several.
			if !bytes.Contains(bytes.ToLower(plain), []byte(`"body"`)) || len(got) != len(want) {
				t.Errorf("message %d is %+v, want %+v", i, m, want[i])
			}
		}
	})
}
