package delta

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What the transform does not know, or what is damaged, is data: nothing fails.
func TestOddPrograms(t *testing.T) {
	linux, windows := platforms[0], platforms[2]
	old, fresh := build(t, linux, 0, stripped...), build(t, linux, 1, stripped...)
	pie := []string{"-buildmode=pie", "-ldflags=-s -w"}
	exe, newer := build(t, windows, 0, stripped...), build(t, windows, 1, stripped...)
	noise := bytes.Clone(fresh)
	for i := 5000; i < len(noise); i += 4001 {
		noise[i] ^= 0x55
	}
	for _, c := range []struct {
		name        string
		old, fresh  []byte
		transformed bool
	}{
		{"position independent", build(t, linux, 0, pie...), build(t, linux, 1, pie...), true},
		{"other platform, truncated", old, exe[:400_000], false},
		{"truncated", old, fresh[:len(fresh)*2/3], false},
		{"truncated base", old[:len(old)*7/8], fresh, false},
		{"a header alone", old[:64], fresh[:100], false},
		{"damaged", old, noise, false},
		{"damaged base", noise, fresh, false},
		{"appended to", old, append(bytes.Clone(fresh), text(1000, 0)...), true},
		{"packed", packedELF(t, old[:200_000]), packedELF(t, fresh[:200_000]), false},
		{"packed from one that is not", old, packedELF(t, fresh[:200_000]), false},
		{"no magic number in pclntab", unmagic(t, old), unmagic(t, fresh), false},
		{"the new one without", old, unmagic(t, fresh), false},
		{"signed", signedPE(t, exe, 1), signedPE(t, newer, 2), true},
		{"signed since", exe, signedPE(t, newer, 2), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			patch, stats := diffed(t, c.old, c.fresh)
			got, err := applied(c.old, patch, len(c.fresh))
			if err != nil || !bytes.Equal(got, c.fresh) {
				t.Fatalf("not reproduced: %v", err)
			}
			if stats.Transformed != c.transformed {
				t.Errorf("transformed: %v", stats.Transformed)
			}
			t.Logf("%d bytes of %d", len(patch), len(c.fresh))
		})
	}
}

// Programs with parts in C, by the system's linker.
func TestCgo(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Log("no gcc: nothing to test")
		return
	}
	var programs [2][]byte
	for i, answer := range []string{"return 41;", "int n = 0; for (int i = 0; i < 42; i++) n += i & 1; return 2 * n;"} {
		dir := t.TempDir()
		source := "package main\n\n// static int answer(void) { " + answer + " }\nimport \"C\"\n\nfunc main() { println(C.answer()) }\n"
		for name, content := range map[string]string{"go.mod": "module program\n\ngo 1.24\n", "main.go": source} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "out")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOWORK=off", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		var err error
		if programs[i], err = os.ReadFile(filepath.Join(dir, "out")); err != nil {
			t.Fatal(err)
		}
	}
	patch, stats := diffed(t, programs[0], programs[1])
	if got, err := applied(programs[0], patch, len(programs[1])); err != nil || !bytes.Equal(got, programs[1]) {
		t.Fatalf("not reproduced: %v", err)
	}
	t.Logf("%d bytes of %d, transformed: %v", len(patch), len(programs[1]), stats.Transformed)
}

// packedELF is what a packer such as UPX leaves of a program: a header without sections, and compressed bytes.
func packedELF(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	head := bytes.Clone(b[:64+2*56])
	clear(head[40:48]) // e_shoff
	clear(head[58:64])
	out.Write(head)
	out.WriteString("UPX!")
	w, err := flate.NewWriter(&out, 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// unmagic hides pclntab as obfuscators do.
func unmagic(t *testing.T, b []byte) []byte {
	t.Helper()
	magic := []byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8}
	if bytes.Count(b, magic) == 0 {
		t.Fatal("no pclntab")
	}
	return bytes.ReplaceAll(b, magic, []byte{0x42, 0x13, 0x37, 0x99, 0, 0, 1, 8})
}

// signedPE appends a table of certificates, as Authenticode does, and names it in the header.
func signedPE(t *testing.T, b []byte, seed uint64) []byte {
	t.Helper()
	b = append(bytes.Clone(b), make([]byte, -len(b)&7)...)
	header := int(le32(b[60:]))
	const optional, security = 24, 112 + 8*4
	if le16(b[header+optional:]) != 0x20b {
		t.Fatal("not a PE file of 64 bits")
	}
	certificate := random(seed, 5000)
	entry := binary.LittleEndian.AppendUint32(nil, uint32(len(certificate)+8))
	put32(b[header+optional+security:], uint32(len(b)))
	put32(b[header+optional+security+4:], uint32(len(certificate)+8))
	return append(append(b, append(entry, 0, 2, 2, 0)...), certificate...)
}
