package sitedb

import (
	"strconv"
	"strings"
)

// unnamed writes ? for the parameters $1, $2 ... of a statement that uses each
// once and in order. The engine takes $1 for a name and looks names up one by
// one, which with hundreds of rows in one statement costs more than the rows.
// Any other statement stays as it is.
func unnamed(text string) string {
	var out strings.Builder
	for next, i := 1, 0; i < len(text); {
		if end := skip(text[i:]); end > 0 {
			out.WriteString(text[i : i+end])
			i += end
			continue
		}
		if text[i] != '$' {
			out.WriteByte(text[i])
			i++
			continue
		}
		end := i + 1
		for end < len(text) && text[end] >= '0' && text[end] <= '9' {
			end++
		}
		if text[i+1:end] != strconv.Itoa(next) {
			return text
		}
		out.WriteByte('?')
		next++
		i = end
	}
	return out.String()
}

// skip is the length of the string, quoted name or comment that a text begins
// with, 0 when it begins with none.
func skip(text string) int {
	end := ""
	switch {
	case text[0] == '\'', text[0] == '"':
		end = text[:1]
	case strings.HasPrefix(text, "--"):
		end = "\n"
	default:
		return 0
	}
	if at := strings.Index(text[1:], end); at >= 0 {
		return at + 1 + len(end)
	}
	return len(text)
}
