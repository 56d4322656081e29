package stores

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

func fakeS3(t *testing.T) *service {
	t.Helper()
	for key, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK", "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1"} {
		t.Setenv(key, value)
	}
	backend := s3mem.New()
	must(t, backend.CreateBucket("bucket"))
	server := httptest.NewServer(gofakes3.New(backend).Server())
	server.Config.ErrorLog = quiet
	t.Cleanup(server.Close)
	return &service{name: "s3", url: server.URL, location: s3Location, many: 2_100, kills: 8, races: 5, forget: true}
}

func s3Location(endpoint string, n int64) string {
	return withQuery(fmt.Sprintf("s3://bucket/repo%d", n), "endpoint", endpoint)
}

func TestS3(t *testing.T) {
	s := fakeS3(t)
	s.conform(t)
	s.endToEnd(t)
	t.Run("killed children", s.killedChildren)
}
