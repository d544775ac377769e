package listing

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"mainstay/lib/fault"
)

var noon = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

type machine struct {
	ID   string `db:"id"`
	Name string `db:"name"`
}

func machines() Table {
	return Table{
		Columns: []Column{
			{Name: "id", SQL: "id"},
			{Name: "name", SQL: "name"},
			{Name: "state", SQL: "state", Values: []string{"on", "off"}},
			{Name: "cores", SQL: "cores", Kind: Integer},
			{Name: "blocked", SQL: "blocked_at IS NOT NULL", Kind: Bool},
			{Name: "blocked_at", SQL: "blocked_at", Kind: Time, Nullable: true},
			{Name: "seen_at", SQL: "seen_at", Kind: Time},
		},
		Key: "id", Sort: "name",
	}
}

// database is a real one with five machines.
type database struct{ *sql.DB }

func (d database) Query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return d.QueryContext(ctx, text, args...)
}

func setup(t testing.TB) database {
	t.Helper()
	db, err := sql.Open("sqlite", "file::memory:?cache=private")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(`CREATE TABLE machine (id TEXT, name TEXT, state TEXT, cores BIGINT, blocked_at BIGINT, seen_at BIGINT)`); err != nil {
		t.Fatal(err)
	}
	hour := func(n int) int64 { return noon.Add(-time.Duration(n) * time.Hour).UnixMicro() }
	for _, row := range [][]any{
		{"a", "web1", "on", 4, nil, hour(1)},
		{"b", "web2", "off", 8, hour(2), hour(50)},
		{"c", "Db_1", "on", 16, nil, hour(2)},
		{"d", `odd "name", 100%`, "on", 2, nil, hour(200)},
		{"e", "web1", "off", 4, hour(1), hour(0)},
	} {
		if _, err := db.Exec(`INSERT INTO machine VALUES ($1,$2,$3,$4,$5,$6)`, row...); err != nil {
			t.Fatal(err)
		}
	}
	return database{db}
}

func ask(t *testing.T, db database, r Request) (Page[machine], error) {
	t.Helper()
	plan, err := machines().Plan(r, noon)
	if err != nil {
		return Page[machine]{}, err
	}
	return List[machine](t.Context(), db, plan, Source{Columns: "id, name", From: "machine"})
}

func ids(p Page[machine]) string {
	text := ""
	for _, m := range p.Items {
		text += m.ID
	}
	return text
}

