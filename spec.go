package updater

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/choria-io/go-updater/internal/cause"
	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/internal/exe"
	"github.com/choria-io/go-updater/internal/strictjson"
)

// Spec is what release.json says: one release for one platform.
type Spec struct {
	// BinaryPath is the name of the bzip2 archive beside release.json.
	BinaryPath string `json:"binary"`

	// BinaryURI is where that archive is. It is made from the repository's
	// address, never read.
	BinaryURI *url.URL `json:"uri,omitempty"`

	// Sha256Hash is that of the uncompressed binary, 64 hex digits.
	Sha256Hash string `json:"hash"`

	// Signature is an Ed25519 signature of [Spec.SignedText], in base64.
	Signature string `json:"signature,omitempty"`

	// Size is that of the uncompressed binary in bytes, 0 where unknown.
	Size int64 `json:"size,omitempty"`

	// Artifacts are the encodings of the binary that there are. Repositories
	// written by v0.1.0 name none.
	Artifacts []Artifact `json:"artifacts,omitempty"`

	// Deltas are what takes other binaries to this one.
	Deltas []Delta `json:"deltas,omitempty"`

	// signed: every byte of release.json is. Then only artifacts of which it
	// says size and hash are fetched: no more than was signed ever arrives.
	signed bool
}

// Artifact is the binary in one encoding.
type Artifact struct {
	File     string `json:"file"`     // its name, beside release.json
	Encoding string `json:"encoding"` // one of the constants, or one of a later version
	Size     int64  `json:"size"`     // of the file in bytes, 0 where unknown
	SHA256   string `json:"sha256"`   // of the file, 64 hex digits, empty where unknown
}

// Delta is the binary as what has to be changed in another one, its base.
type Delta struct {
	File    string `json:"file"`    // its name, beside release.json
	From    string `json:"from"`    // sha256 of the base, 64 hex digits
	Version string `json:"version"` // of the base
	Size    int64  `json:"size"`    // of the file in bytes
	SHA256  string `json:"sha256"`  // of the file, 64 hex digits
}

// Encodings that this version decodes.
const (
	Zstd  = "zstd"
	Bzip2 = "bzip2"
	None  = "none" // the binary as it is

	// DeltaEncoding is that of a delta in a [Plan], never in release.json.
	DeltaEncoding = "delta"
)

const (
	// SpecLimit is the largest release.json in bytes that is read.
	SpecLimit = 256 << 10

	keySize       = ed25519.PublicKeySize
	elementLimit  = 128
	artifactLimit = 64
	sizeLimit     = 1 << 40
)

// ParseSpec reads a release.json. Fields that it does not know are ignored;
// everything else that is not as documented is an error that wraps [ErrRejected].
func ParseSpec(data []byte) (*Spec, error) {
	spec, err := parseSpec(data)
	if err != nil {
		return nil, cause.Errorf("release.json is %w: %w", ErrRejected, err)
	}
	return spec, nil
}

func parseSpec(data []byte) (*Spec, error) {
	if len(data) > SpecLimit {
		return nil, cause.Errorf("it has more than %d bytes", SpecLimit)
	}
	object, err := strictjson.Object(data)
	if err != nil {
		return nil, err
	}
	r := reader{object: object}
	spec := &Spec{
		BinaryPath: r.fileName("binary"),
		Sha256Hash: r.hash("hash", true),
		Signature:  r.text("signature"),
		Size:       r.size("size"),
	}
	if r.err != nil {
		return nil, r.err
	}
	if raw, ok := object["artifacts"]; ok {
		list, err := strictjson.Objects(raw, artifactLimit)
		if err != nil {
			return nil, cause.Errorf("artifacts: %w", err)
		}
		for _, item := range list {
			r := reader{object: item}
			a := Artifact{File: r.fileName("file"), Encoding: r.text("encoding"), Size: r.size("size"), SHA256: r.hash("sha256", false)}
			if r.err != nil {
				return nil, cause.Errorf("artifacts: %w", r.err)
			}
			spec.Artifacts = append(spec.Artifacts, a)
		}
	}
	spec.Deltas, err = parseDeltas(object)
	return spec, err
}

func parseDeltas(object map[string]json.RawMessage) ([]Delta, error) {
	raw, ok := object["deltas"]
	if !ok {
		return nil, nil
	}
	list, err := strictjson.Objects(raw, artifactLimit)
	if err != nil {
		return nil, cause.Errorf("deltas: %w", err)
	}
	var deltas []Delta
	for _, item := range list {
		r := reader{object: item}
		d := Delta{File: r.fileName("file"), From: r.hash("from", true), Version: r.text("version"), Size: r.size("size"), SHA256: r.hash("sha256", true)}
		if r.err == nil {
			r.fail("version", checkElement("version", d.Version))
		}
		if r.err != nil {
			return nil, cause.Errorf("deltas: %w", r.err)
		}
		deltas = append(deltas, d)
	}
	return deltas, nil
}

// reader reads the members of an object, and keeps the first error.
type reader struct {
	object map[string]json.RawMessage
	err    error
}

//go:noinline
func (r *reader) fail(key string, err error) {
	if r.err == nil && err != nil {
		r.err = cause.Errorf("%q: %w", key, err)
	}
}

