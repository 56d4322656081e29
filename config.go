package updater

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/internal/disk"
	"github.com/choria-io/go-updater/internal/managed"
	"github.com/choria-io/go-updater/internal/probation"
	"github.com/choria-io/go-updater/store"
)

// Option sets one thing in a [Config]. Options are applied in the order given.
type Option func(*Config) error

// Config is what an update works with. It is filled by options; a custom
// [Downloader] is handed one to read.
type Config struct {
	// TargetFile is the path of the executable to replace. The default is
	// the running program.
	TargetFile string

	// SourceRepo is where the repository is: an http or https URL, a
	// file URL or the path of a folder.
	SourceRepo string

	// Version is the release to install. Versions are opaque: they are
	// compared for equality only.
	Version string

	// CurrentVersion is the version that runs now, empty where unknown.
	// Equal to Version it means that there is nothing to do.
	CurrentVersion string

	// PublicKey is the Ed25519 public key, 32 bytes, that releases have to
	// be signed with. Empty, releases are checked by checksum alone.
	PublicKey []byte

	// Log is told what happens.
	Log Log

	// OperatingSystem and Architecture are in Go's terms, GOOS and GOARCH.
	OperatingSystem string
	Architecture    string

	// Downloader fetches release.json and the binary. Where none is set they are fetched
	// as [HTTPDownloader] does it.
	Downloader Downloader

	reader         store.Reader // is asked instead of SourceRepo
	mirrors        []string
	http           store.HTTPOptions
	events         func(Event)
	stateDir       string
	maxSize        int64
	attempts       int
	allowManaged   bool
	allowContainer bool
	allowDowngrade bool
	trustRoot      []byte
	product        string

	// What a channel asks of this machine. follow is set by Channel and UnsignedChannel alone, so
	// that programs without one do not link what is behind it.
	channel      string
	signsChannel bool // it is a Channel, not an UnsignedChannel
	follow       func(*Config, context.Context, *Plan) error
	groups       []string
	machineID    string
	holdOff      time.Duration
	splay        time.Duration
	windows      []Window
	ability      *channel.Ability // nil: to be found out

	// askKeys is set by TrustRoot alone, so that programs without one do not link what is behind it.
	askKeys func(*Config, context.Context, string) (*trusted, error)

	// trials is set by Probation and its like alone, so that programs without do not link what is behind it.
	trials    *trials
	terms     *terms // of the probation, nil without
	health    func(context.Context) error
	allowHeld bool
	selfTest  *selfTest
	watchdog  *watchdogTerms
	backups   int
	interval  time.Duration // of Run, 0: the default
	sleep     func(context.Context, time.Duration) error

	reexec   func(path string) error // nil: the system's, as are the next two
	runsFrom func(path string) bool
	moment   func() probation.Moment

	now        func() time.Time
	legacy     bool // through the doors of v0.1.0: warn where the new ones refuse
	renameAway bool
	fs         disk.FS
	system     managed.System
}

// Log is what messages are written to. A [*log.Logger] is one, and so are
// *logrus.Entry and logrus.StdLogger. The library calls Println and Printf only; the
// others are here so that values of the three types can be assigned both ways.
type Log interface {
	Print(...any)
	Printf(string, ...any)
	Println(...any)

	Fatal(...any)
	Fatalf(string, ...any)
	Fatalln(...any)

	Panic(...any)
	Panicf(string, ...any)
	Panicln(...any)
}

// Arch selects the architecture to install, in Go's terms (amd64, arm64, ...).
// The default is the program's own.
func Arch(a string) Option {
	return func(c *Config) error {
		c.Architecture = a
		return nil
	}
}

// OS selects the operating system to install for, in Go's terms (linux,
// darwin, ...). The default is the program's own.
func OS(os string) Option {
	return func(c *Config) error {
		c.OperatingSystem = os
		return nil
	}
}

