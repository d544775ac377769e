package fusefs

// change is a name of a folder that differs from what it was at the folder's
// last sync.
type change struct {
	old *node // what the name stood for; nil when it was free
	by  *group
}

// group ties together the changes that a real file system makes in one step,
// the two names of a rename, so that a torn copy has both or neither. Names
// that were changed by several operations tie those together.
type group struct{ into *group }

func (g *group) root() *group {
	for g.into != nil {
		g = g.into
	}
	return g
}

func (g *group) join(other *group) {
	if a, b := g.root(), other.root(); a != b {
		a.into = b
	}
}

// point makes a name of a folder stand for a node, or for nothing. The caller
// has done the same in the backing folder.
func (fs *FileSystem) point(folder *node, name string, to *node, by *group) {
	current := folder.entries[name]
	if c, ok := folder.changed[name]; ok {
		by.join(c.by)
	} else {
		folder.changed[name] = change{old: current, by: by}
		if current != nil {
			current.held++
		}
	}

	if current != nil {
		current.dropLink(folder, name)
	}
	if to == nil {
		delete(folder.entries, name)
	} else {
		folder.entries[name] = to
		to.links = append(to.links, link{folder, name})
	}
	if c := folder.changed[name]; c.old == to {
		delete(folder.changed, name)
		fs.release(c)
	}
	if current != nil {
		fs.settle(current)
	}
}

// release gives up what a change held.
func (fs *FileSystem) release(c change) {
	if c.old == nil {
		return
	}
	c.old.held--
	fs.settle(c.old)
}

// syncNames makes the present names of a folder the durable ones.
func (fs *FileSystem) syncNames(folder *node) {
	changed := folder.changed
	folder.changed = map[string]change{}
	for _, c := range changed {
		fs.release(c)
	}
}
