// Package delta makes small patches between two versions of a file, and applies them. It knows how
// addresses move in a Go executable; any other two files are handled as data.
//
// Diff is for publishers. Apply is for every user's program: it knows no file format and no version of
// Go, since all that it needs of them travels in the patch. It is bounded in memory and time, whatever a
// patch holds, and a program that applies links nothing of what makes patches.
//
// # Format, version 1
//
// A patch is a header and a body.
//
//	size
//	   3  "GD" and the version, 1
//	1..5  size of the new file, at most 2^31, as a varint: 7 bits a byte, the lowest first, in as few bytes as that takes
//	   4  the first bytes of the old file's SHA-256, checked before anything else is read
//	   4  the first bytes of the new file's SHA-256, checked at the end
//	      body, coded by one range coder
//
// A signed release says what the files' hashes are, whole: Apply compares those, before and after.
//
// The range coder is LZMA's, with probabilities of 16 bits; a 1 takes the lower part of the range
// (coder.go). Its first byte, always 0, is left out, and so are up to 4 zeros at its end. What
// it codes is, in order:
//
//	more?        whether anything precedes the residual; if so:
//	transform?   whether the old file is transformed; if so:
//	packed       sections of the old file that the linker compressed, to be unpacked
//	layout       where its text, tables and pointers are, and the bases that offsets count from
//	bases        the same bases in the new file; then its segments
//	moves        the address map: from an address on, all moves by a shift
//	lines        the same for source lines, keyed by file and line
//	generated    parts of the new file that are computed: runtime.findfunctab, page hashes of a Mach-O signature
//	packed       sections of the new file that are to be compressed, if the old file is transformed
//	repeats?     whether much is inserted: as literals and matches then (lz.go), and changes by fewer contexts (dense.go)
//	residual     rounds of copying and inserting, until the new file is complete
//
// Whole numbers are coded as their length in bits and the bits below the leading one, the upper of them with adaptive
// probabilities, the others as they are (model.go). The bytes that change and those that are inserted are foretold by several contexts,
// mixed (mixer.go, change.go, insert.go), or, where there are many, by two at most, so that they are decoded
// fast. Literals and matches go by a history, the last 8 MB of what was inserted. Where the old file is not transformed, that is the last 8 MB
// of the new file, copies included, and before it the whole old file: a distance may lead into either. Encoder and decoder run
// the same procedures, which take bits in one direction and give them in the other: they cannot disagree. Three inner loops
// are written once for each direction, since decoding them takes most of the time (coder.go).
//
// The body ends where the patch ends, neither earlier nor later.
//
// # Prediction
//
// The prediction is as long as the old file and what its compressed sections unpack to, which follows it in their
// order. It is that with every reference rewritten: the
// address that it tells is looked up in the address map, and encoded anew from the place that it is moved to.
// References are found by scanners, in zones of the file: relative operands and branches (amd64.go, arm64.go), pointers
// and offsets (scan.go), offsets in the function tables (pcln.go), in pc-value tables (tables.go), what following pointers
// finds, types and inlining trees (side.go), and symbol tables and DWARF (dwarf.go), of which a layout has one zone of
// entries and one of lines at most. Sections that are not loaded have
// address spaces of their own, from 2^40 on, so that offsets into them are references like others. The scanners, the models and every constant that they use are part
// of the format: a change to any of them is another version. Vectors in testdata hold them to that.
//
// Streams are unpacked in chunks of 8 blocks, which begin at the marks in the patch; the deflate algorithm that makes
// them again (deflate.go) is frozen, too. A section that it does not make byte for byte is left as it is.
//
// The residual copies from the prediction as bsdiff does, with changes. Where a copy begins is coded
// relative to where the address map says that the place in the new file came from.
//
// # Limits
//
// Beyond old, patch and what it writes, a decoder holds at most 64 MB: 36 MB of tables, whatever the patch says (room.go), models
// and blocks of the prediction. It refuses with ErrLimit what goes beyond its tables' limits (constants beside the code),
// jumps about in the old file, or models more bytes one by one than any good patch does. Everything that a
// layout leads to is checked against the file: a false layout gives a false prediction, and that a hash that is not the new file's.
package delta
