package device

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"mainstay/lib/listing"
	"mainstay/site/access"
	"mainstay/site/sitedb"
)

// BenchmarkList reads pages of a list of 100,000 devices.
func BenchmarkList(b *testing.B) {
	const devices = 100_000
	db, err := sitedb.Open(b.Context(), sitedb.Config{Path: filepath.Join(b.TempDir(), "site.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	err = db.Write(b.Context(), func(tx *sitedb.Tx) error {
		for i := range devices {
			seen := sitedb.Micros(now.Add(-time.Duration(i) * time.Second))
			id := fmt.Sprintf("%08x", i*2654435761%(1<<32))
			d := Device{ID: id, SiteCode: "LAB", Name: fmt.Sprintf("web%06d", i), MACs: "[]", PublicKey: []byte{}, KeyFingerprint: id, Addresses: "[]", PolicyAt: &seen}
			if _, err := insertDevice.Exec(b.Context(), tx, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range []listing.Request{
		{}, {Count: true}, {Sort: "-seen_at"}, {Filter: "name~123"}, {Filter: "name=web099999"}, {Filter: "blocked=false and seen_at>1d", Sort: "os", Count: true},
	} {
		b.Run(fmt.Sprintf("sort=%s,filter=%s,count=%v", r.Sort, r.Filter, r.Count), func(b *testing.B) {
			for b.Loop() {
				err := db.Read(b.Context(), func(tx *sitedb.Tx) error {
					_, err := List(b.Context(), tx, access.Everything(), r, now)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("counts", func(b *testing.B) {
		for b.Loop() {
			err := db.Read(b.Context(), func(tx *sitedb.Tx) error {
				_, _, err := Count(b.Context(), tx, access.Everything(), now)
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