// CurrentVersion says which version runs now. If it is the version to install
// there is nothing to do; without it only the target's checksum can tell.
func CurrentVersion(v string) Option {
	return func(c *Config) error {
		c.CurrentVersion = v
		return nil
	}
}

// Logger sets where messages go. [Apply] and [FetchSpec] write to standard
// output where none is set, the doors that take a context nowhere.
func Logger(l Log) Option {
	return func(c *Config) error {
		c.Log = l
		return nil
	}
}

// PublicKey sets the Ed25519 public key, 32 bytes, with which releases must be
// signed; `update-repo keygen` makes one. With it, a release whose signature is missing or
// wrong is refused with [ErrSignature].
func PublicKey(k []byte) Option {
	return func(c *Config) error {
		c.PublicKey = k
		return nil
	}
}

// TargetFile selects the executable to replace, the running one by default.
// A symbolic link stays one: what it points to is replaced.
func TargetFile(f string) Option {
	return func(c *Config) error {
		abs, err := absolute(f)
		if err != nil {
			return cause.Errorf("finding the absolute path of %s: %w", f, err)
		}
		c.TargetFile = abs
		return nil
	}
}

// Version selects the release to install.
func Version(v string) Option {
	return func(c *Config) error {
		c.Version = v
		return nil
	}
}

// SourceRepo sets where the repository is: an http or https URL, a file URL
// or the path of a folder. See [Mirrors] for more than one.
func SourceRepo(repo string) Option {
	return func(c *Config) error {
		c.reader, c.SourceRepo = nil, repo
		return nil
	}
}

// Repository has files read from a store, where the repository is not a web server or folder: a bucket, or a NATS
// connection that the program has. It takes the place of [SourceRepo]; [Mirrors] are asked after it.
func Repository(r store.Reader) Option {
	return func(c *Config) error {
		if r == nil {
			return errors.New("the store of the repository is nil")
		}
		c.reader, c.SourceRepo = r, r.String()
		return nil
	}
}

// DownloadMethod replaces the way in which files are fetched.
func DownloadMethod(m Downloader) Option {
	return func(c *Config) error {
		c.Downloader = m
		return m.Configure(c)
	}
}

// Mirrors adds repositories with the same content, tried in order when
// SourceRepo, or the mirror before, cannot be reached or serves wrong bytes.
func Mirrors(repos ...string) Option {
	return func(c *Config) error {
		c.mirrors = append(c.mirrors, repos...)
		return nil
	}
}

// HTTPClient has requests made by client: its transport, cookie jar and
// timeout are used. Its own redirect policy is not, see [store.HTTPOptions].
func HTTPClient(client *http.Client) Option {
	return func(c *Config) error {
		c.http.Client = client
		return nil
	}
}

// HTTPHeader adds a header to each request, an access token for example. It is not
// sent to another host that the repository redirects to.
func HTTPHeader(key, value string) Option {
	return func(c *Config) error {
		if c.http.Header == nil {
			c.http.Header = http.Header{}
		}
		c.http.Header.Add(key, value)
		return nil
	}
}

// HTTPTimeouts changes how long connections may take and how slow they may be.
func HTTPTimeouts(t store.Timeouts) Option {
	return func(c *Config) error {
		c.http.Timeouts = t
		return nil
	}
}

// OnEvent has f called, on the calling goroutine, for each step of an update
// and as bytes arrive. It should return soon.
func OnEvent(f func(Event)) Option {
	return func(c *Config) error {
		c.events = f
		return nil
	}
}

// StateDir moves the state folder, by default .NAME.updater beside the target.
// Its parent must exist, and the path must always be the same, since the lock lies in it.
func StateDir(dir string) Option {
	return func(c *Config) error {
		abs, err := absolute(dir)
		if err != nil {
			return cause.Errorf("finding the absolute path of %s: %w", dir, err)
		}
		c.stateDir = abs
		return nil
	}
}

