package repo

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	updater "github.com/choria-io/go-updater"
	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/store"
)

// Channel is a named line of releases: which there are, and to whom each is offered.
type Channel = channel.Document

// ChannelRelease is a release in a channel.
type ChannelRelease = channel.Release

// ErrNoChannel: the repository has no channel of that name.
var ErrNoChannel = errors.New("there is no such channel")

const listAdvice = "update-repo list shows what is there"

// RefusedError is a change, of a channel for one, that makes no sense, or would hurt; and what to do instead.
type RefusedError struct{ Why, Advice string }

func (e *RefusedError) Error() string { return e.Why }

func refused(advice, why string, args ...any) error {
	return &RefusedError{Why: fmt.Sprintf(why, args...), Advice: advice}
}

// A channel's document is put twice: under a name with its hash, which the metadata leads to, and
// under the plain name, for people and for those who check no signatures.
const channelsFolder = "channels/"

func channelName(name string) string { return channelsFolder + name + ".json" }

func hashedName(name, sum string) string { return channelsFolder + sum + "." + name + ".json" }

// channelOf is the name of the channel that a file is the document of. hashed tells which of the two names it has.
func channelOf(file string) (name, sum string, ok bool) {
	name, ok = strings.CutSuffix(strings.TrimPrefix(file, channelsFolder), ".json")
	if !ok || !strings.HasPrefix(file, channelsFolder) || channel.CheckName(name) != nil {
		return "", "", false
	}
	if sum, rest, cut := strings.Cut(name, "."); cut && isHash(sum) {
		return rest, sum, true
	}
	return name, "", true
}

func isHash(s string) bool {
	sum, err := hex.DecodeString(s)
	return err == nil && len(sum) == 32
}

// Channel reads a channel's document, the signed one where the repository is signed.
//
// Errors: ErrNoChannel, ErrUntrusted.
func (r *Repo) Channel(ctx context.Context, name string) (*Channel, error) {
	base, err := r.load(ctx, false)
	if err != nil {
		return nil, err
	}
	return r.channel(ctx, base, name)
}

// Channels reads all channels, sorted by name.
func (r *Repo) Channels(ctx context.Context) ([]*Channel, error) {
	base, err := r.load(ctx, false)
	if err != nil {
		return nil, err
	}
	names, err := r.channelNames(ctx, base)
	if err != nil {
		return nil, err
	}
	list := []*Channel{}
	for _, name := range names {
		d, err := r.channel(ctx, base, name)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

func (r *Repo) channelNames(ctx context.Context, base *signed) ([]string, error) {
	found := map[string]bool{}
	if base != nil {
		files, err := base.channelFiles(ctx)
		if err != nil {
			return nil, err
		}
		for file := range files {
			if name, _, ok := channelOf(file); ok {
				found[name] = true
			}
		}
		return slices.Sorted(maps.Keys(found)), nil
	}
	entries, err := r.store.List(ctx, channelsFolder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if name, sum, ok := channelOf(e.Name); ok && sum == "" {
			found[name] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// channelFiles are the documents that are signed.
func (s *signed) channelFiles(ctx context.Context) (map[string]*metadata.TargetFiles, error) {
	targets := s.roles[metadata.TARGETS]
	name := delegationTo(targets, channelsFolder+"*")
	if name == "" {
		return nil, nil
	}
	role, err := s.role(ctx, name, targets)
	if err != nil {
		return nil, err
	}
	return role.Signed.Targets, nil
}

func (r *Repo) channel(ctx context.Context, base *signed, name string) (*Channel, error) {
	data, err := r.channelData(ctx, base, name)
	if err != nil {
		return nil, err
	}
	return parseChannel(base, name, data)
}

func parseChannel(base *signed, name string, data []byte) (*Channel, error) {
	d, err := channel.Parse(data)
	if err == nil && d.Name != name {
		err = fmt.Errorf("it is channel %s", d.Name)
	}
	if err == nil && base != nil && d.Product != product(base.root()) {
		err = fmt.Errorf("it is a channel of product %q", d.Product)
	}
	if err != nil {
		return nil, fmt.Errorf("channel %s: %w", name, err)
	}
	return d, nil
}

func (r *Repo) channelData(ctx context.Context, base *signed, name string) ([]byte, error) {
	if err := channel.CheckName(name); err != nil {
		return nil, err
	}
	file := channelName(name)
	if base == nil {
		data, err := r.read(ctx, file, channel.MaxSize)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %s in %s", ErrNoChannel, name, r.store)
		}
		return data, err
	}
	f, err := base.signedFile(ctx, file)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, fmt.Errorf("%w: %s in %s", ErrNoChannel, name, r.store)
	}
	data, err := r.read(ctx, hashedName(name, f.Hashes["sha256"].String()), channel.MaxSize)
	if err != nil {
		return nil, err
	}
	if err := f.VerifyLengthHashes(data); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUntrusted, file, err)
	}
	return data, nil
}

// platforms are those for which a version is there, and signed where the repository is.
func (t *transaction) platforms(ctx context.Context, version string) ([]string, error) {
	if err := channel.CheckName(version); err != nil {
		return nil, err
	}
	entries, err := t.repo.store.List(ctx, version+"/")
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		parts := strings.Split(e.Name, "/")
		if len(parts) != 4 || parts[3] != specName {
			continue
		}
		if _, err := updater.Folder(parts[0], parts[1], parts[2]); err != nil {
			continue
		}
		if t.base != nil {
			f, err := t.base.signedFile(ctx, e.Name)
			if err != nil {
				return nil, err
			}
			if f == nil {
				continue
			}
		}
		list = append(list, parts[1]+"/"+parts[2])
	}
	slices.Sort(list)
	return list, nil
}

