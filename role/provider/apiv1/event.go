package apiv1

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"mainstay/lib/fault"
	"mainstay/site/access"
)

const (
	// heartbeatPeriod keeps proxies from closing a silent stream, and is how
	// late the end of a session is noticed.
	heartbeatPeriod = 15 * time.Second
	// eventGap is the shortest time between two events of one stream: what
	// changes faster is told once.
	eventGap = 250 * time.Millisecond
	// writeTimeout gives up a client that does not read.
	writeTimeout = 10 * time.Second

	maxStreams              = 200
	maxStreamsPerSubscriber = 10
)

// topic is a kind of change that a client can wait for.
type topic struct {
	name       string
	permission access.Permission
}

// topics are what slices announce; names are nouns of the API.
func topics() []topic {
	return []topic{
		{"administrator", access.AdministratorRead},
		{"audit", access.AuditRead},
		{"client-setting", access.ClientSettingRead},
		{"component", access.SiteRead},
		{"dead-letter", access.DeadLetterRead},
		{"device", access.DeviceRead},
		{"inventory", access.DeviceRead},
		{"registration", access.RegistrationRead},
		{"session", access.SessionRead},
		{"site", access.SiteRead},
		{"state-message", access.DeviceRead},
		{"status-message", access.StatusMessageRead},
		{"token", access.RegistrationTokenRead},
	}
}

// Event tells that something of a topic changed.
type Event struct {
	Topics []string `json:"topics" nullable:"false" doc:"what to read again"`
}

type eventsInput struct {
	Topics []string `query:"topics" maxItems:"20" nullable:"false" doc:"topics with commas between them; absent for all that the caller may read"`
}

func registerEvents(a *API) {
	names := []string{}
	for _, t := range topics() {
		names = append(names, t.name)
	}
	register(a, operation{
		method: http.MethodGet, path: "/events", id: "get-events", tag: "event", permission: permissionSignedIn,
		summary: "Wait for changes (server-sent events)",
		description: "The stream begins with an event of type ready and the topics that it tells of. An event of type change names topics of which something was committed since; " +
			"read what you show again. Nothing is told of what happened while a stream was away, so read everything again after ready. " +
			"Changes that follow each other quickly are one event. A comment every 15 seconds keeps the stream open. " +
			"Topics: " + strings.Join(names, ", ") + ". Each needs the permission to read its objects.",
	}, a.events)
}

// streams counts the open streams.
type streams struct {
	mu sync.Mutex // guards everything below
	// by subscriber: a session, or the name of a local administrator.
	by    map[string]int
	total int
}

func newStreams() *streams { return &streams{by: map[string]int{}} }

func (s *streams) open(subscriber string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxStreams || s.by[subscriber] >= maxStreamsPerSubscriber {
		return NewProblem(http.StatusTooManyRequests, fmt.Sprintf("%d streams of events are open for you and %d in all; close some", s.by[subscriber], s.total))
	}
	s.by[subscriber]++
	s.total++
	return nil
}

func (s *streams) close(subscriber string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.by[subscriber]--; s.by[subscriber] == 0 {
		delete(s.by, subscriber)
	}
}

func (a *API) events(ctx context.Context, caller access.Caller, in *eventsInput) (*huma.StreamResponse, error) {
	wanted, err := wantedTopics(caller, in.Topics)
	if err != nil {
		return nil, err
	}
	subscriber := caller.Name + " " + caller.Session
	if err := a.streams.open(subscriber); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(h huma.Context) {
		defer a.streams.close(subscriber)
		_, w := humago.Unwrap(h)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no")
		w.WriteHeader(http.StatusOK)
		stream := &eventStream{w: w, control: http.NewResponseController(w)}
		// The server's deadline for reading a request would end the stream. A
		// server without deadlines (a test) is as good.
		_ = stream.control.SetReadDeadline(time.Time{})
		// The client is gone, or does not read: it will come back.
		_ = a.follow(ctx, caller, wanted, stream)
	}}, nil
}

// wantedTopics checks the topics that a caller asks for.
func wantedTopics(caller access.Caller, names []string) ([]string, error) {
	wanted := []string{}
	for _, t := range topics() {
		asked := slices.Contains(names, t.name)
		switch {
		case len(names) == 0 && caller.May(t.permission):
			wanted = append(wanted, t.name)
		case asked && !caller.May(t.permission):
			return nil, caller.Require(t.permission)
		case asked:
			wanted = append(wanted, t.name)
		}
	}
	for _, name := range names {
		if !slices.Contains(wanted, name) {
			return nil, fault.InvalidField("topics", "%q is no topic; see the description of the operation", name)
		}
	}
	if len(wanted) == 0 {
		return nil, fault.New(fault.Denied, "none of your roles may read anything that events tell of")
	}
	return wanted, nil
}

// follow tells the stream of changes until its client or its session is gone.
func (a *API) follow(ctx context.Context, caller access.Caller, names []string, stream *eventStream) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	changed := make([]<-chan struct{}, len(names))
	for i, name := range names {
		changed[i] = a.c.DB.Subscribe(ctx, name)
	}
	any := a.c.DB.Subscribe(ctx, names...)
	if err := stream.send("ready", names); err != nil {
		return err
	}
	heartbeat := time.NewTicker(heartbeatPeriod)
	defer heartbeat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-heartbeat.C:
			if !a.stillSignedIn(ctx, caller) {
				return nil
			}
			if err := stream.comment(); err != nil {
				return err
			}
		case <-any:
			if err := a.tell(ctx, names, changed, stream); err != nil {
				return err
			}
		}
	}
}

// tell sends the topics that changed, after a moment in which more may come.
func (a *API) tell(ctx context.Context, names []string, changed []<-chan struct{}, stream *eventStream) error {
	gap := time.NewTimer(eventGap)
	defer gap.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-gap.C:
	}
	now := []string{}
	for i, name := range names {
		select {
		case <-changed[i]:
			now = append(now, name)
		default:
		}
	}
	if len(now) == 0 {
		return nil
	}
	return stream.send("change", now)
}

// stillSignedIn asks again, because a stream may outlive its session.
func (a *API) stillSignedIn(ctx context.Context, caller access.Caller) bool {
	return a.c.Door.StillIn(ctx, caller) == nil
}

// eventStream writes server-sent events.
type eventStream struct {
	w       io.Writer
	control *http.ResponseController
	id      int64
}

func (s *eventStream) send(kind string, names []string) error {
	data, err := json.Marshal(Event{Topics: names})
	if err != nil {
		return err
	}
	s.id++
	return s.write(fmt.Sprintf("event: %s\nid: %d\ndata: %s\n\n", kind, s.id, data))
}

func (s *eventStream) comment() error { return s.write(": still here\n\n") }

func (s *eventStream) write(text string) error {
	// A server without deadlines (a test) is as good.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return s.control.Flush()
}
