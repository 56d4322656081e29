package stores

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/choria-io/go-updater/store"
)

// A service that leaves out of a list what has to be in it ends no program.
func TestAzureWithoutNames(t *testing.T) {
	for body, want := range map[string]string{
		`<EnumerationResults></EnumerationResults>`: "no list",
		`<EnumerationResults><Blobs><Blob></Blob><Blob><Name>r/a</Name><Properties><Content-Length>3</Content-Length></Properties></Blob></Blobs></EnumerationResults>`: "",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			io.WriteString(w, body)
		}))
		list, err := openStore(t, withQuery("azblob://container/r", "endpoint", s.URL)+"&anonymous=true").List(ctx, "")
		s.Close()
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) || want == "" && (err != nil || len(list) != 1) {
			t.Errorf("%s: %v, %v", body, list, err)
		}
	}
}

// A server that takes small messages alone is told of, and what is left out of an object's metadata is damage.
func TestNATSOddServers(t *testing.T) {
	for _, most := range []int32{1024, 4096} {
		url := natsServer(t, server.Options{MaxPayload: most})
		bucket(t, url)
		if err := openStore(t, url+"/bucket/r").Put(ctx, "a", strings.NewReader("abc")); err == nil || !strings.Contains(err.Error(), "max_payload") {
			t.Errorf("messages of at most %d bytes: %v", most, err)
		}
	}
	url := natsServer(t, server.Options{})
	conn := bucket(t, url)
	s := openStore(t, url+"/bucket/r")
	must(t, s.Put(ctx, "a", bytes.NewReader(make([]byte, 1<<20))))
	js, err := jetstream.New(conn)
	must(t, err)
	stream, err := js.Stream(ctx, "OBJ_bucket")
	must(t, err)
	subject := "$O.bucket.M." + base64.URLEncoding.EncodeToString([]byte("r/a"))
	about, err := stream.GetLastMsgForSubject(ctx, subject)
	must(t, err)
	var info map[string]any
	must(t, json.Unmarshal(about.Data, &info))
	delete(info, "options")
	msg := nats.NewMsg(subject)
	msg.Data, err = json.Marshal(info)
	must(t, err)
	msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	_, err = js.PublishMsg(ctx, msg)
	must(t, err)
	object, err := s.Open(ctx, "a", store.Request{})
	must(t, err)
	object.Body.Close()
	if _, err := s.Open(ctx, "a", store.Request{Offset: 300_000, Version: object.Version}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("an object without a chunk size: %v", err)
	}
}
