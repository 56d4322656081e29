package disktest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Model is what a disk may hold after a power loss. It is fed with the
// operations of an update in order, and asked, after each, for the states
// that a crash at this point may leave.
//
// The rules are those of POSIX, which are weaker than any one file system's: the bytes and
// the mode of a file are durable as they were at its last fsync, and a file without one is empty. A
// change of names is durable once its folder is synced; until then any
// subset of the changes may have happened. A rename is atomic.
type Model struct {
	nodes   map[int]*node
	byFile  map[int]*node // open files
	now     map[string]*node
	durable map[string]*node
	pending []change
	next    int
}

type node struct {
	id     int
	dir    bool
	data   []byte
	mode   fs.FileMode
	synced bool

	safeData []byte
	safeMode fs.FileMode
}

// change is one change of names: gone loses its node, came gets one.
type change struct {
	gone, came string
	node       *node
}

// NewModel starts with the files under a folder, all durable.
func NewModel(folder string) (*Model, error) {
	m := &Model{
		nodes: map[int]*node{}, byFile: map[int]*node{},
		now: map[string]*node{}, durable: map[string]*node{},
	}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n := m.add(path, d.IsDir())
		n.mode = info.Mode()
		if !d.IsDir() {
			if n.data, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		n.sync()
		return nil
	})
	m.durable = maps.Clone(m.now)
	m.pending = nil
	return m, err
}

func (m *Model) add(path string, dir bool) *node {
	m.next++
	n := &node{id: m.next, dir: dir, mode: 0o600}
	if dir {
		n.mode = 0o700 | fs.ModeDir
		n.sync()
	}
	m.nodes[n.id] = n
	m.change(change{came: path, node: n})
	return n
}

func (n *node) sync() { n.synced, n.safeData, n.safeMode = true, slices.Clone(n.data), n.mode }

func (m *Model) change(c change) {
	m.pending = append(m.pending, c)
	c.apply(m.now)
}

func (c change) apply(names map[string]*node) {
	if c.gone != "" {
		delete(names, c.gone)
	}
	if c.came != "" {
		names[c.came] = c.node
	}
}

// Apply adds an operation that succeeded.
func (m *Model) Apply(op Op) {
	switch op.Kind {
	case "open", "openappend", "openlock", "create":
		if m.now[op.Path] == nil {
			m.add(op.Path, false)
		}
		m.byFile[op.File] = m.now[op.Path]
	case "mkdir":
		m.add(op.Path, true)
	case "write":
		m.byFile[op.File].write(op.Offset, op.Data)
	case "truncate":
		n := m.byFile[op.File]
		n.data = append(n.data[:min(int64(len(n.data)), op.Size)], make([]byte, max(0, op.Size-int64(len(n.data))))...)
	case "chmod":
		m.byFile[op.File].mode = op.Mode
	case "sync":
		m.byFile[op.File].sync()
	case "link":
		m.change(change{came: op.To, node: m.now[op.Path]})
	case "rename":
		m.change(change{gone: op.Path, came: op.To, node: m.now[op.Path]})
	case "remove":
		m.change(change{gone: op.Path})
	case "syncdir":
		m.syncDir(op.Path)
	}
}

func (n *node) write(offset int64, data []byte) {
	if grow := offset + int64(len(data)) - int64(len(n.data)); grow > 0 {
		n.data = append(n.data, make([]byte, grow)...)
	}
	copy(n.data[offset:], data)
}

func (m *Model) syncDir(dir string) {
	var rest []change
	for _, c := range m.pending {
		if filepath.Dir(c.came) == dir || filepath.Dir(c.gone) == dir {
			c.apply(m.durable)
		} else {
			rest = append(rest, c)
		}
	}
	m.pending = rest
}

// Crash is what is found on the disk when the power is back.
type Crash struct {
	What  string // which changes happened
	files map[string]*node
	kept  bool // also what was not synced of the files' bytes
}

const subsetLimit = 7 // pending changes of which all subsets are tried

// Changes tells whether the operation may change what a power loss leaves.
func (op Op) Changes() bool {
	switch op.Kind {
	case "create", "openlock", "mkdir", "write", "truncate", "chmod", "sync", "link", "rename", "remove", "syncdir":
		return true
	}
	return false
}

// Crashes are the states that a power loss may leave now, without duplicates.
func (m *Model) Crashes() []Crash {
	var all []Crash
	pick := func(what string, kept bool, keep func(i int) bool) {
		names := maps.Clone(m.durable)
		for i, c := range m.pending {
			if keep(i) {
				c.apply(names)
			}
		}
		all = append(all, Crash{What: what, files: names, kept: kept})
	}
	pick("all unsynced bytes kept, all names", true, func(int) bool { return true })
	pick("all unsynced bytes kept, no unsynced name", true, func(int) bool { return false })
	n := len(m.pending)
	if n <= subsetLimit {
		for set := range 1 << n {
			pick(fmt.Sprintf("changes %0*b of %d", n, set, n), false, func(i int) bool { return set>>i&1 == 1 })
		}
	} else {
		for upto := range n + 1 {
			pick(fmt.Sprintf("the first %d changes of %d", upto, n), false, func(i int) bool { return i < upto })
			pick(fmt.Sprintf("all but change %d of %d", upto, n), false, func(i int) bool { return i != upto })
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(c Crash) bool {
		key := c.Key()
		dup := seen[key]
		seen[key] = true
		return dup
	})
}

func (c Crash) content(n *node) ([]byte, fs.FileMode) {
	if c.kept {
		return n.data, n.mode
	}
	if !n.synced {
		return nil, 0o600
	}
	return n.safeData, n.safeMode
}

// Key is the same for states that hold the same.
func (c Crash) Key() string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(c.files)) {
		data, mode := c.content(c.files[path])
		fmt.Fprintf(&b, "%s %v %x %d\n", path, mode, sha256.Sum256(data), c.files[path].id)
	}
	return b.String()
}

// File is what a path holds; ok is false if there is no such file.
func (c Crash) File(path string) (data []byte, mode fs.FileMode, ok bool) {
	n := c.files[path]
	if n == nil || n.dir {
		return nil, 0, false
	}
	data, mode = c.content(n)
	return data, mode, true
}

// WriteTo makes the state real: what was under the folder from, in the empty folder to.
func (c Crash) WriteTo(from, to string) error {
	first := map[int]string{}
	for _, path := range slices.Sorted(maps.Keys(c.files)) {
		rel, err := filepath.Rel(from, path)
		if err != nil || strings.HasPrefix(rel, "..") {
			continue
		}
		n, dest := c.files[path], filepath.Join(to, rel)
		if _, err := os.Stat(filepath.Dir(dest)); err != nil {
			continue // its folder never became durable
		}
		if err := n.writeTo(c, dest, first); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) writeTo(c Crash, dest string, first map[int]string) error {
	if n.dir {
		return os.Mkdir(dest, 0o700)
	}
	if other, ok := first[n.id]; ok {
		return os.Link(other, dest)
	}
	first[n.id] = dest
	data, mode := c.content(n)
	if err := os.WriteFile(dest, data, 0o600); err != nil {
		return err
	}
	return os.Chmod(dest, mode.Perm())
}
