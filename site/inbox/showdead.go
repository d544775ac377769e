package inbox

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

// MaxShownBody is how much of a dead letter's body is shown, in bytes.
const MaxShownBody = 64 << 10

// DeadLetterContent is what a dead letter says. Of a whole upload nothing is
// proven: it may come from anybody.
type DeadLetterContent struct {
	// Header is what the upload said about its body.
	Header   string
	Encoding string
	// Body in clear, at most MaxShownBody bytes of it; as it came where it
	// cannot be unpacked. It may be no text.
	Body      []byte
	Truncated bool
}

var showDead = sqldb.Define[rowID, DeadLetter]("inbox.showDead",
	`SELECT `+deadLetterColumns+` FROM dead_letter WHERE id = @id`)

const deadLetterColumns = `id, device, incarnation, number, type, reason, management_point, length(body) AS size,
	received_at, died_at, replay_wanted_at, replay_error, replayed_at`

// ShowDeadLetter reads one dead letter with what it says. Who may see it is for
// the caller to judge.
func ShowDeadLetter(ctx context.Context, tx *sitedb.Tx, id int64) (DeadLetter, DeadLetterContent, error) {
	letter, ok, err := showDead.One(ctx, tx, rowID{id})
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "there is no dead letter %d", id)
	}
	if err != nil {
		return letter, DeadLetterContent{}, err
	}
	row, _, err := readDead.One(ctx, tx, rowID{id})
	if err != nil {
		return letter, DeadLetterContent{}, err
	}
	content := DeadLetterContent{Header: row.Header, Encoding: row.Encoding, Body: row.Body}
	if row.Encoding == EncodingZstd {
		// What cannot be unpacked is shown as it came; it may be why it died.
		if plain, err := unpackSome(row.Body); err == nil {
			content.Body = plain
		}
	}
	if len(content.Body) > MaxShownBody {
		content.Body, content.Truncated = content.Body[:MaxShownBody], true
	}
	return letter, content, nil
}

// unpackSome unpacks the beginning of a body, with little memory whatever the
// body claims.
func unpackSome(body []byte) ([]byte, error) {
	decoder, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(16<<20), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, fmt.Errorf("cannot unpack: %w", err)
	}
	defer decoder.Close()
	plain, err := io.ReadAll(io.LimitReader(decoder, MaxShownBody+1))
	if err != nil {
		return nil, fmt.Errorf("cannot unpack: %w", err)
	}
	return plain, nil
}
