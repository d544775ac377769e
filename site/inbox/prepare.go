package inbox

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"mainstay/lib/fault"
	"mainstay/lib/lifecycle"
	"mainstay/lib/signed"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// work is one upload on its way from the inbox to the features.
type work struct {
	row  inboxRow
	keys []*ecdsa.PublicKey
	// reason says why it is to be buried; empty when it is good.
	reason string
	// genuine tells that the device has signed it.
	genuine  bool
	upload   wire.Upload
	messages []wire.Message
}

func (w *work) received(m wire.Message) Received {
	return Received{Device: w.upload.Device, Message: m, ReceivedAt: w.row.ReceivedAt}
}

var errEnough = errors.New("enough")

// read reads the next uploads of the inbox, in order, and the keys of their
// devices.
func (d *Dispatcher) read(ctx context.Context) ([]*work, error) {
	var batch []*work
	err := d.config.DB.Read(ctx, func(tx *sitedb.Tx) error {
		batch = nil
		bytes := 0
		err := readInbox.Each(ctx, tx, limit{int64(d.config.MaxBatch)}, func(row inboxRow) error {
			if bytes += len(row.Body); bytes > d.config.MaxBatchBytes && len(batch) > 0 {
				return errEnough
			}
			batch = append(batch, &work{row: row})
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		return d.findKeys(ctx, tx, batch)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the inbox: %w", err)
	}
	return batch, nil
}

// findKeys finds the keys of each device once.
func (d *Dispatcher) findKeys(ctx context.Context, tx *sitedb.Tx, batch []*work) error {
	type found struct {
		keys   []*ecdsa.PublicKey
		reason string
	}
	known := map[string]found{}
	for _, w := range batch {
		f, ok := known[w.row.Device]
		if !ok {
			keys, err := d.config.Keys(ctx, tx, w.row.Device)
			switch {
			case fault.Is(err, fault.NotFound):
				f.reason = "unknown device"
			case err != nil && endsPass(ctx, err):
				return err
			case err != nil:
				f.reason = "the key of the device cannot be read: " + reasonOf(err)
			default:
				f.keys = keys
			}
			known[w.row.Device] = f
		}
		w.keys, w.reason = f.keys, f.reason
	}
	return nil
}

// maxPlain is how much decompressed text is held at once, give or take one
// upload per processor.
const maxPlain = 32 << 20

// prepare checks and decodes a batch outside any transaction, on all
// processors. It returns the part of the batch that it got to.
func (d *Dispatcher) prepare(ctx context.Context, batch []*work) ([]*work, error) {
	var next, plain atomic.Int64
	worker := func(ctx context.Context) error {
		for ctx.Err() == nil && plain.Load() < maxPlain {
			i := int(next.Add(1)) - 1
			if i >= len(batch) {
				return nil
			}
			plain.Add(int64(d.check(batch[i])))
		}
		return ctx.Err()
	}
	tasks := make([]lifecycle.Task, min(runtime.GOMAXPROCS(0), len(batch)))
	for i := range tasks {
		tasks[i] = lifecycle.Task{Name: "check uploads", Run: worker}
	}
	if err := lifecycle.Run(ctx, tasks...); err != nil {
		return nil, err
	}
	return batch[:min(int(next.Load()), len(batch))], ctx.Err()
}

// check judges one upload and decodes it. It returns the size of the plain
// body.
func (d *Dispatcher) check(w *work) int {
	if w.reason != "" {
		return 0
	}
	if w.reason = w.verify(); w.reason != "" {
		return 0
	}
	w.genuine = true
	plain, err := d.plain(w.row)
	if err == nil {
		w.messages, err = decodeMessages(plain, w.upload)
	}
	if err != nil {
		w.reason = "the body cannot be read: " + err.Error()
	}
	return len(plain)
}

// verify proves the sender and returns what is wrong.
func (w *work) verify() string {
	upload, err := wire.ParseUpload(w.row.Header)
	if err != nil {
		return "the header cannot be read: " + err.Error()
	}
	if upload.Device != w.row.Device {
		return fmt.Sprintf("the header is of device %q", upload.Device)
	}
	if !verifyAny(w.keys, w.row.Header, w.row.Signature) {
		return "the signature is wrong"
	}
	hash := sha256.Sum256(w.row.Body)
	if hex.EncodeToString(hash[:]) != upload.Hash {
		return "the body is not the one that was signed"
	}
	w.upload = upload
	return ""
}

func verifyAny(keys []*ecdsa.PublicKey, header string, signature []byte) bool {
	for _, key := range keys {
		if signed.Verify(key, wire.SignUpload, []byte(header), signature) {
			return true
		}
	}
	return false
}

// zstdMagic begins a zstd frame; no JSON text begins so.
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// plain decompresses a body within the limit. The body itself says whether it
// is compressed: the column encoding is a management point's word, which the
// device has not signed.
func (d *Dispatcher) plain(row inboxRow) ([]byte, error) {
	if !bytes.HasPrefix(row.Body, zstdMagic) {
		return row.Body, nil
	}
	plain, err := d.decoder.DecodeAll(row.Body, nil)
	if err != nil {
		return nil, fmt.Errorf("it cannot be decompressed: %w", err)
	}
	return plain, nil
}

type limit struct {
	Limit int64 `db:"limit"`
}

type rowID struct {
	ID int64 `db:"id"`
}

var (
	readInbox = sqldb.Define[limit, inboxRow]("inbox.read",
		`SELECT id, device, header, encoding, body, signature, management_point, received_at FROM inbox ORDER BY id LIMIT @limit`)
	// Rows by their identifiers, never up to one: another management point may
	// commit a lower one later.
	deleteInbox = sqldb.DefineMany[rowID]("inbox.delete",
		`DELETE FROM inbox WHERE id IN ([[@id]])`)
)
