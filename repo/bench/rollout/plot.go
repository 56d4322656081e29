package main

import (
	"bytes"
	"fmt"
)

// The plot's measures, in its own units.
const (
	width, height = 900, 620
	left, right   = 80, 30
	top, gap      = 70, 70
	panel         = (height - top - gap - 60) / 2
)

var colours = []string{"#c0392b", "#2471a3"}

// draw makes the plot, an SVG: the share of hosts on the bad release, and below what the server sends.
func draw(scenarios []*scenario, c costs) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	text(&b, left, 24, "start", "#000000", fmt.Sprintf("%d hosts, one bad release: each checks once an hour, splay %.0f h", hosts, splay.Hours()))
	for i, s := range scenarios {
		text(&b, left+i*380, 44, "start", colours[i], s.title)
	}
	shares, loads, maxLoad := [][]float64{}, [][]float64{}, 0.0
	for _, s := range scenarios {
		var share, load []float64
		for _, t := range s.times {
			share = append(share, 100*float64(t.Versions[bad])/hosts)
			_, sent := s.load(c, t)
			load = append(load, float64(sent)/1e6)
			maxLoad = max(maxLoad, float64(sent)/1e6)
		}
		shares, loads = append(shares, share), append(loads, load)
	}
	markers(&b, scenarios)
	axes(&b, top, "run it, % of the hosts", 50, 10)
	lines(&b, top, shares, 50)
	step := niceStep(maxLoad)
	ceiling := step * float64(int(maxLoad/step)+1)
	axes(&b, top+panel+gap, "MB an hour at the server", ceiling, step)
	lines(&b, top+panel+gap, loads, ceiling)
	for h := 0; h <= int(length.Hours()); h += 6 {
		text(&b, int(x(float64(h))), top+2*panel+gap+20, "middle", "#000000", fmt.Sprint(h))
	}
	text(&b, (left+width-right)/2, height-12, "middle", "#000000", "hours")
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func x(hour float64) float64 { return left + hour*float64(width-left-right)/length.Hours() }

func y(base int, value, ceiling float64) float64 {
	return float64(base+panel) - value*panel/ceiling
}

func text(b *bytes.Buffer, x, y int, anchor, colour, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, colour, s)
}

// axes draws a frame, lines at each step, and what they stand for.
func axes(b *bytes.Buffer, base int, title string, ceiling, step float64) {
	text(b, left, base-8, "start", "#000000", title)
	for v := 0.0; v <= ceiling+step/2; v += step {
		at := y(base, v, ceiling)
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/>`+"\n", left, at, width-right, at)
		text(b, left-8, int(at)+4, "end", "#000000", fmt.Sprintf("%g", v))
	}
}

// markers are the operator's steps.
func markers(b *bytes.Buffer, scenarios []*scenario) {
	longest := scenarios[0].stages
	for _, s := range scenarios {
		if len(s.stages) > len(longest) {
			longest = s.stages
		}
	}
	for _, st := range longest {
		at := x(st.at.Hours())
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#888888" stroke-dasharray="4 4"/>`+"\n", at, top, at, top+2*panel+gap)
		text(b, int(at), top+panel+gap/2-8, "middle", "#555555", st.what)
	}
}

func lines(b *bytes.Buffer, base int, series [][]float64, ceiling float64) {
	for i, values := range series {
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, colours[i])
		for hour, v := range values {
			fmt.Fprintf(b, "%.1f,%.1f ", x(float64(hour)+0.5), y(base, v, ceiling))
		}
		b.WriteString(`"/>` + "\n")
	}
}

// niceStep divides a range into five at most, of a round number each.
func niceStep(limit float64) float64 {
	for step := 1.0; ; step *= 10 {
		for _, f := range []float64{1, 2, 5} {
			if limit/(step*f) < 5 {
				return step * f
			}
		}
	}
}
