package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"mainstay/lib/fault"
	"mainstay/wire"
)

// Compressor compresses uploads. It holds no memory for long while it rests.
// Many clients in one process may share one.
type Compressor struct {
	pool sync.Pool // of *zstd.Encoder
}

// NewCompressor makes a compressor.
func NewCompressor() *Compressor { return &Compressor{} }

// compressFrom is the size in bytes above which a body is worth compressing.
const compressFrom = 1 << 10

func (c *Compressor) compress(data []byte) ([]byte, error) {
	encoder, ok := c.pool.Get().(*zstd.Encoder)
	if !ok {
		var err error
		encoder, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
			zstd.WithWindowSize(1<<20), zstd.WithEncoderLevel(zstd.SpeedDefault))
		if err != nil {
			return nil, fmt.Errorf("cannot compress: %w", err)
		}
	}
	defer c.pool.Put(encoder)
	return encoder.EncodeAll(data, make([]byte, 0, len(data)/4)), nil
}

// decompress reads at most limit bytes of plain text, with little memory
// whatever the frame asks for.
func decompress(r io.Reader, limit int64) ([]byte, error) {
	decoder, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(uint64(limit)+1<<20), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, fmt.Errorf("cannot decompress: %w", err)
	}
	defer decoder.Close()
	return readBounded(decoder, limit)
}

// readBounded reads everything, or fails when that is more than limit bytes.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.Denied, "answer is larger than %d bytes", limit)
	}
	return data, nil
}

// DecodeJSON reads one JSON value of bounded depth. Unknown members are
// ignored, because a newer site may send more.
func DecodeJSON(data []byte, out any) error {
	if err := checkDepth(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fault.Wrap(fault.Denied, err, "answer cannot be read")
	}
	return nil
}

// checkDepth refuses JSON that is nested deeper than wire.MaxDepth.
func checkDepth(data []byte) error {
	depth, inText := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			if depth++; depth > wire.MaxDepth {
				return fault.New(fault.Denied, "answer is nested deeper than %d", wire.MaxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// EncodeJSON is json.Marshal without the escapes that only web pages need: they
// would change the bytes of rows that are compared by hash.
func EncodeJSON(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}
