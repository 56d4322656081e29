package updater

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

// RestartService has the supervisor restart a service, which may be the one that calls: the unit of
// that name under systemd, by `systemctl restart`; on Windows the service of that name, by a detached
// `Restart-Service`. Both are asked and not waited for: a caller in the service then ends as it is told to. It calls
// [Running.Stop] when it is.
//
// Errors: errors.ErrUnsupported elsewhere; that of the command.
func RestartService(ctx context.Context, name string) error {
	var command []string
	switch runtime.GOOS {
	case "linux":
		command = []string{"systemctl", "restart", "--no-block", "--", name}
	case "windows":
		command = []string{"powershell", "-NoProfile", "-NonInteractive", "-Command", "Restart-Service -Force -Name $env:UPDATER_SERVICE"}
	default:
		return cause.Errorf("restarting a service on %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	path, err := find(command[0])
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := os.StartProcess(path, command, &os.ProcAttr{
		Env: append(os.Environ(), "UPDATER_SERVICE="+name), Sys: ownSession(), Files: []*os.File{nil, nil, os.Stderr},
	})
	if err != nil {
		return cause.Errorf("restarting service %s: %w", name, err)
	}
	if runtime.GOOS == "windows" {
		return p.Release() // it ends after this process does
	}
	state, err := p.Wait()
	if err == nil && !state.Success() {
		err = errors.New(state.String())
	}
	if err != nil {
		return cause.Errorf("restarting service %s with systemctl: %w", name, err)
	}
	return nil
}

// find looks a command up as a shell does.
func find(name string) (string, error) {
	for _, path := range callable(name) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", &os.PathError{Op: "find", Path: name, Err: os.ErrNotExist}
}

// Notify tells systemd about a service of Type=notify: "READY=1" when it works, best after
// [Running.Confirm], or "STOPPING=1". Without systemd it does nothing.
func Notify(state string) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	if address[0] == '@' { // in the abstract namespace
		address = "\x00" + address[1:]
	}
	conn, err := net.DialTimeout("unixgram", address, 5*time.Second)
	if err != nil {
		return cause.Errorf("telling systemd %q: %w", state, err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return cause.Errorf("telling systemd %q: %w", state, err)
	}
	return nil
}
