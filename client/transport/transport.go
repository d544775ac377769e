package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/lib/retry"
	"mainstay/wire"
)

// How long a management point may take.
const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 10 * time.Second
	headerTimeout    = 30 * time.Second
	exchangeTimeout  = 2 * time.Minute
	// idleTimeout outlives the default polling interval, so that a poll does
	// not need a new handshake.
	idleTimeout = 11 * time.Minute
)

// A management point that failed rests for a time between these, growing.
const (
	firstRest = 2 * time.Second
	mostRest  = 5 * time.Minute
)

// Config says whom to reach, and how. All but ManagementPoints and SiteCode
// have usable zero values.
type Config struct {
	// ManagementPoints are host:port.
	ManagementPoints []string
	SiteCode         string
	// Root is the site's root certificate; nil before it is known, and then
	// only Site works.
	Root *x509.Certificate
	// Own is the client's certificate; nil before it has one.
	Own mtls.Host
	// Now judges certificates; nil means time.Now.
	Now func() time.Time
	// Dial makes connections; nil means plain TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Random gives numbers in [0, 1); nil means math/rand.
	Random func() float64
	// Compressor may be shared; nil makes one.
	Compressor *Compressor
	// Log hears of changes of management point; nil means slog.Default.
	Log *slog.Logger
	// Observe is told of each exchange, by the goroutine that made it; nil
	// tells nobody.
	Observe func(Exchange)
}

// Transport reaches the management points of one site for one client. Its
// methods may be called from any goroutine.
type Transport struct {
	siteCode   string
	now        func() time.Time
	random     func() float64
	compressor *Compressor
	log        *slog.Logger
	client     *http.Client
	http       *http.Transport
	dial       func(ctx context.Context, network, address string) (net.Conn, error)
	observer   func(Exchange)

	mu      sync.Mutex // guards everything below
	root    *x509.Certificate
	own     mtls.Host
	points  []*point
	current *point // nil before the first success
}

// point is a management point.
type point struct {
	address string
	rest    *retry.Backoff
	// awake is when it may be asked again after a failure.
	awake time.Time
}

// New makes a transport. It connects to nobody.
func New(c Config) *Transport {
	t := &Transport{
		siteCode: c.SiteCode, now: c.Now, random: c.Random, compressor: c.Compressor, log: c.Log,
		root: c.Root, own: c.Own, dial: c.Dial, observer: c.Observe,
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.random == nil {
		t.random = rand.Float64
	}
	if t.compressor == nil {
		t.compressor = NewCompressor()
	}
	if t.log == nil {
		t.log = slog.Default()
	}
	if t.dial == nil {
		t.dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: time.Minute}).DialContext
	}
	t.http = t.httpTransport(t.verifyPeer)
	t.client = httpClient(t.http)
	t.SetManagementPoints(c.ManagementPoints)
	return t
}

func httpClient(h http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: h,
		// Nobody in between may send a client elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (t *Transport) httpTransport(verify func(tls.ConnectionState) error) *http.Transport {
	config := mtls.ClientConfig(nil, t.siteCode, nil, t.now)
	config.VerifyConnection = verify
	config.GetClientCertificate = t.certificate
	config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext: t.dial, TLSClientConfig: config, Protocols: protocols,
		TLSHandshakeTimeout: handshakeTimeout, ResponseHeaderTimeout: headerTimeout,
		MaxIdleConns: 1, MaxIdleConnsPerHost: 1, MaxConnsPerHost: 2, IdleConnTimeout: idleTimeout,
		MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
	}
}

// certificate shows the client's certificate, where it has one.
func (t *Transport) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	t.mu.Lock()
	own := t.own
	t.mu.Unlock()
	if own == nil {
		return &tls.Certificate{}, nil
	}
	return own.Current()
}

// verifyPeer accepts a site system of the site, on each connection, resumed
// ones included.
func (t *Transport) verifyPeer(state tls.ConnectionState) error {
	t.mu.Lock()
	root := t.root
	t.mu.Unlock()
	if len(state.PeerCertificates) == 0 {
		return fault.New(fault.Denied, "showed no certificate")
	}
	// A certificate that the site's root vouches for and that begins in our
	// future says that our clock is behind.
	now := t.now()
	for _, cert := range state.PeerCertificates {
		if cert.NotBefore.After(now) {
			now = cert.NotBefore
		}
	}
	return mtls.VerifyCertificates(state.PeerCertificates, mtls.VerifyOptions{
		Root: root, SiteCode: t.siteCode, Purpose: mtls.PurposeSystem, Now: now,
	})
}

