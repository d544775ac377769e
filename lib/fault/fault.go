// Package fault gives errors a kind, so that each edge of the product (API,
// wire, command line) can turn an error into its own form in one place. It
// knows no feature and no protocol.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what a caller can do about an error.
type Kind int

// The kinds. Only Unavailable is worth repeating unchanged.
const (
	// Internal is a defect or a broken machine; its text is for developers.
	Internal Kind = iota
	// Invalid input: the text names the field, the value and the remedy.
	Invalid
	// Denied: the caller may not do this.
	Denied
	// NotFound: the thing does not exist, or the caller may not know of it.
	NotFound
	// Conflict: it does not fit the present state.
	Conflict
	// Unavailable: something needed is away for now; repeat later.
	Unavailable
	// Stale: the caller's term or version is over.
	Stale
)

// String is the kind's name.
func (k Kind) String() string {
	names := [...]string{"internal", "invalid", "denied", "not found", "conflict", "unavailable", "stale"}
	if k < 0 || int(k) >= len(names) {
		return "internal"
	}
	return names[k]
}

// Error is an error with a kind.
type Error struct {
	Kind Kind
	// Field names the input that is wrong, in the form of the door it came
	// through ("uses", "settings.heartbeat.interval"); empty if none is.
	Field string
	// Text is a whole sentence without a full stop, fit for a user.
	Text string
	// Cause is the error behind it; never shown to a user.
	Cause error
}

// Error gives the text and the cause.
func (e *Error) Error() string {
	text := e.Text
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Cause != nil {
		return text + ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of a kind. The format may wrap one error with %w.
func New(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Text: err.Error(), Cause: nil}
}

// Wrap makes an error of a kind whose cause stays hidden from users.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...), Cause: cause}
}

// InvalidField makes an Invalid error that names the field.
func InvalidField(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Field: field, Text: fmt.Sprintf(format, args...)}
}

// KindOf is the kind of the outermost Error in the chain, Internal for others.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is tells whether the error is of the kind.
func Is(err error, kind Kind) bool {
	return err != nil && KindOf(err) == kind
}
