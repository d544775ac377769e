package apiv1

import (
	"time"

	"mainstay/lib/listing"
)

// ListInput is what every list takes.
type ListInput struct {
	Filter string `query:"filter" maxLength:"4096" doc:"conditions that must all hold, joined by 'and': name~web and blocked=false. Operators: = != ~ (contains) !~ < <= > >=. Several values with commas mean any of them; values with spaces stand in quotation marks. A time is 2026-01-31, 2026-01-31T12:00:00Z or an age: 15m, 24h, 7d" example:"name~web and blocked=false"`
	Sort   string `query:"sort" maxLength:"64" doc:"column to sort by, with - before it for descending order" example:"-seen_at"`
	Cursor string `query:"cursor" maxLength:"8192" doc:"next of the page before; with the same filter and sort"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"number of items on the page"`
	Count  bool   `query:"count" doc:"whether to count the items of all pages (total)"`
}

func (l ListInput) request() listing.Request {
	return listing.Request{Filter: l.Filter, Sort: l.Sort, Cursor: l.Cursor, Limit: l.Limit, Count: l.Count}
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
	Total *int64 `json:"total,omitempty" doc:"number of items on all pages, where count was asked for"`
}

// pageOf turns a page of rows into one of API types.
func pageOf[Row, T any](p listing.Page[Row], convert func(Row) T) *output[Page[T]] {
	page := Page[T]{Items: make([]T, len(p.Items)), Next: p.Next, Total: p.Total}
	for i, row := range p.Items {
		page.Items[i] = convert(row)
	}
	return answer(page)
}

// at turns microseconds into a time.
func at(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// maybeAt is at for a time that may not be there.
func maybeAt(micros *int64) *time.Time {
	if micros == nil || *micros == 0 {
		return nil
	}
	t := at(*micros)
	return &t
}

// known is maybeAt for a column where 0 means that there is none.
func known(micros int64) *time.Time { return maybeAt(&micros) }

// page is a page of rows of a slice.
type page[T any] = listing.Page[T]

// list is never null in JSON.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