// SetTrust gives the transport the site's root and the client's certificate
// (nil for none), and ends connections that were made with others.
func (t *Transport) SetTrust(root *x509.Certificate, own mtls.Host) {
	t.mu.Lock()
	t.root, t.own = root, own
	// A resumed session would show the certificate of the session before.
	t.http.CloseIdleConnections()
	t.http = t.httpTransport(t.verifyPeer)
	t.client = httpClient(t.http)
	t.mu.Unlock()
}

// SetManagementPoints replaces the list (host:port each). What is known of
// those that stay, stays.
func (t *Transport) SetManagementPoints(addresses []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var points []*point
	for _, address := range addresses {
		i := slices.IndexFunc(t.points, func(p *point) bool { return p.address == address })
		switch {
		case slices.ContainsFunc(points, func(p *point) bool { return p.address == address }):
		case i >= 0:
			points = append(points, t.points[i])
		default:
			points = append(points, &point{address: address, rest: retry.New(firstRest, mostRest, t.random)})
		}
	}
	t.points = points
	if t.current != nil && !slices.Contains(points, t.current) {
		t.current = nil
		t.http.CloseIdleConnections()
	}
}

// ManagementPoints is the list, and Current the one that served last ("" for
// none).
func (t *Transport) ManagementPoints() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for _, p := range t.points {
		list = append(list, p.address)
	}
	return list
}

// Current is the management point that served last, or "".
func (t *Transport) Current() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == nil {
		return ""
	}
	return t.current.address
}

// Wake forgets that management points rest: somebody wants an answer now, or
// the network has changed.
func (t *Transport) Wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.points {
		p.awake = time.Time{}
		p.rest.Reset()
	}
}

// Distrust lets a management point rest whose answer was not to be believed,
// so that the next request goes to another.
func (t *Transport) Distrust(address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.points {
		if p.address == address {
			t.restLocked(p, 0)
		}
	}
}

// Close ends the connection.
func (t *Transport) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.http.CloseIdleConnections()
}

// call is a request to any management point.
type call struct {
	method, path string
	header       http.Header
	body         []byte
	// limit bounds the plain body of the answer.
	limit int64
	// messages are those in the body.
	messages []wire.Message
}

// answer is a success.
type answer struct {
	point  string
	status int
	header http.Header
	body   []byte
}

// do asks the current management point, and then, where that does not help,
// each of the others once, in random order. Those that rest are left out.
//
// What a management point claims about the client (blocked, unknown, refused, a
// new incarnation) is believed only when no other one serves: they all have one
// database, and the one that claims it may be a thief's.
func (t *Transport) do(ctx context.Context, c call) (answer, error) {
	order := t.order()
	if len(order) == 0 {
		return answer{}, t.allRest()
	}
	var last, later, claim *Failure
	var claimants []*point
	for i := 0; i < len(order); i++ {
		p := order[i]
		began := time.Now()
		a, o := t.exchange(ctx, p.address, c)
		f := judge(ctx, o)
		t.observe(began, p.address, c, a, f)
		if f == nil {
			t.contradicted(ctx, claimants)
			t.served(ctx, p)
			return a, nil
		}
		f.ManagementPoint = p.address
		switch f.Advice {
		case Stop:
			return answer{}, f
		case ComeBack:
			// It serves, and other requests than this one perhaps at once.
			if later == nil || f.After < later.After {
				later = f
			}
		case TryAnother:
			t.failed(ctx, p, f)
			last = f
		default:
			if claim == nil {
				claim = f
				order = append(order, t.othersThan(order)...)
			}
			claimants = append(claimants, p)
		}
	}
	if claim != nil {
		t.served(ctx, claimants[0])
		return answer{}, claim
	}
	if later != nil {
		return answer{}, later
	}
	last.After = max(last.After, t.untilAwake())
	return answer{}, last
}

// othersThan are the management points that are not in a list: they rest, and
// are asked all the same whether a claim is true.
func (t *Transport) othersThan(list []*point) []*point {
	t.mu.Lock()
	defer t.mu.Unlock()
	var others []*point
	for _, p := range t.points {
		if !slices.Contains(list, p) {
			others = append(others, p)
		}
	}
	return others
}

// contradicted lets management points rest whose claim another one disproved
// by serving.
func (t *Transport) contradicted(ctx context.Context, claimants []*point) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range claimants {
		t.log.WarnContext(ctx, "a management point refuses what another one serves", "management_point", p.address)
		t.restLocked(p, 0)
	}
}

