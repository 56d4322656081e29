//go:build unix

package managed

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

const rpmTimeout = 5 * time.Second

// rpm asks the program, as the database has had three formats. It is called by
// an absolute path and with an environment of our own.
func (s System) rpm(ctx context.Context, path string) (*Claim, error) {
	if !s.exists("/var/lib/rpm") && !s.exists("/usr/lib/sysimage/rpm") {
		return nil, nil
	}
	program := s.RPM
	for _, name := range []string{"/usr/bin/rpm", "/bin/rpm"} {
		if program == "" && s.exists(name) {
			program = s.Root + name
		}
	}
	if program == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, rpmTimeout)
	defer cancel()
	out, status, err := run(ctx, program, "-qf", "--queryformat", "%{NAME}\n", "--", path)
	switch {
	case err != nil:
		return nil, cause.Errorf("running %s: %w", program, err)
	case status.Signaled():
		return nil, cause.Errorf("running %s: %v", program, status.Signal())
	case status.ExitStatus() != 0 && strings.Contains(out, "not owned by any package"):
		return nil, nil
	case status.ExitStatus() != 0:
		return nil, cause.Errorf("running %s: exit status %d", program, status.ExitStatus())
	}
	name, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	return &Claim{Manager: "rpm", Package: name, Upgrade: "dnf upgrade " + name}, nil
}

// run does what is needed here of os/exec, which costs a program that does not use it
// 90 KB, and os.StartProcess 50 KB. The output is cut off at 64 KiB.
func run(ctx context.Context, program string, args ...string) (string, syscall.WaitStatus, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", 0, err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	pid, err := syscall.ForkExec(program, append([]string{program}, args...), &syscall.ProcAttr{
		Env:   []string{"LC_ALL=C", "PATH=/usr/bin:/bin"},
		Files: []uintptr{null.Fd(), w.Fd(), null.Fd()},
	})
	w.Close()
	if err != nil {
		return "", 0, err
	}
	stop := context.AfterFunc(ctx, func() { r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	out, _ := io.ReadAll(io.LimitReader(r, 64<<10)) // cut short, it does not count: see wait
	status, err := wait(ctx, pid)
	return string(out), status, err
}

// wait waits for a child, and kills it when ctx ends. Both are done by the one goroutine,
// so that the number cannot be another process's when the signal is sent.
func wait(ctx context.Context, pid int) (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil || got == pid:
			return status, err
		case ctx.Err() != nil:
			syscall.Kill(pid, syscall.SIGKILL)
			syscall.Wait4(pid, &status, 0, nil)
			return status, ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
}