func (r *reader) text(key string) string {
	raw, ok := r.object[key]
	if !ok || string(raw) == "null" {
		return ""
	}
	s, err := strictjson.String(raw)
	r.fail(key, err)
	return s
}

func (r *reader) fileName(key string) string {
	name := r.text(key)
	r.fail(key, CheckFileName(name))
	return name
}

func (r *reader) hash(key string, required bool) string {
	s := r.text(key)
	if s == "" && !required {
		return ""
	}
	sum, err := canonicalHash(s)
	r.fail(key, err)
	return sum
}

func (r *reader) size(key string) int64 {
	raw, ok := r.object[key]
	if !ok {
		return 0
	}
	n, err := strictjson.Int(raw, sizeLimit)
	r.fail(key, err)
	return n
}

// canonicalHash is a SHA-256 in lower case.
func canonicalHash(s string) (string, error) {
	if len(s) != 64 || strings.TrimLeft(s, "0123456789abcdefABCDEF") != "" {
		return "", cause.Errorf("a sha256 has 64 hex digits, %q has not", clip(s))
	}
	return strings.ToLower(s), nil
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}

// CheckFileName tells whether name may be that of a file beside release.json: a
// plain name of at most 255 printable ASCII characters that means the same in a path and in a URL on
// every system.
func CheckFileName(name string) error {
	bad := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/\:*?"<>|%`, r) }
	switch {
	case name == "":
		return errors.New("the file name is missing")
	case len(name) > 255, strings.HasPrefix(name, "."), strings.ContainsFunc(name, bad):
		return cause.Errorf("%q is no plain file name", clip(name))
	}
	return nil
}

// checkElement tells whether a version, os or arch may become part of a path.
func checkElement(what, value string) error {
	bad := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("._+~-", r)
	}
	switch {
	case value == "":
		return cause.Errorf("no %s given", what)
	case len(value) > elementLimit, strings.TrimLeft(value, ".") == "", strings.ContainsFunc(value, bad):
		return cause.Errorf("the %s %q may only have letters, digits and . _ + ~ -, at most %d", what, clip(value), elementLimit)
	}
	return nil
}

// Folder is where the files of a release for a platform are in a repository.
//
// The error is for a version, os or arch that cannot be part of a path.
func Folder(version, os, arch string) (string, error) {
	for _, part := range []struct{ what, value string }{{"version", version}, {"operating system", os}, {"architecture", arch}} {
		if err := checkElement(part.what, part.value); err != nil {
			return "", err
		}
	}
	return version + "/" + os + "/" + arch, nil
}

// CheckPlatform reads the header of an executable and tells whether it may run
// on a platform, for those who publish. arch may be one with a variant, amd64-v3 for example; headers do not tell those.
//
// Errors: ErrNotExecutable, ErrOtherPlatform, one that names the valid values
// for an unknown os, arch or variant, and r's.
func CheckPlatform(r io.ReaderAt, os, arch string) error {
	base, level, libc, ok := channel.Variant(arch)
	if err := exe.Known(os, base); err != nil {
		return err
	}
	if !ok || level != "" && !channel.HasLevel(base, level) || libc != "" && os != "linux" {
		return cause.Errorf("unknown variant %q for %s/%s; there are amd64-v2 to v4, arm-v6 and v7, and on linux musl and glibc, or both: amd64-v3-musl", arch, os, base)
	}
	head, err := readHead(io.NewSectionReader(r, 0, exe.HeaderSize), exe.HeaderSize)
	if err != nil {
		return err
	}
	return exe.Check(head, os, arch)
}

// SignedText is what [Spec.Signature] signs. It binds the binary to its
// version and platform, so that no signature serves for another.
func (s *Spec) SignedText(version, os, arch string) []byte {
	return fmt.Appendf(nil, "go-updater release\nversion %s\nos %s\narch %s\nsize %d\nsha256 %s\n",
		version, os, arch, s.Size, strings.ToLower(s.Sha256Hash))
}

// verify checks the signature where a key is set.
func (s *Spec) verify(c *Config) error {
	if len(c.PublicKey) == 0 {
		return nil
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(s.Signature)
	switch {
	case s.Signature == "":
		return cause.Errorf("%w: it has no signature", ErrSignature)
	case err != nil || len(signature) != ed25519.SignatureSize:
		return cause.Errorf("%w: its signature is malformed", ErrSignature)
	case s.Size <= 0:
		return cause.Errorf("%w: it has no size", ErrSignature)
	case !ed25519.Verify(c.PublicKey, s.SignedText(c.Version, c.OperatingSystem, c.Architecture), signature):
		return ErrSignature
	}
	return nil
}

// candidates are the artifacts that this version can decode, the cheapest first.
func (s *Spec) candidates() (list []*Artifact) {
	decodable, implied := []string{Zstd, Bzip2, None}, !s.signed
	for i := range s.Artifacts {
		a := &s.Artifacts[i]
		implied = implied && !(a.File == s.BinaryPath && slices.Contains(decodable, a.Encoding))
	}
	for _, encoding := range decodable {
		for i := range s.Artifacts {
			if a := &s.Artifacts[i]; a.Encoding == encoding && (!s.signed || a.Size > 0 && a.SHA256 != "") {
				list = append(list, a)
			}
		}
		if encoding == Bzip2 && implied {
			list = append(list, &Artifact{File: s.BinaryPath, Encoding: Bzip2})
		}
	}
	return list
}
