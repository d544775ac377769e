package history

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// script makes a history: each step happens after the one before.
type script struct {
	events []Event
	found  []Found
}

func (s *script) add(e Event) *script {
	e.Time = int64(len(s.events) + 1)
	s.events = append(s.events, e)
	return s
}

// sent is a message with all that should happen to it, but for what leave names.
func (s *script) sent(stream string, number int64, device string, leave ...string) *script {
	id := fmt.Sprintf("%s-%d", stream, number)
	for _, what := range []string{Offered, Accepted, Acknowledged} {
		if !slices.Contains(leave, what) {
			s.add(Event{What: what, Stream: stream, Number: number, ID: id})
		}
	}
	if !slices.Contains(leave, "found") {
		s.found = append(s.found, Found{device, stream, number, id})
	}
	return s
}

func (s *script) is(stream, device string) *script {
	return s.add(Event{What: Identified, Stream: stream, Device: device})
}

func (s *script) obeys(stream, device string, version, polling, heartbeat int64) *script {
	return s.add(Event{What: HasPolicy, Stream: stream, Device: device, Policy: &Policy{version, polling, heartbeat}})
}

func (s *script) copy(stream, name string) *script {
	return s.add(Event{What: Copying, Stream: stream, Copy: name})
}

func (s *script) disk(what, stream, name string) *script {
	return s.add(Event{What: what, Stream: stream, Copy: name})
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		run  func(*script)
		want []string
	}{
		"all is well": {run: func(s *script) { s.is("a", "d1").sent("a", 1, "d1").sent("a", 2, "d1") }},
		"nobody knows whether the outbox has it": {
			run: func(s *script) { s.is("a", "d1").sent("a", 1, "d1", Accepted, Acknowledged, "found") }},
		"nobody knew, and it has arrived": {run: func(s *script) { s.is("a", "d1").sent("a", 1, "d1", Accepted, Acknowledged) }},
		"acknowledged and lost":           {run: func(s *script) { s.is("a", "d1").sent("a", 1, "d1", "found") }, want: []string{Lost}},
		"accepted and lost":               {run: func(s *script) { s.is("a", "d1").sent("a", 1, "d1", Acknowledged, "found") }, want: []string{Lost}},
		"doubled": {
			run:  func(s *script) { s.is("a", "d1").sent("a", 1, "d1"); s.found = append(s.found, s.found[0]) },
			want: []string{Doubled}},
		"at another's device": {
			run: func(s *script) { s.is("a", "d1").is("b", "d2").sent("a", 1, "d2") }, want: []string{Mixed}},
		"invented":        {run: func(s *script) { s.found = append(s.found, Found{"d1", "a", 7, "x"}) }, want: []string{Invented}},
		"another content": {run: func(s *script) { s.is("a", "d1").sent("a", 1, "d1"); s.found[0].ID = "x" }, want: []string{Invented}},
		"refused and arrived": {
			run: func(s *script) {
				s.is("a", "d1").sent("a", 1, "d1", Accepted, Acknowledged).add(Event{What: Refused, Stream: "a", Number: 1})
			}, want: []string{Invented}},
		"two clients are one device": {run: func(s *script) { s.is("a", "d1").is("b", "d1") }, want: []string{Mixed}},

		"older disk: what was accepted since is gone with it": {
			run: func(s *script) {
				s.is("a", "d1").copy("a", "c").sent("a", 1, "d1", Acknowledged, "found").disk(Disk, "a", "c").is("a", "d1")
			}},
		"older disk: what it holds is not excused": {
			run: func(s *script) {
				s.is("a", "d1").sent("a", 1, "d1", Acknowledged, "found").copy("a", "c").disk(Disk, "a", "c").is("a", "d1")
			}, want: []string{Lost}},
		"older disk: what was acknowledged since is not excused": {
			run: func(s *script) {
				s.is("a", "d1").copy("a", "c").sent("a", 1, "d1", "found").disk(Disk, "a", "c").is("a", "d1")
			}, want: []string{Lost}},
		"older disk twice: what the first did not hold is gone": {
			run: func(s *script) {
				s.is("a", "d1").copy("a", "c").sent("a", 1, "d1", Acknowledged, "found").disk(Disk, "a", "c").
					copy("a", "c2").disk(Disk, "a", "c2").is("a", "d1")
			}},
		"reinstalled": {
			run: func(s *script) {
				s.is("a", "d1").sent("a", 1, "d1").sent("a", 2, "d1", Acknowledged, "found").disk(Disk, "a", "").is("a", "").is("a", "d1").sent("a", 3, "d1")
			}},
		"clone": {
			run: func(s *script) {
				s.is("a", "d1").sent("a", 1, "d1").copy("a", "c").disk(Foreign, "b", "c").is("b", "").sent("b", 1, "d2").is("b", "d2").sent("b", 2, "d2")
			}},
		"clone speaks for the original": {
			run: func(s *script) {
				s.is("a", "d1").copy("a", "c").disk(Foreign, "b", "c").is("b", "").is("b", "d2").sent("b", 1, "d1")
			}, want: []string{Mixed}},
		"clone takes what the original had accepted": {
			run: func(s *script) {
				s.is("a", "d1").sent("a", 1, "d1", Acknowledged, "found").copy("a", "c").disk(Foreign, "b", "c").is("b", "d2")
			}, want: []string{Lost}},
		"twin: before it was told it may speak for the original": {
			run: func(s *script) {
				s.is("a", "d1").copy("a", "c").disk(Disk, "b", "c").is("b", "d1").sent("b", 1, "d1").sent("b", 2, "d2").is("b", "d2").sent("b", 3, "d2")
			}},
		"twin: after it was told it may not": {
			run: func(s *script) {
				s.is("a", "d1").copy("a", "c").disk(Disk, "b", "c").is("b", "d1").is("b", "d2").sent("b", 1, "d1")
			}, want: []string{Mixed}},
		"twin that was never told": {
			run:  func(s *script) { s.is("a", "d1").copy("a", "c").disk(Disk, "b", "c").is("b", "d1") },
			want: []string{Mixed}},

		"identity lost": {run: func(s *script) { s.is("a", "d1").is("a", "") }, want: []string{IdentityLost}},
		"policy grows":  {run: func(s *script) { s.is("a", "d1").obeys("a", "d1", 5, 10, 50010).obeys("a", "d1", 6, 11, 50011) }},
		"policy lost":   {run: func(s *script) { s.is("a", "d1").obeys("a", "d1", 5, 10, 50010).obeys("a", "d1", 0, 300, 86400) }, want: []string{PolicyLost}},
		"older policy":  {run: func(s *script) { s.is("a", "d1").obeys("a", "d1", 5, 10, 50010).obeys("a", "d1", 4, 9, 50009) }, want: []string{PolicyLost}},
		"policy of an older disk": {
			run: func(s *script) {
				s.is("a", "d1").obeys("a", "d1", 5, 10, 50010).copy("a", "c").obeys("a", "d1", 6, 11, 50011).disk(Disk, "a", "c").is("a", "d1").obeys("a", "d1", 5, 10, 50010)
			}},
		"policy that the older disk had is lost": {
			run: func(s *script) {
				s.is("a", "d1").obeys("a", "d1", 5, 10, 50010).copy("a", "c").disk(Disk, "a", "c").is("a", "d1").obeys("a", "d1", 0, 300, 86400)
			}, want: []string{PolicyLost}},
		"settings of two edits":     {run: func(s *script) { s.obeys("a", "d1", 5, 10, 50011) }, want: []string{PolicyMixed}},
		"one version, two contents": {run: func(s *script) { s.obeys("a", "d1", 5, 10, 50010).obeys("a", "d1", 5, 11, 50011) }, want: []string{PolicyMixed}},
		"first start has no policy": {run: func(s *script) { s.is("a", "").obeys("a", "", 0, 300, 86400) }},
		"another device's policy": {run: func(s *script) {
			s.is("a", "d1").obeys("a", "d1", 5, 10, 50010).is("a", "d2").obeys("a", "d2", 1, 10, 50010)
		}},
		"acknowledged without an offer": {run: func(s *script) { s.add(Event{What: Acknowledged, Stream: "a", Number: 1}) }, want: []string{Invented}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{}
			test.run(s)
			summary, violations := Validate(s.events, s.found)
			var kinds []string
			for _, v := range violations {
				kinds = append(kinds, v.Kind)
			}
			if !slices.Equal(kinds, test.want) {
				t.Errorf("violations are %v, want kinds %v; %s", violations, test.want, summary)
			}
		})
	}
}

func TestJournalKeepsWhatWasWrittenBeforeACut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	for _, path := range []string{first, second, first} {
		j, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Write(Event{What: Note, Text: path}, Event{What: Note, Text: "again"}); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(second, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"time":1,"wh`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	events, err := Read(first, second)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for i, e := range events {
		texts = append(texts, e.Text)
		if i > 0 && e.Time < events[i-1].Time {
			t.Error("events are not in order")
		}
	}
	if want := []string{first, "again", second, "again", first, "again"}; !slices.Equal(texts, want) {
		t.Errorf("read %v, want %v", texts, want)
	}
}