// MaxSize bounds, in bytes, both a download and the binary that comes out
// of it, where the release does not name its size. The least is 1, the default 1 GiB.
func MaxSize(bytes int64) Option {
	return func(c *Config) error {
		if bytes <= 0 {
			return cause.Errorf("a maximal size of %d bytes leaves room for nothing", bytes)
		}
		c.maxSize = bytes
		return nil
	}
}

// Attempts sets how many tries in a row may bring nothing before a repository
// is given up; 5 by default, 1 at least.
func Attempts(n int) Option {
	return func(c *Config) error {
		if n < 1 {
			return cause.Errorf("%d attempts fetch nothing", n)
		}
		c.attempts = n
		return nil
	}
}

// Backups sets how many previous binaries are kept beside the target, 1 by default and at least: NAME.backup is the newest,
// NAME.backup.2 the one before it, and so on. They are links where the file system has them, so that one costs
// what its bytes cost. The oldest goes when an update makes a new one. [Rollback] and probations go back to
// the newest.
func Backups(n int) Option {
	return func(c *Config) error {
		if n < 1 {
			return cause.Errorf("%d backups: one is needed to go back", n)
		}
		c.backups = n
		return nil
	}
}

// AllowManaged lets a target be replaced that a package manager installed.
// The manager will report it as damaged and replace it in its turn.
func AllowManaged() Option {
	return func(c *Config) error {
		c.allowManaged = true
		return nil
	}
}

// AllowContainer lets a target be replaced that is part of a container's
// image. The next start of the container has the old one again.
func AllowContainer() Option {
	return func(c *Config) error {
		c.allowContainer = true
		return nil
	}
}

const defaultMaxSize = 1 << 30

func newConfig(opts []Option) (*Config, error) {
	c := &Config{
		OperatingSystem: runtime.GOOS,
		Architecture:    runtime.GOARCH,
		maxSize:         defaultMaxSize,
		renameAway:      runtime.GOOS == "windows",
		fs:              disk.OS,
		now:             time.Now,
	}
	for _, opt := range opts {
		if err := opt(c); err != nil {
			return nil, err
		}
	}
	if c.TargetFile == "" {
		target, err := self()
		if err != nil {
			return nil, err
		}
		c.TargetFile = target
	}
	return c, nil
}

// legacyConfig is the configuration as the doors of v0.1.0 have it.
func legacyConfig(opts []Option) (*Config, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	c.legacy = true
	if c.Log == nil {
		c.Log = log.New(os.Stdout, "updater: ", 0)
	}
	return c, c.Validate()
}

// contextConfig is the configuration for the doors that take a context.
func contextConfig(opts []Option) (*Config, error) {
	c, err := newConfig(opts)
	if err == nil {
		if c.Log == nil {
			c.Log = silent
		}
		err = c.Validate()
	}
	if err != nil {
		return nil, cause.Errorf("invalid updater configuration: %w", err)
	}
	return c, nil
}

// Validate tells what is missing or malformed.
func (c *Config) Validate() error {
	switch {
	case c.TargetFile == "":
		return errors.New("no target file specified, please use TargetFile()")
	case c.SourceRepo == "":
		return errors.New("no source repo given, please use SourceRepo()")
	case c.Version == "" && c.channel == "":
		return errors.New("no version given, please use Version() or Channel()")
	case c.Version != "" && c.channel != "":
		return errors.New("both a version and a channel given, please use Version() or Channel()")
	case c.Log == nil:
		return errors.New("no logger given, please use Logger()")
	}
	if c.channel != "" {
		return c.validateChannel()
	}
	return c.validatePlatform()
}

func (c *Config) validatePlatform() error {
	for _, part := range []struct{ what, value string }{
		{"version", c.Version}, {"operating system", c.OperatingSystem}, {"architecture", c.Architecture},
	} {
		if err := checkElement(part.what, part.value); err != nil {
			return err
		}
	}
	if n := len(c.PublicKey); n != 0 && n != keySize {
		return cause.Errorf("the public key has %d bytes, an Ed25519 key has %d", n, keySize)
	}
	return nil
}
