//go:build real

package stores

import (
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"github.com/choria-io/go-updater/store"
)

// readOnlyAzure: a signature that lets read lets read, says what is missing for more, and says so when it has expired.
func (s *service) readOnlyAzure(t *testing.T) {
	where := s.fresh()(s.url)
	must(t, openStore(t, where).Put(ctx, "f", strings.NewReader("x")))
	cred, err := container.NewSharedKeyCredential("devstoreaccount1", azuriteKey)
	must(t, err)
	pass := func(until time.Time) string {
		q, err := sas.BlobSignatureValues{
			Protocol: sas.ProtocolHTTPSandHTTP, StartTime: until.Add(-24 * time.Hour), ExpiryTime: until,
			Permissions: (&sas.ContainerPermissions{Read: true, List: true}).String(), ContainerName: "bucket",
		}.SignWithSharedKey(cred)
		must(t, err)
		return q.Encode()
	}
	t.Setenv("AZURE_STORAGE_KEY", "")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", pass(time.Now().Add(time.Hour)))
	st := openStore(t, where)
	object, err := st.Open(ctx, "f", store.Request{})
	must(t, err)
	object.Body.Close()
	if err := st.Put(ctx, "g", strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "Storage Blob Data Contributor") {
		t.Errorf("a write: %v", err)
	}
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", pass(time.Now().Add(-time.Hour)))
	refuses(t, s, "expired")
}