func TestFilterSelects(t *testing.T) {
	t.Parallel()
	db := setup(t)
	for _, test := range []struct{ filter, want string }{
		{"", "cdaeb"},
		{"name=web1", "ae"},
		{"name!=web1", "cdb"},
		{"name~WEB", "aeb"},
		{"name!~web", "cd"},
		{`name~"b_"`, "c"}, // _ stands for itself
		{`name~"0%"`, "d"}, // % too
		{`name="odd \"name\", 100%"`, "d"},
		{"name=web2,Db_1", "cb"},
		{"state=on and cores>3", "ca"},
		{"state!=on", "eb"},
		{"cores>=8", "cb"},
		{"cores<4 AND state=on", "d"},
		{"blocked=true", "eb"},
		{"blocked!=true", "cda"},
		{"blocked_at=none", "cda"},
		{"blocked_at!=none", "eb"},
		{"blocked_at<90m", "b"}, // longer ago than 90 minutes
		{"seen_at>48h", "cae"},
		{"seen_at<2d", "db"},
		{"seen_at>=2026-11-03", "cae"},
		{"seen_at<2026-11-03T10:30:00Z", "cdb"},
		{"  name = web2  ", "b"},
	} {
		t.Run(test.filter, func(t *testing.T) {
			page, err := ask(t, db, Request{Filter: test.filter, Sort: "name"})
			if err != nil {
				t.Fatal(err)
			}
			if got := ids(page); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestBadRequestsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	db := setup(t)
	for _, test := range []struct {
		name string
		r    Request
		says string
	}{
		{"unknown column", Request{Filter: "colour=red"}, `filter: "colour" is no column of this list; it has id, name`},
		{"no operator", Request{Filter: "name"}, "where one of = != ~"},
		{"no value", Request{Filter: "name="}, `write "" for an empty one`},
		{"never closed", Request{Filter: `name="web`}, "never closed"},
		{"no and", Request{Filter: "name=web1 state=on"}, "where 'and' or the end should be"},
		{"ends after and", Request{Filter: "name=web1 and "}, "ends after 'and'"},
		{"or", Request{Filter: "name=web1 or state=on"}, "where 'and' or the end should be"},
		{"injection in a column", Request{Filter: "name;DROP TABLE machine=1"}, "where one of ="},
		{"bad number", Request{Filter: "cores=many"}, "cores is a number"},
		{"bad bool", Request{Filter: "blocked=perhaps"}, "true or false"},
		{"bad time", Request{Filter: "seen_at<yesterday"}, "2026-01-31"},
		{"none where it cannot be", Request{Filter: "seen_at=none"}, "is a time"},
		{"not one of the values", Request{Filter: "state=of"}, "state is one of on, off"},
		{"search in numbers", Request{Filter: "cores~4"}, "cannot be searched"},
		{"order of bools", Request{Filter: "blocked<true"}, "compare it with = or !="},
		{"several values for less", Request{Filter: "cores<1,2"}, "compare it with = or !="},
		{"too long", Request{Filter: "name=" + strings.Repeat("x", MaxFilter)}, "longer than"},
		{"too many conditions", Request{Filter: "cores>0" + strings.Repeat(" and cores>0", MaxConditions)}, "more than 32 conditions"},
		{"too many values", Request{Filter: "name=a" + strings.Repeat(",a", MaxValues)}, "more than 100 values"},
		{"no text", Request{Filter: "name=\xff"}, "UTF-8"},
		{"unknown sort", Request{Sort: "-colour"}, "sort: "},
		{"limit too high", Request{Limit: MaxLimit + 1}, "limit: 1001 is out of range"},
		{"limit too low", Request{Limit: -1}, "limit: -1"},
		{"cursor of nothing", Request{Cursor: "!!!"}, "begin again without a cursor"},
		{"cursor with a wrong kind", Request{Sort: "cores", Cursor: mark{"cores", "x", "a"}.encode()}, "begin again"},
		{"cursor of another order", Request{Sort: "name", Cursor: mark{"-name", "x", "a"}.encode()}, "begin again"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ask(t, db, test.r)
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want an invalid one that says %q", err, test.says)
			}
		})
	}
}

// TestPagesShowEverythingOnce walks through the list in every order and with
// every size of page.
func TestPagesShowEverythingOnce(t *testing.T) {
	t.Parallel()
	db := setup(t)
	for _, sort := range []string{"id", "-id", "name", "-name", "cores", "-cores", "blocked", "-blocked", "blocked_at", "-blocked_at", "seen_at"} {
		for limit := 1; limit <= 6; limit++ {
			t.Run(fmt.Sprintf("%s by %d", sort, limit), func(t *testing.T) {
				whole, err := ask(t, db, Request{Sort: sort, Count: true})
				if err != nil {
					t.Fatal(err)
				}
				if *whole.Total != 5 || whole.Next != "" {
					t.Fatalf("%d rows in all and cursor %q on the only page", *whole.Total, whole.Next)
				}
				got, r := "", Request{Sort: sort, Limit: limit}
				for range 10 {
					page, err := ask(t, db, r)
					if err != nil {
						t.Fatal(err)
					}
					if len(page.Items) > limit {
						t.Fatalf("%d rows on a page of %d", len(page.Items), limit)
					}
					got += ids(page)
					if r.Cursor = page.Next; r.Cursor == "" {
						break
					}
				}
				if got != ids(whole) {
					t.Errorf("pages gave %q, the whole list is %q", got, ids(whole))
				}
			})
		}
	}
}

func TestRowsThatComeMeanwhileHideNone(t *testing.T) {
	t.Parallel()
	db := setup(t)
	first, err := ask(t, db, Request{Sort: "id", Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`DELETE FROM machine WHERE id = 'b'`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO machine VALUES ('aa', 'new', 'on', 1, NULL, 0)`); err != nil {
		t.Fatal(err)
	}
	second, err := ask(t, db, Request{Sort: "id", Cursor: first.Next})
	if err != nil || ids(second) != "cde" {
		t.Errorf("second page %q (%v), want cde", ids(second), err)
	}
}

func TestSourceAlwaysHolds(t *testing.T) {
	t.Parallel()
	db := setup(t)
	plan, err := machines().Plan(Request{Filter: "cores>1", Count: true}, noon)
	if err != nil {
		t.Fatal(err)
	}
	page, err := List[machine](t.Context(), db, plan, Source{Columns: "id, name", From: "machine", Where: "state = ? OR FALSE", Args: []any{"off"}})
	if err != nil || ids(page) != "eb" || *page.Total != 2 {
		t.Errorf("got %q (%v)", ids(page), err)
	}
}

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"name=web1", `name~"a b" and cores>=4`, "blocked_at!=none", "seen_at<7d", `name="\"\\"`, "a=b,c,,", "=", "\x00", "and and and",
		"name='; DROP TABLE machine; --",
	} {
		f.Add(seed, "name", "")
	}
	f.Add("", "-cores", mark{"-cores", 4, "a"}.encode())
	db := setup(f)
	f.Fuzz(func(t *testing.T, filter, sort, cursor string) {
		plan, err := machines().Plan(Request{Filter: filter, Sort: sort, Cursor: cursor, Count: true}, noon)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q gives %v", filter, err)
			}
			return
		}
		if _, err := List[machine](t.Context(), db, plan, Source{Columns: "id, name", From: "machine"}); err != nil {
			t.Fatalf("%q by %q after %q is accepted and fails: %v", filter, sort, cursor, err)
		}
	})
}
