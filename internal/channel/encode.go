package channel

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/choria-io/go-updater/internal/cause"
)

// The JSON of a document. Reading is Parse's alone.
type (
	documentJSON struct {
		Format        int           `json:"format"`
		Name          string        `json:"channel"`
		Product       string        `json:"product,omitempty"`
		Serial        int64         `json:"serial"`
		Floor         string        `json:"floor,omitempty"`
		RollbackFloor string        `json:"rollback_floor,omitempty"`
		Releases      []releaseJSON `json:"releases"`
	}
	releaseJSON struct {
		Version   string      `json:"version"`
		Platforms []string    `json:"platforms"`
		Rollout   json.Number `json:"rollout"`
		Groups    []string    `json:"groups,omitempty"`
		Since     string      `json:"since,omitempty"`
		From      string      `json:"from,omitempty"`
		Until     string      `json:"until,omitempty"`
		State     State       `json:"state,omitempty"`
		BackTo    string      `json:"back_to,omitempty"`
		Through   string      `json:"through,omitempty"`
		Critical  bool        `json:"critical,omitempty"`
		Note      string      `json:"note,omitempty"`
	}
)

// Encode makes the file of a document, and refuses one that Parse would not read.
func (d *Document) Encode() ([]byte, error) {
	j := documentJSON{
		Format: Format, Name: d.Name, Product: d.Product, Serial: d.Serial,
		Floor: d.Floor, RollbackFloor: d.RollbackFloor, Releases: []releaseJSON{},
	}
	for _, r := range d.Releases {
		if r.Platforms == nil {
			r.Platforms = []string{}
		}
		j.Releases = append(j.Releases, releaseJSON{
			Version: r.Version, Platforms: r.Platforms, Rollout: json.Number(FormatPercent(r.Rollout)), Groups: r.Groups,
			Since: formatTime(r.Since), From: formatTime(r.From), Until: formatTime(r.Until),
			State: r.State, BackTo: r.BackTo, Through: r.Through, Critical: r.Critical, Note: r.Note,
		})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(j); err != nil {
		return nil, cause.Errorf("encoding the channel %s: %w", d.Name, err)
	}
	if _, err := Parse(b.Bytes()); err != nil {
		return nil, cause.Errorf("encoding the channel %s: %w", d.Name, err)
	}
	return b.Bytes(), nil
}

// FormatPercent writes hundredths of a percent as ParsePercent reads them.
func FormatPercent(hundredths int) string {
	return strconv.FormatFloat(float64(hundredths)/100, 'f', -1, 64)
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}