// failed gives a management point a rest. Only the first failure in a row is
// worth a line.
func (t *Transport) failed(ctx context.Context, p *point, f *Failure) {
	t.mu.Lock()
	level := slog.LevelDebug
	if p.rest.Failures() == 0 {
		level = slog.LevelInfo
	}
	t.restLocked(p, f.After)
	t.mu.Unlock()
	t.log.Log(ctx, level, "management point does not serve", "management_point", p.address, "reason", f.Text)
}

// order is whom to ask, the current one first.
func (t *Transport) order() []*point {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	var order []*point
	for _, p := range t.points {
		if !p.awake.After(now) {
			order = append(order, p)
		}
	}
	for i := range order { // shuffle with our own randomness
		j := i + int(t.random()*float64(len(order)-i))
		order[i], order[j] = order[j], order[i]
	}
	if i := slices.Index(order, t.current); i > 0 {
		order[0], order[i] = order[i], order[0]
	}
	return order
}

func (t *Transport) allRest() *Failure {
	f := &Failure{Advice: TryAnother, After: t.untilAwake(), Text: "all management points failed before and are given a rest"}
	if len(t.ManagementPoints()) == 0 {
		f.Text, f.After = "no management point is known", mostRest
	}
	return f
}

// untilAwake is how long until the first one may be asked.
func (t *Transport) untilAwake() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := mostRest
	for _, p := range t.points {
		wait = min(wait, time.Until(p.awake))
	}
	return max(wait, 0)
}

func (t *Transport) restLocked(p *point, atLeast time.Duration) {
	p.awake = time.Now().Add(max(p.rest.Next(), atLeast))
	if t.current == p {
		t.current = nil
	}
}

func (t *Transport) served(ctx context.Context, p *point) {
	t.mu.Lock()
	changed := t.current != p
	t.current = p
	p.rest.Reset()
	t.mu.Unlock()
	if changed {
		t.log.InfoContext(ctx, "using management point", "management_point", p.address)
	}
}

// exchange makes one request to one management point.
func (t *Transport) exchange(ctx context.Context, address string, c call) (answer, outcome) {
	t.mu.Lock()
	client := t.client
	t.mu.Unlock()
	return exchange(ctx, client, address, c)
}

func exchange(ctx context.Context, client *http.Client, address string, c call) (answer, outcome) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, c.method, "https://"+address+c.path, bytes.NewReader(c.body))
	if err != nil {
		return answer{}, outcome{err: err}
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	request.Header.Set(wire.HeaderVersion, strconv.Itoa(wire.Version))
	request.Header.Set("Accept-Encoding", "zstd")
	request.Header.Set("User-Agent", "mainstay-client")
	// Every door may be asked twice, so a connection that the other side has
	// closed meanwhile is simply replaced. The header itself is not sent.
	request.Header["Idempotency-Key"] = []string{}

	response, err := client.Do(request)
	if err != nil {
		return answer{}, outcome{err: err}
	}
	defer response.Body.Close()
	body, err := readAnswer(response, c.limit)
	if err != nil {
		return answer{}, outcome{err: err}
	}
	o := outcome{status: response.StatusCode, header: response.Header}
	if o.status != http.StatusOK && o.status != http.StatusNotModified {
		o.problem = decodeProblem(body)
		return answer{}, o
	}
	if err := checkVersion(response.Header); err != nil {
		return answer{}, outcome{err: err}
	}
	return answer{point: address, status: response.StatusCode, header: response.Header, body: body}, o
}

func readAnswer(response *http.Response, limit int64) ([]byte, error) {
	if response.StatusCode != http.StatusOK {
		limit = min(limit, 64<<10)
	}
	switch encoding := response.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return readBounded(response.Body, limit)
	case "zstd":
		return decompress(io.LimitReader(response.Body, limit+1<<10), limit)
	default:
		return nil, fault.New(fault.Denied, "answer is encoded as %q", clean(encoding))
	}
}

// checkVersion refuses a site that is too old to be spoken with.
func checkVersion(header http.Header) error {
	text := header.Get(wire.HeaderVersion)
	if text == "" {
		return nil
	}
	version, err := strconv.Atoi(text)
	if err != nil || version < wire.OldestVersion {
		return fault.New(fault.Unavailable, "speaks version %q of the protocol, want %d or newer: update the site before its clients", clean(text), wire.OldestVersion)
	}
	return nil
}

// IsUntrusted tells whether an error says that the other side is no site
// system of the site.
func IsUntrusted(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && (f.Kind == fault.Denied || f.Kind == fault.Stale)
}
