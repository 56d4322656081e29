package updater

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS}
}

// killGroup kills a process; those that it started live on.
func killGroup(p *os.Process) { p.Kill() }

func isTextBusy(err error) bool { return errors.Is(err, windows.ERROR_SHARING_VIOLATION) }

// stopped: an exit code does not tell.
func stopped(*os.ProcessState) bool { return false }

// cannotStart tells errors of starting a program that are the file's own fault.
func cannotStart(err error) bool {
	return errors.Is(err, windows.ERROR_BAD_EXE_FORMAT) || errors.Is(err, windows.ERROR_EXE_MACHINE_TYPE_MISMATCH) || errors.Is(err, windows.ERROR_MOD_NOT_FOUND)
}

const stillActive = 259

func isRunning(pid int) bool {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return false
	}
	defer windows.CloseHandle(h)
	var code uint32
	return windows.GetExitCodeProcess(h, &code) == nil && code == stillActive
}

func terminate(pid int) { kill(pid) }

func kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		p.Kill()
	}
}
