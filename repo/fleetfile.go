package repo

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ParseFleet reads what a fleet consists of. It is CSV, a line a part: share, version, platform and, if there are
// any, groups separated by blanks; or JSON, a list of objects with the fields share, version, platform and groups.
func ParseFleet(data []byte) ([]FleetPart, error) {
	var parts []FleetPart
	var err error
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '[' {
		d := json.NewDecoder(bytes.NewReader(trimmed))
		d.DisallowUnknownFields()
		err = d.Decode(&parts)
	} else {
		parts, err = parseFleetCSV(data)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the fleet: %w", err)
	}
	if len(parts) == 0 {
		return nil, errors.New("reading the fleet: it has no hosts")
	}
	return parts, nil
}

func parseFleetCSV(data []byte) ([]FleetPart, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.Comment = -1, true, '#'
	lines, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	var parts []FleetPart
	for i, line := range lines {
		if len(line) < 3 || len(line) > 4 {
			return nil, fmt.Errorf("line %d: share,version,platform,groups is needed", i+1)
		}
		share, err := strconv.ParseFloat(strings.TrimSpace(line[0]), 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: the share %q is no number", i+1, line[0])
		}
		p := FleetPart{Share: share, Version: strings.TrimSpace(line[1]), Platform: strings.TrimSpace(line[2])}
		if len(line) == 4 {
			p.Groups = strings.Fields(line[3])
		}
		parts = append(parts, p)
	}
	return parts, nil
}
