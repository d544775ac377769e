package transport

import (
	"strings"
	"time"

	"mainstay/wire"
)

// Exchange is one request to one management point and how it went, for those
// who measure.
type Exchange struct {
	// ManagementPoint is the one that was asked, host:port.
	ManagementPoint string
	// Door is one of wire's, without what follows it.
	Door string
	Took time.Duration
	// Sent and Received are the bytes of the bodies: of the request as it was
	// sent, of the answer after decompression.
	Sent, Received int
	// Messages is the number of messages that the request carried, Carried
	// the messages themselves; the observer changes nothing of them.
	Messages int
	Carried  []wire.Message
	// Failure is nil when the exchange succeeded.
	Failure *Failure
}

// observe tells the observer, where there is one, of an exchange that began at
// the given time.
func (t *Transport) observe(began time.Time, address string, c call, a answer, f *Failure) {
	if t.observer == nil {
		return
	}
	door := c.path
	if strings.HasPrefix(door, wire.DoorPolicyBody) {
		door = wire.DoorPolicyBody
	}
	t.observer(Exchange{
		ManagementPoint: address, Door: door, Took: time.Since(began),
		Sent: len(c.body), Received: len(a.body), Messages: len(c.messages), Carried: c.messages, Failure: f,
	})
}
