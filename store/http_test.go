package store

import "testing"

// What is asked for is the base's path as it is written, less slashes at its end, and the escaped name.
func TestLocate(t *testing.T) {
	for base, want := range map[string]string{
		"http://host":               "/1.0/a%20b%23c+~%25.zst",
		"http://host/":              "/1.0/a%20b%23c+~%25.zst",
		"http://host/x/y":           "/x/y/1.0/a%20b%23c+~%25.zst",
		"http://host/x//":           "/x/1.0/a%20b%23c+~%25.zst",
		"http://host/x%2fy/%C3%A4/": "/x%2fy/%C3%A4/1.0/a%20b%23c+~%25.zst",
		"http://host/x?key=1%202":   "/x/1.0/a%20b%23c+~%25.zst?key=1%202",
	} {
		h, err := NewHTTP(base, HTTPOptions{})
		if err != nil {
			t.Fatal(err)
		}
		u := h.locate("1.0/a b#c+~%.zst")
		if got := u.RequestURI(); got != want {
			t.Errorf("%s: %s, want %s", base, got, want)
		}
		if again := h.locate("1.0/a b#c+~%.zst"); *again != *u {
			t.Errorf("%s: then %s", base, again)
		}
	}
}
