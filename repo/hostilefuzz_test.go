package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/choria-io/go-updater/internal/channel"
	"github.com/choria-io/go-updater/store"
)

// mutation changes JSON as the bytes of a fuzzer's input say: each step goes to a place and does something to it.
type mutation struct {
	steps  []byte
	places []place
}

// place is a value in a tree of JSON, and how to set it.
type place struct {
	value any
	set   func(v any)
}

func (m *mutation) next(n int) int {
	if len(m.steps) == 0 {
		return 0
	}
	b := int(m.steps[0])
	m.steps = m.steps[1:]
	if n > 256 && len(m.steps) > 0 {
		b = b<<8 | int(m.steps[0])
		m.steps = m.steps[1:]
	}
	return b % max(n, 1)
}

// walk collects the places, in an order that is always the same.
func (m *mutation) walk(v any, set func(any)) {
	m.places = append(m.places, place{v, set})
	switch v := v.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			m.walk(v[key], func(x any) { v[key] = x })
		}
	case []any:
		for i := range v {
			m.walk(v[i], func(x any) { v[i] = x })
		}
	}
}

func sortedKeys(m map[string]any) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

var hostileValues = []any{
	nil, true, "", "0", "..", "../../x", "targets", "root", "linux-amd64", "*", "*/linux/amd64/*", "channels/*", "\x00", "%d%s%1000000d",
	json.Number("0"), json.Number("-1"), json.Number("1"), json.Number("9223372036854775807"), json.Number("-9223372036854775808"), json.Number("1099511627777"),
	json.Number("1e3"), json.Number("0.5"), json.Number("32"), json.Number("16"),
	"0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", []any{}, map[string]any{}, []any{nil}, map[string]any{"": nil},
	strings.Repeat("ab", 32), strings.Repeat("x", 3000), "ed25519", "ecdsa", "rsa", "ecdsa-sha2-nistp256",
}

// apply makes up to eight changes to a tree.
func (m *mutation) apply(root map[string]any) map[string]any {
	for range 8 {
		if len(m.steps) == 0 {
			break
		}
		m.places = nil
		m.walk(root, func(any) {})
		at := m.places[m.next(len(m.places))]
		switch m.next(6) {
		case 0, 1:
			at.set(cloneJSON(hostileValues[m.next(len(hostileValues))])) // what is changed next is this tree's own
		case 2: // something from elsewhere in the tree
			at.set(cloneJSON(m.places[m.next(len(m.places))].value))
		case 3: // one member or element less, or more of it
			switch v := at.value.(type) {
			case map[string]any:
				if keys := sortedKeys(v); len(keys) > 0 {
					delete(v, keys[m.next(len(keys))])
				}
			case []any:
				at.set(append(slices.Clone(v), cloneJSON(v).([]any)...))
			}
		case 4: // another name
			if v, ok := at.value.(map[string]any); ok && len(v) > 0 {
				keys := sortedKeys(v)
				key := keys[m.next(len(keys))]
				if name, ok := hostileValues[m.next(len(hostileValues))].(string); ok {
					v[name] = cloneJSON(v[key])
				}
			}
		case 5: // very many
			var many []any
			for range 300 {
				many = append(many, at.value)
			}
			if _, small := at.value.(string); small {
				at.set(many)
			}
		}
	}
	return root
}

func cloneJSON(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var is any
	if err := d.Decode(&is); err != nil {
		panic(err)
	}
	return is
}

// hostileRunner changes one file of a repository, signs it with the right key, and does with it all that people do.
func hostileRunner(t testing.TB) func(t testing.TB, which, how uint8, steps []byte) {
	s, k, root, binary := hostileSeed(t)
	// A change that waits, to be changed as well.
	waiting := copyMem(t, s)
	second := newKeys(t)
	r := k.open(waiting)
	r.SignWith(second.release)
	must(t, r.ChangeRoot(ctx, RootChange{Add: map[string][]*PublicKey{"targets": {second.release.public}}, Thresholds: map[string]int{"targets": 2}}))
	k.open(waiting).Add(ctx, binary)

	signed := []string{"root", "timestamp", "snapshot", "targets", "linux-amd64", "linux-amd64-bins3-0", "channels"}
	return func(t testing.TB, which, how uint8, steps []byte) {
		if len(steps) > 200 {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		names := slices.Sorted(maps.Keys(visits))
		do := func(s store.Store, root []byte) {
			r := k.open(copyMem(t, s))
			if how >= 128 {
				r.anchor = root
			}
			visits[names[int(how)%len(names)]](ctx, r, root, binary)
		}
		m := &mutation{steps: steps}
		switch i := int(which) % (len(signed) + 3); {
		case i < len(signed):
			forged := forge(t, s, k)
			forged.publish(t, signed[i], m.apply(forged.signed(t, forged.name(t, signed[i]))))
			do(forged, root)
		case i == len(signed): // staged.json, which nobody has to sign
			forged := copyMem(t, waiting)
			data, err := Open(forged).read(ctx, stagedName, proposalLimit)
			must(t, err)
			data, err = json.Marshal(m.apply(cloneJSON(json.RawMessage(data)).(map[string]any)))
			must(t, err)
			must(t, forged.Put(ctx, stagedName, bytes.NewReader(data)))
			do(forged, root)
		default: // release.json and a channel, of a repository that is not signed
			forged := &store.Mem{}
			r := Open(forged)
			_, err := r.Add(ctx, binary)
			must(t, err)
			_, err = r.ChangeChannel(ctx, "stable", Promotion{Version: "3"})
			must(t, err)
			name := []string{"3/linux/amd64/release.json", channelName("stable")}[i-len(signed)-1]
			data, err := r.read(ctx, name, channel.MaxSize)
			must(t, err)
			data, err = json.Marshal(m.apply(cloneJSON(json.RawMessage(data)).(map[string]any)))
			must(t, err)
			must(t, forged.Put(ctx, name, bytes.NewReader(data)))
			do(forged, nil)
			if how%8 == 0 {
				k.open(forged).Sign(ctx, k.init())
			}
		}
		must(t, ctx.Err())
	}
}

func FuzzRepository(f *testing.F) {
	run := hostileRunner(f)
	for i := range 10 {
		f.Add(uint8(i), uint8(i), []byte{1, 0, 0})
	}
	f.Fuzz(func(t *testing.T, which, how uint8, steps []byte) { run(t, which, how, steps) })
}