// ChangedChannel is a channel after a change, and what is to be said about it.
type ChangedChannel struct {
	Channel *Channel
	Notes   []string
}

// ChangeChannel makes one change of a channel: one small file, signed where the repository is. A channel that is not
// there is made by a [Promotion].
//
// Errors: [*RefusedError], ErrNoChannel, ErrStaged, ErrWaiting, ErrKeys, ErrBusy.
func (r *Repo) ChangeChannel(ctx context.Context, name string, by ChannelChange) (*ChangedChannel, error) {
	t, err := r.transaction(ctx)
	if err != nil {
		return nil, err
	}
	defer t.end()
	e := &channelEdit{ctx: ctx, t: t, now: r.now().Truncate(time.Second)}
	was, err := r.channelData(ctx, t.base, name)
	if err == nil {
		e.doc, err = parseChannel(t.base, name, was)
	}
	if _, promotes := by.(Promotion); promotes && errors.Is(err, ErrNoChannel) {
		e.doc, err = &Channel{Name: name}, nil
		if isHash(strings.Split(name, ".")[0]) {
			return nil, refused("choose another name", "a channel may not have a name that begins with a hash")
		}
	}
	if err != nil {
		return nil, err
	}
	if err := by.apply(e); err != nil {
		return nil, err
	}
	// Higher than those of a channel that was there before under this name, too.
	e.doc.Serial = max(e.doc.Serial+1, e.now.Unix())
	if t.base != nil {
		e.doc.Product = product(t.base.root())
	}
	return &ChangedChannel{e.doc, e.notes}, t.putChannel(ctx, was, e.doc)
}

// putChannel writes a document, in the place of was. In a signed repository that is the file with the hash, then the metadata that leads
// to it, which is the point of no return, and then the plain one.
func (t *transaction) putChannel(ctx context.Context, was []byte, d *Channel) error {
	data, err := d.Encode()
	if err != nil {
		return err
	}
	if t.base == nil {
		return t.repo.swap(ctx, channelName(d.Name), was, data)
	}
	f := &metadata.TargetFiles{Length: int64(len(data)), Hashes: sha256Of(data)}
	if err := t.repo.create(ctx, hashedName(d.Name, f.Hashes["sha256"].String()), data); err != nil {
		return err
	}
	t.files[channelName(d.Name)] = f
	old, err := t.base.signedFile(ctx, channelName(d.Name))
	if err != nil {
		return err
	}
	if err := t.commit(ctx); err != nil {
		return err
	}
	return t.repo.settleChannel(ctx, d.Name, f, old)
}

// settleChannel makes the plain document the signed one, and removes all others but the one before: a client may be
// between the metadata and the document.
func (r *Repo) settleChannel(ctx context.Context, name string, is, was *metadata.TargetFiles) error {
	keep := map[string]bool{is.Hashes["sha256"].String(): true}
	if was != nil {
		keep[was.Hashes["sha256"].String()] = true
	}
	data, err := r.read(ctx, hashedName(name, is.Hashes["sha256"].String()), channel.MaxSize)
	if err != nil {
		return err
	}
	plain, err := r.read(ctx, channelName(name), channel.MaxSize)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(plain) != string(data) {
		if err := r.swap(ctx, channelName(name), plain, data); err != nil && !errors.Is(err, ErrBusy) {
			return err // who is busy writes a newer one
		}
	}
	if _, ok := r.store.(store.Locker); !ok {
		return nil // others may be what another publisher is about to sign
	}
	entries, err := r.store.List(ctx, channelsFolder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if of, sum, ok := channelOf(e.Name); ok && of == name && sum != "" && !keep[sum] {
			if err := r.store.Delete(ctx, e.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleAfter does that for all channels, when a change was published that did not come from ChangeChannel.
func (r *Repo) settleAfter(ctx context.Context, before *signed) error {
	now, err := r.load(ctx, true)
	if err != nil {
		return err
	}
	files, err := now.channelFiles(ctx)
	if err != nil {
		return err
	}
	for file, f := range files {
		name, _, ok := channelOf(file)
		if !ok {
			continue
		}
		var was *metadata.TargetFiles
		if before != nil {
			if was, err = before.signedFile(ctx, file); err != nil {
				return err
			}
		}
		if err := r.settleChannel(ctx, name, f, was); err != nil {
			return err
		}
	}
	return nil
}

// signChannels is what the first root signs of channels that are there: they name the product from then on.
func (r *Repo) signChannels(ctx context.Context, productName string, files map[string]*metadata.TargetFiles) error {
	list, err := r.channelNames(ctx, nil)
	if err != nil {
		return err
	}
	for _, name := range list {
		d, err := r.channel(ctx, nil, name)
		if err != nil {
			return err
		}
		d.Product, d.Serial = productName, max(d.Serial+1, r.now().Unix())
		data, err := d.Encode()
		if err != nil {
			return err
		}
		f := &metadata.TargetFiles{Length: int64(len(data)), Hashes: sha256Of(data)}
		if err := r.create(ctx, hashedName(name, f.Hashes["sha256"].String()), data); err != nil {
			return err
		}
		files[channelName(name)] = f
	}
	return nil
}

// ParsePercent reads a percentage from 0 to 100 with at most two decimals, and returns hundredths of a percent, as
// FormatPercent takes them.
func ParsePercent(s string) (int, error) { return channel.ParsePercent(s) }

// FormatPercent writes hundredths of a percent.
func FormatPercent(hundredths int) string { return channel.FormatPercent(hundredths) }
