package scenario

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// MaxClients is the largest number of clients of one scenario.
const MaxClients = 1_000_000

// selection is which clients take part in a step.
type selection struct {
	all         bool
	share       float64 // 0 to 1; drawn by chance
	first, last int     // counted from 0
}

var errSelection = errors.New("names no clients; write all, a number (500, the first ones), a share (20%, drawn by chance) or a range (100-199, counted from 0)")

func parseSelection(text string) (selection, error) {
	if text == "all" {
		return selection{all: true}, nil
	}
	if share, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(share, 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return selection{}, errSelection
		}
		return selection{share: percent / 100}, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		from, to = "0", text
	}
	first, err := strconv.ParseUint(from, 10, 31)
	last, err2 := strconv.ParseUint(to, 10, 31)
	if err != nil || err2 != nil || !isRange && last == 0 || last < first || last > MaxClients {
		return selection{}, errSelection
	}
	if !isRange {
		last--
	}
	return selection{first: int(first), last: int(last)}, nil
}

// Select lists the clients of a step, of count, in the order in which they
// begin. Which ones chance draws depends on the seed and the place of the step
// alone.
func (s Scenario) Select(step, count int, seed uint64) []int {
	chosen, err := parseSelection(s.Steps[step].Clients)
	if err != nil {
		return nil // Parse has refused it
	}
	random := rand.New(rand.NewPCG(seed, uint64(step)))
	order := random.Perm(count)
	switch {
	case chosen.all:
		return order
	case chosen.share > 0:
		return order[:max(1, int(chosen.share*float64(count)+0.5))]
	}
	return slices.DeleteFunc(order, func(n int) bool { return n < chosen.first || n > chosen.last })
}
