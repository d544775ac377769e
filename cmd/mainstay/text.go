package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// when is a time as people read it, in the user's time zone.
func (p *program) when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(p.env.zone).Format("2006-01-02 15:04:05")
}

func (p *program) maybeWhen(t *time.Time) string {
	if t == nil {
		return ""
	}
	return p.when(*t)
}

// ago is how long ago a time was.
func (p *program) ago(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "never"
	}
	d := p.env.now().Sub(*t)
	if d < 0 {
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

// span is a length of time in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + "d"
}

// stamp is a time as programs read it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func maybeStamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return stamp(*t)
}

// value is what a pointer of the API points to.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// given is a pointer for the API, nil for a zero value.
func given[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// short is the beginning of an identifier, enough to tell it from others.
func short(id string) string {
	if len(id) > 8 {
		return id[:8]
	}
	return id
}

// size is a number of bytes as people read it.
func size(bytes int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	n, unit := float64(bytes), 0
	for n >= 1024 && unit < len(units)-1 {
		n /= 1024
		unit++
	}
	if unit == 0 || n >= 100 {
		return fmt.Sprintf("%.0f %s", n, units[unit])
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0") + " " + units[unit]
}

// grouped is a number with commas between thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// first is the first line of a text.
func first(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
