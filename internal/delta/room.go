package delta

// A room is how many bytes a decoder's tables may still take, all together. What is of one size whatever the patch holds, models and
// blocks of the prediction, does not count.
type room int64

// tableRoom leaves some of 64 MB for the rest. Programs of 58 MB take 20.
const tableRoom = 36 << 20

//go:noinline
func (r *room) take(n uint64) error {
	if n > uint64(*r) {
		return limitError("tables of more than %d MB", tableRoom>>20)
	}
	*r -= room(n)
	return nil
}
