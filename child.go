package updater

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// program is a program to be run, and watched.
type program struct {
	path string
	args []string // after the name
	env  []string
	dir  string
	out  *os.File // its standard output, nil: kept as its standard error is
	tee  *os.File // where its standard error goes as well, or nil
}

// ending is how a program ended.
type ending struct {
	state  *os.ProcessState
	output tail
}

// run starts the program in a process group of its own and waits for it. When ctx ends the group is
// killed. started, if set, is called with its process.
func (ch *program) run(ctx context.Context, started func(*os.Process)) (*ending, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p, err := ch.start(w)
	w.Close()
	if err != nil {
		return nil, err
	}
	if started != nil {
		started(p)
	}
	e := &ending{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(ch.sink(&e.output), r)
	}()
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			killGroup(p)
		case <-ended:
		}
	}()
	e.state, err = p.Wait()
	close(ended)
	if ctx.Err() != nil {
		killGroup(p)
	}
	select {
	case <-read:
	case <-time.After(time.Second): // somebody else has its standard error
		r.Close()
		<-read
	}
	return e, err
}

func (ch *program) sink(t *tail) io.Writer {
	if ch.tee == nil {
		return t
	}
	return io.MultiWriter(t, ch.tee)
}

func (ch *program) start(w *os.File) (*os.Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	out := ch.out
	if out == nil {
		out = w
	}
	attr := &os.ProcAttr{Dir: ch.dir, Env: ch.env, Files: []*os.File{null, out, w}, Sys: ownGroup()}
	for range 50 {
		p, err := os.StartProcess(ch.path, append([]string{ch.path}, ch.args...), attr)
		if err == nil || !isTextBusy(err) { // somebody who forks holds it open for writing for a moment
			return p, err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, &os.PathError{Op: "exec", Path: ch.path, Err: syscall.ENOEXEC}
}

const (
	tailBytes = 16 << 10
	tailLines = 20
	lineBytes = 300
)

// tail keeps the last of what is written to it. It may be read meanwhile.
type tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p[max(0, len(p)-tailBytes):]...)
	t.data = t.data[max(0, len(t.data)-tailBytes):]
	return len(p), nil
}

// lines are the last lines, cut where they are long.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for line := range bytes.Lines(t.data) {
		text := strings.ToValidUTF8(strings.TrimRight(string(line), "\r\n"), "?")
		lines = append(lines, text[:min(len(text), lineBytes)])
	}
	return lines[max(0, len(lines)-tailLines):]
}

func (t *tail) contains(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.data, []byte(text))
}

// how says how a program ended.
func (e *ending) how() string {
	if e.state == nil {
		return "unknown"
	}
	return e.state.String()
}
