package updater_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	updater "github.com/choria-io/go-updater"
)

// repository makes one in a folder, with version 1.1.0 of a program, and installs version 1.0.0 beside it.
// Real ones are made by update-repo.
func repository() (folder, target string) {
	folder, err := os.MkdirTemp("", "example")
	check(err)
	release := filepath.Join(folder, "repo", "1.1.0", "linux", "amd64")
	check(os.MkdirAll(release, 0o700))
	program := []byte("#!/bin/sh\necho this is version 1.1.0\n")
	check(os.WriteFile(filepath.Join(release, "tool"), program, 0o600))
	spec := fmt.Sprintf(`{"binary": "tool", "hash": "%x", "size": %d, "artifacts": [{"file": "tool", "encoding": "none", "size": %d}]}`,
		sha256.Sum256(program), len(program), len(program))
	check(os.WriteFile(filepath.Join(release, "release.json"), []byte(spec), 0o600))

	target = filepath.Join(folder, "tool")
	check(os.WriteFile(target, []byte("#!/bin/sh\necho this is version 1.0\n"), 0o700))
	return folder, target
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func show(file string) {
	data, err := os.ReadFile(file)
	check(err)
	fmt.Printf("%s: %q\n", filepath.Base(file), data)
}

// Apply is the door that v0.1.0 had.
func ExampleApply() {
	folder, target := repository()
	defer os.RemoveAll(folder)

	err := updater.Apply(
		updater.SourceRepo(filepath.Join(folder, "repo")), // or https://…
		updater.Version("1.1.0"),
		updater.CurrentVersion("1.0.0"),
		updater.TargetFile(target), // by default the running program
		updater.OS("linux"),        // by default what it was built for
		updater.Arch("amd64"),
		updater.Logger(log.New(io.Discard, "", 0)),
	)
	if err != nil {
		if err := updater.RollbackError(err); err != nil {
			log.Fatal("there is no program any more: ", err)
		}
		log.Fatal("the old program is in place: ", err)
	}
	show(target)
	show(target + ".backup")
	// Output:
	// tool: "#!/bin/sh\necho this is version 1.1.0\n"
	// tool.backup: "#!/bin/sh\necho this is version 1.0\n"
}

// Check, Stage and Apply one by one, to show what will happen and what does.
func ExampleCheck() {
	folder, target := repository()
	defer os.RemoveAll(folder)

	ctx := context.Background()
	plan, err := updater.Check(ctx,
		updater.SourceRepo(filepath.Join(folder, "repo")), updater.Version("1.1.0"), updater.CurrentVersion("1.0.0"),
		updater.TargetFile(target), updater.OS("linux"), updater.Arch("amd64"),
		updater.AllowContainer(), // or be told that this is one
		updater.OnEvent(func(e updater.Event) {
			if e.Step == updater.StepFetch && e.Done == e.Total {
				fmt.Printf("fetched %s: %d of %d bytes\n", e.File, e.Done, e.Total)
			}
		}),
	)
	check(err)
	if plan.UpToDate {
		fmt.Println("nothing to do:", plan.Why)
		return
	}
	fmt.Printf("from %s to %s, %d bytes to fetch\n", plan.From, plan.To, plan.Fetch)

	staged, err := plan.Stage(ctx) // fetched, verified, and beside the target
	check(err)
	defer staged.Close()
	result, err := staged.Apply(ctx)
	check(err)
	fmt.Println("applied:", result.Applied)
	show(target)
	// Output:
	// from 1.0.0 to 1.1.0, 37 bytes to fetch
	// fetched tool: 37 of 37 bytes
	// applied: true
	// tool: "#!/bin/sh\necho this is version 1.1.0\n"
}

// Rollback makes the backup the program again; the backup stays.
func ExampleRollback() {
	folder, target := repository()
	defer os.RemoveAll(folder)

	ctx := context.Background()
	_, err := updater.ApplyContext(ctx, updater.SourceRepo(filepath.Join(folder, "repo")), updater.Version("1.1.0"),
		updater.CurrentVersion("1.0.0"), updater.TargetFile(target), updater.OS("linux"), updater.Arch("amd64"), updater.AllowContainer())
	check(err)
	status, err := updater.Rollback(ctx, updater.TargetFile(target))
	check(err)
	fmt.Println("this is version", status.Version, "again")
	show(target)
	// Output:
	// this is version 1.0.0 again
	// tool: "#!/bin/sh\necho this is version 1.0\n"
}

// Hint says in one line what to do about an error.
func ExampleHint() {
	folder, target := repository()
	defer os.RemoveAll(folder)

	_, err := updater.ApplyContext(context.Background(), updater.SourceRepo(filepath.Join(folder, "repo")), updater.Version("9.9.9"),
		updater.TargetFile(target), updater.OS("linux"), updater.Arch("amd64"), updater.AllowContainer())
	fmt.Println("no such release:", errors.Is(err, os.ErrNotExist))
	fmt.Println("hint:", updater.Hint(err))
	// Output:
	// no such release: true
	// hint: check the repository, the version, the os and the arch
}

// A program that follows a channel checks, and says what it found. With a trust root the option is Channel.
func ExampleUnsignedChannel() {
	folder, target := repository()
	defer os.RemoveAll(folder)
	check(os.Mkdir(filepath.Join(folder, "repo", "channels"), 0o700))
	// update-repo promote writes it.
	document := `{"format": 1, "channel": "stable", "serial": 1, "releases": [
		{"version": "1.1.0", "platforms": ["linux/amd64"], "rollout": 2.5}]}`
	check(os.WriteFile(filepath.Join(folder, "repo", "channels", "stable.json"), []byte(document), 0o600))

	for _, machine := range []string{"machine-1", "machine-20"} {
		plan, err := updater.Check(context.Background(),
			updater.SourceRepo(filepath.Join(folder, "repo")), updater.TargetFile(target), updater.AllowContainer(),
			updater.UnsignedChannel("stable"), updater.CurrentVersion("1.0.0"), updater.MachineID(machine),
			updater.OS("linux"), updater.Arch("amd64"))
		check(err)
		switch offer := plan.Offer; {
		case !plan.UpToDate:
			fmt.Println("installing", plan.To, "since it is", offer.Reason)
		case offer.Cause != "":
			fmt.Println(offer.Version, "waits until", offer.Due, "for", offer.Reason)
		default:
			fmt.Println("staying:", offer.Reason)
		}
	}
	// Output:
	// staying: not-in-rollout
	// installing 1.1.0 since it is offered
}
