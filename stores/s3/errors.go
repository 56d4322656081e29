package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/choria-io/go-updater/store"
)

// metadataTimeout is how long the machine's own service may take to hand out its role.
const metadataTimeout = 5 * time.Second

// errNoBucket is no fs.ErrNotExist: that a file is not there is an answer, that the bucket is not is a fault.
var errNoBucket = errors.New("the bucket does not exist")

// parseError reads what S3 says in the body of an answer.
func parseError(status *store.StatusError, h http.Header, body []byte) minio.ErrorResponse {
	var e minio.ErrorResponse
	if xml.Unmarshal(body, &e) != nil {
		e = minio.ErrorResponse{}
	}
	e.StatusCode = status.Code
	if e.Region == "" {
		e.Region = h.Get("X-Amz-Bucket-Region")
	}
	return e
}

// explain says what is wrong and what to do about it; nil where the status is all that there is to say.
func (s *Store) explain(e minio.ErrorResponse, status *store.StatusError) error {
	switch e.Code {
	case "NoSuchBucket":
		return fmt.Errorf("%w: create %s, or check its name, the region (AWS_REGION) and the endpoint (AWS_ENDPOINT_URL)", errNoBucket, s.bucket)
	case "InvalidAccessKeyId":
		return fmt.Errorf("the access key is not known there: check AWS_ACCESS_KEY_ID or the profile: %w", status)
	case "XAdminUserNotFound": // versitygw's word for it, with a 404
		return fmt.Errorf("the access key is not known there: check AWS_ACCESS_KEY_ID or the profile (%s)", e.Code)
	case "SignatureDoesNotMatch":
		return fmt.Errorf("the secret key is wrong: check AWS_SECRET_ACCESS_KEY or the profile: %w", status)
	case "ExpiredToken", "TokenRefreshRequired", "InvalidToken", "ExpiredTokenException":
		return fmt.Errorf("the session token has expired or is not valid: get new credentials (AWS_SESSION_TOKEN): %w", status)
	case "RequestTimeTooSkewed":
		return fmt.Errorf("this machine's clock is too far from the service's: set it: %w", status)
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException":
		where := "another region"
		if e.Region != "" {
			where = "region " + e.Region
		}
		return fmt.Errorf("the bucket is in %s: set AWS_REGION: %w", where, status)
	case "AccessDenied":
		if s.anonymous {
			return fmt.Errorf("the bucket is not public, and no credentials were sent: %w", status)
		}
		return fmt.Errorf("the credentials do not allow it: readers need s3:GetObject and s3:ListBucket, publishers also s3:PutObject and s3:DeleteObject; or there are none (set AWS_ACCESS_KEY_ID): %w", status)
	}
	switch {
	case e.Code == "", e.Code == minio.NoSuchKey:
		return nil
	case e.StatusCode == http.StatusNotFound:
		// Something else is missing, and a missing file is what it must not look like.
		return fmt.Errorf("the service answered %d %s %s", e.StatusCode, e.Code, e.Message)
	}
	return fmt.Errorf("%s %s: %w", e.Code, e.Message, status)
}
