package store_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/choria-io/go-updater/store"
)

// certificate makes one for a server, signed by itself.
func certificate(t *testing.T, until time.Time, names []string, ips []net.IP) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		DNSNames: names, IPAddresses: ips,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// A server whose certificate is not in order gets no request, and is not tried again.
func TestCertificates(t *testing.T) {
	loopback := []net.IP{net.IPv4(127, 0, 0, 1)}
	good := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		until   time.Time
		names   []string
		ips     []net.IP
		trusted bool
		refused bool
	}{
		"in order":    {good, nil, loopback, true, false},
		"self-signed": {good, nil, loopback, false, true},
		"expired":     {time.Now().Add(-time.Hour), nil, loopback, true, true},
		"wrong name":  {good, []string{"other.example"}, nil, true, true},
		"wrong IP":    {good, nil, []net.IP{net.IPv4(127, 0, 0, 2)}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				requests++
				io.WriteString(w, "data")
			}))
			server.Config.ErrorLog = quiet
			cert, pool := certificate(t, c.until, c.names, c.ips)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			server.StartTLS()
			defer server.Close()
			if !c.trusted {
				pool = x509.NewCertPool()
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
			r, err := store.NewHTTP(server.URL, store.HTTPOptions{Client: client})
			if err != nil {
				t.Fatal(err)
			}
			f := store.Fetcher{Readers: []store.Reader{r}, Sleep: func(context.Context, time.Duration) error {
				t.Error("it is tried again")
				return nil
			}}
			data, err := f.ReadFile(context.Background(), "f", 10, nil)
			var verification *tls.CertificateVerificationError
			switch {
			case !c.refused && (err != nil || string(data) != "data"):
				t.Errorf("%q, %v", data, err)
			case c.refused && (!errors.As(err, &verification) || requests != 0):
				t.Errorf("%v after %d requests, want a CertificateVerificationError", err, requests)
			}
		})
	}
}
