package version

import "testing"

func TestOlder(t *testing.T) {
	order := []string{"0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "v1.0.0", "1.0.1", "1.0.10", "1.2", "1.10", "2.0.0.20221201", "2.0.0.20221202", "10"}
	for i, a := range order {
		for j, b := range order {
			if got := Older(a, b); got != (i < j) {
				t.Errorf("older(%s, %s) = %v", a, b, got)
			}
		}
	}
	for _, pair := range [][2]string{{"1.0", "1.0.0"}, {"1.0.0+a", "1.0.0+b"}, {"nightly", "1.0"}, {"1.0", "nightly"}, {"", "1.0"}, {"1.0", ""}, {"1..0", "2"}, {"01", "1"}} {
		if Older(pair[0], pair[1]) {
			t.Errorf("%q is older than %q", pair[0], pair[1])
		}
	}
}

func TestOrdered(t *testing.T) {
	for v, want := range map[string]bool{"1": true, "v1.2.3-rc.1+b": true, "0.99.0.20221201": true, "nightly": false, "": false, "1..2": false, "1.x": false} {
		if Ordered(v) != want {
			t.Errorf("Ordered(%q) is not %t", v, want)
		}
	}
}
