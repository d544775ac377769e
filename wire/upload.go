package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// String is the text form of the upload header: the exact bytes that the
// client signs (after SignUpload) and that travel in HeaderUpload.
func (u Upload) String() string {
	return fmt.Sprintf("%s %s %s %d %d %d %d %s",
		u.Device, u.Running, u.Born, u.First, u.Last, u.Acknowledged, u.Count, u.Hash)
}

// ParseUpload reads the text form and refuses whatever String would not write.
func ParseUpload(text string) (Upload, error) {
	parts := strings.Split(text, " ")
	if len(parts) != 8 {
		return Upload{}, fmt.Errorf("upload header has %d parts, want 8", len(parts))
	}
	u := Upload{Device: parts[0], Running: parts[1], Born: parts[2], Hash: parts[7]}
	for i, target := range []*int64{&u.First, &u.Last, &u.Acknowledged} {
		n, err := strconv.ParseInt(parts[3+i], 10, 64)
		if err != nil {
			return Upload{}, fmt.Errorf("upload header part %d is %q, want a number", 4+i, parts[3+i])
		}
		*target = n
	}
	count, err := strconv.Atoi(parts[6])
	if err != nil {
		return Upload{}, fmt.Errorf("upload header part 7 is %q, want a number", parts[6])
	}
	u.Count = count
	if u.String() != text {
		return Upload{}, fmt.Errorf("upload header is not in its canonical form")
	}
	return u, u.check()
}

func (u Upload) check() error {
	switch {
	case !isHex(u.Running, 16):
		return fmt.Errorf("running incarnation %q is not 16 hex digits", u.Running)
	case !isHex(u.Born, 16):
		return fmt.Errorf("incarnation %q is not 16 hex digits", u.Born)
	case !isHex(u.Hash, 64):
		return fmt.Errorf("body hash %q is not 64 hex digits", u.Hash)
	case len(u.Device) == 0 || len(u.Device) > 64:
		return fmt.Errorf("device identifier has %d bytes, want 1 to 64", len(u.Device))
	case u.Acknowledged < 0 || u.First <= u.Acknowledged || u.Last < u.First:
		return fmt.Errorf("numbers do not grow: acknowledged %d, first %d, last %d", u.Acknowledged, u.First, u.Last)
	case u.Count < 1 || u.Count > MaxMessages || int64(u.Count) > u.Last-u.First+1:
		return fmt.Errorf("%d messages between %d and %d, want 1 to %d", u.Count, u.First, u.Last, MaxMessages)
	}
	return nil
}

func isHex(s string, length int) bool {
	if len(s) != length {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}
