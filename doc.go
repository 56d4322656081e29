// Package updater lets a running program replace its own executable from an
// update repository: plain files on a web server, in a bucket or in a folder, made by
// the command update-repo.
//
//	err := updater.Apply(
//		updater.SourceRepo("https://repo.example.net/updater"),
//		updater.Version("1.2.3"),
//		updater.CurrentVersion(version),
//	)
//
// That is the whole of it: the running program is replaced by version 1.2.3 for its own os and
// arch, unless it is that already, and the previous binary is kept beside it
// with ".backup" added to its name. The program then executes itself again or asks its
// supervisor to.
//
// At every instant, power loss included, the old or the new binary stands at the
// target's path, whole. After an error the target is as it was. What can be known before a download
// is said before it: a folder that cannot be written, a disk without room, a
// target that a package manager owns. [Hint] turns such errors into advice.
//
// [ApplyContext] does the same with a context and says what it did. [Check],
// [Plan.Stage] and [Staged.Apply] are its three parts, for programs that show or decide something
// in between: a plan names the versions, the bytes to fetch and why. [OnEvent]
// reports progress. [Rollback] brings the previous binary back, and [Inspect] tells what
// is installed.
//
// With [PublicKey] only releases signed by that key are installed. Without, a
// release is believed if its checksum is right, and a warning says so.
//
// [Apply], [FetchSpec], [RollbackError], [Config], [Spec] and [Downloader] are those of v0.1.0
// of this package; programs written for it work unchanged.
package updater
