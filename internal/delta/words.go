package delta

import "math/bits"

// sortWords sorts in place, and in n log n steps whatever the input: first into 256 heaps, small enough for a processor's cache if
// the words are spread evenly. It is a tenth of the code that the standard library's way takes in every program.
func sortWords[T ~uint64](w []T) {
	if len(w) == 0 {
		return
	}
	lowest, highest := w[0], w[0]
	for _, v := range w {
		lowest, highest = min(lowest, v), max(highest, v)
	}
	shift := max(0, bits.Len64(uint64(highest-lowest))-8)
	var ends, next [257]int
	for _, v := range w {
		ends[(v-lowest)>>shift+1]++
	}
	for i := range 256 {
		ends[i+1] += ends[i]
	}
	next = ends
	for i := range 256 {
		for next[i] < ends[i+1] {
			v := w[next[i]]
			to := (v - lowest) >> shift
			w[next[i]], w[next[to]] = w[next[to]], v
			next[to]++
		}
		heapsort(w[ends[i]:ends[i+1]])
	}
}

func heapsort[T ~uint64](w []T) {
	for i := len(w)/2 - 1; i >= 0; i-- {
		sink(w, i)
	}
	for n := len(w) - 1; n > 0; n-- {
		w[0], w[n] = w[n], w[0]
		sink(w[:n], 0)
	}
}

func sink[T ~uint64](w []T, i int) {
	for v := w[i]; ; {
		k := 2*i + 1
		if k+1 < len(w) && w[k+1] > w[k] {
			k++
		}
		if k >= len(w) || w[k] <= v {
			w[i] = v
			return
		}
		w[i] = w[k]
		i = k
	}
}
