package main

import (
	"bytes"
	"compress/gzip"
	"maps"
	"os"
	"path"
	"slices"
	"time"
)

// An entry is one file, folder or symbolic link of a layer. Its name is
// slash-separated and relative to the root.
type entry struct {
	name   string
	mode   int64
	data   []byte
	link   string // target of a symbolic link
	folder bool
}

// A layer is a set of files that an image adds.
type layer struct {
	by      string // for the image's history
	entries []entry
}

// read returns the file at from as the entry called name.
func read(from, name string, mode int64) (entry, error) {
	data, err := os.ReadFile(from)
	return entry{name: name, mode: mode, data: data}, err
}

// withFolders returns the entries and the folders they lie in, sorted by name,
// so that a folder precedes what is in it.
func (l layer) withFolders() []entry {
	byName := map[string]entry{}
	for _, e := range l.entries {
		for dir := path.Dir(e.name); dir != "."; dir = path.Dir(dir) {
			if _, ok := byName[dir]; !ok {
				byName[dir] = entry{name: dir, mode: 0o755, folder: true}
			}
		}
		byName[e.name] = e
	}
	var sorted []entry
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		sorted = append(sorted, byName[name])
	}
	return sorted
}

// pack returns the layer compressed, and the digest of what it unpacks to.
func (l layer) pack(date time.Time) (packed []byte, diffID string, err error) {
	unpacked, err := l.tar(date)
	if err != nil {
		return nil, "", err
	}
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestCompression) // no name and no date in its header
	if err != nil {
		return nil, "", err
	}
	if _, err := w.Write(unpacked); err != nil {
		return nil, "", err
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return buf.Bytes(), digest(unpacked), nil
}
