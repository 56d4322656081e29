// Package updater lets a running program replace its own executable from an
// update repository: plain files on a web server, in a bucket or in a folder, made by
// the command update-repo.
//
//	err := updater.Apply(
//		updater.SourceRepo("https://repo.example.net/updater"),
//		updater.Version("1.2.3"),
//		updater.CurrentVersion(version),
//		updater.TrustRoot(trustRoot), // what `update-repo init` wrote
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
// With [TrustRoot] only what the keys of the repository stand behind is installed, and
// nothing that is older than this machine has seen. [PublicKey] is a small mode of one key that never expires. Without
// either, a release is believed if its checksum is right, and a warning says so.
//
// Where the repository has a delta from the installed binary, or a chain of them, that is
// fewer bytes than the full one, it is fetched; whatever is wrong with it, the full one is.
//
// [Apply], [FetchSpec], [RollbackError], [Config], [Spec] and [Downloader] are those of v0.1.0
// of this package; programs written for it work unchanged.
package updater
