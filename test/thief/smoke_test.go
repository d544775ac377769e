package thief

import (
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	inLab(t, func(l *lab) {
		m := l.newMachine("alpha", thiefs, honest).registered()
		l.setPolling("7m")
		m.client.PollPolicyNow()
		l.pass(time.Minute)
		s := m.client.Status()
		t.Logf("%+v %+v", s, m.client.Settings().ClientPolicy)
	})
}
