//go:build !e2e

package store

// kills is how often TestKill kills a process.
const kills = 12
