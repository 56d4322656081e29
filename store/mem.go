package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/choria-io/go-updater/internal/cause"
)

// Mem keeps files in memory, for tests. The zero value is empty and ready.
type Mem struct {
	mu     sync.RWMutex
	files  map[string][]byte
	locked atomic.Bool
}

// Lock keeps other publishers away, as [Locker] has it.
func (m *Mem) Lock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !m.locked.CompareAndSwap(false, true) {
		return nil, cause.Errorf("locking %s: %w", m, ErrLocked)
	}
	return sync.OnceFunc(func() { m.locked.Store(false) }), nil
}

func (m *Mem) String() string { return "memory" }

// Open opens a file. Its version is its hash.
func (m *Mem) Open(ctx context.Context, name string, req Request) (*Object, error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	m.mu.RLock()
	data, ok := m.files[name]
	m.mu.RUnlock()
	if !ok {
		return nil, cause.Errorf("opening %s in %s: %w", name, m, fs.ErrNotExist)
	}
	object := &Object{Size: int64(len(data)), Version: versionOf(data)}
	if req.Unless == object.Version {
		return nil, cause.Errorf("opening %s in %s: %w", name, m, ErrUnchanged)
	}
	if req.Version == object.Version && req.Offset > 0 && req.Offset <= object.Size {
		object.Offset = req.Offset
	}
	object.Body = io.NopCloser(&contextReader{ctx, bytes.NewReader(data[object.Offset:])})
	return object, nil
}

// Put stores a file.
func (m *Mem) Put(ctx context.Context, name string, r io.Reader) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	data, err := io.ReadAll(&contextReader{ctx, r})
	if err != nil {
		return cause.Errorf("putting %s in %s: %w", name, m, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(name, data)
	return nil
}

func (m *Mem) put(name string, data []byte) {
	if m.files == nil {
		m.files = map[string][]byte{}
	}
	m.files[name] = data
}

func versionOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Delete removes a file.
func (m *Mem) Delete(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

// List lists the files.
func (m *Mem) List(ctx context.Context, prefix string) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var entries []Entry
	for name, data := range m.files {
		if strings.HasPrefix(name, prefix) {
			entries = append(entries, Entry{Name: name, Size: int64(len(data))})
		}
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name < entries[j].Name })
	return entries, nil
}
