// Package stores holds the tests of the module stores, since what they need, whole servers, is nothing that a user's module
// graph should have. By default the servers run in process; with the build tag real, see `make test-stores`, they are the ones that people run.
package stores
