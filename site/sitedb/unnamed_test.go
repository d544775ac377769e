package sitedb

import "testing"

func TestUnnamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"SELECT 1":                             "SELECT 1",
		"VALUES ($1, $2), ($3, $4)":            "VALUES (?, ?), (?, ?)",
		"a = $1 AND b = $1":                    "a = $1 AND b = $1",
		"a = $2 AND b = $1":                    "a = $2 AND b = $1",
		"a = '$1' AND b = $1 AND \"$2\" = $2":  "a = '$1' AND b = ? AND \"$2\" = ?",
		"a = $1 -- not $7\n AND b = $2":        "a = ? -- not $7\n AND b = ?",
		"a = 'it''s $9' AND b = $1":            "a = 'it''s $9' AND b = ?",
		"$1$2 $3 $4 $5 $6 $7 $8 $9 $10 $11":    "?? ? ? ? ? ? ? ? ? ?",
		"price $ 5":                            "price $ 5",
		"a = $1 AND b = '":                     "a = ? AND b = '",
		"json_extract(a, '$.x') = $1 AND $2=3": "json_extract(a, '$.x') = ? AND ?=3",
	} {
		if got := unnamed(text); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
}
