package updater

// Restart executes what stands at the target's path now, with the same arguments: on Unix in
// the place of this process, on Windows as a child for which this one waits, to end as it does. It notes the
// end of this process as meant. A program with a supervisor may as well end, or see [RestartService].
//
// The path is that of the target, not that of the running file, which after an update is the
// backup's or nobody's ("/proc/self/exe" leads there).
//
// It returns only if that fails. Errors: those of the disk, and that of executing the file.
func Restart(opts ...Option) error {
	c, target, err := bootConfig(opts)
	if err != nil {
		return err
	}
	if c.watchdog != nil {
		if err := c.watchdog.start(c, target); err != nil {
			c.warn(err)
		}
	}
	return c.reexec(target)
}
