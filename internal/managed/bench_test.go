package managed

import "testing"

// BenchmarkDpkg looks for a file that no package has, in this machine's database.
func BenchmarkDpkg(b *testing.B) {
	for range b.N {
		if claim, err := (System{}).dpkg("/opt/example/bin/tool"); claim != nil || err != nil {
			b.Fatal(claim, err)
		}
	}
}
