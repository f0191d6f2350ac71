package sumdb

import (
	"bytes"
	"errors"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// tileHeight is the only one that the go command asks for.
const tileHeight = 8

const fullWidth = 1 << tileHeight

// width returns how many hashes the tile at level l and position n has in a
// tree of the given size; 0 if it is not in there.
func width(size int64, l int, n int64) int {
	if l < 0 || l*tileHeight >= 63 || n < 0 || n > maxTree>>tileHeight {
		return 0
	}
	return int(max(0, min(fullWidth, size>>(l*tileHeight)-n<<tileHeight)))
}

// full returns the complete tile at t's place.
func full(t tlog.Tile) tlog.Tile {
	t.W = fullWidth
	return t
}

// A tile with its hashes.
type hashes struct {
	tlog.Tile
	data []byte
}

// tiles keeps tiles that were proven, each in its widest version. Those in
// memory are as they were proven; what comes from the disk is to be proven
// again.
type tiles struct {
	disk   *disk
	memory *lru[tlog.Tile, kept] // by the full tile

	mu sync.Mutex // held while a file is compared and replaced
}

type kept struct {
	data   []byte
	onDisk bool
}

func newTiles(d *disk) *tiles {
	return &tiles{disk: d, memory: newLRU[tlog.Tile, kept](tilesInMemory)}
}

// proven returns a tile that needs no proof any more, or nil.
func (s *tiles) proven(t tlog.Tile) []byte {
	if k, ok := s.memory.get(full(t)); ok && len(k.data) >= t.W*tlog.HashSize {
		return k.data[: t.W*tlog.HashSize : t.W*tlog.HashSize]
	}
	return nil
}

// local returns a tile that may be damaged, or nil.
func (s *tiles) local(t tlog.Tile) []byte {
	if data := s.proven(t); data != nil {
		return data
	}
	if data := s.stored(t); len(data) >= t.W*tlog.HashSize {
		return data[:t.W*tlog.HashSize]
	}
	return nil
}

// stored returns what the disk has at t's place: any width, and any hashes.
func (s *tiles) stored(t tlog.Tile) []byte {
	data, err := s.disk.read(full(t).Path(), fullWidth*tlog.HashSize)
	if err != nil {
		return nil
	}
	return data
}

// keep keeps tiles that are proven in a tree which agrees with every head so
// far. An error means that not all are on the disk; in memory they are.
func (s *tiles) keep(list []hashes) error {
	var errs []error
	for _, t := range list {
		errs = append(errs, s.keepOne(t))
	}
	return errors.Join(errs...)
}

func (s *tiles) keepOne(t hashes) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.memory.get(full(t.Tile))
	if ok && old.onDisk && bytes.HasPrefix(old.data, t.data) {
		return nil
	}
	if ok && len(old.data) > len(t.data) && bytes.HasPrefix(old.data, t.data) {
		t.data = old.data // and try the disk again
	}
	var err error
	if !bytes.HasPrefix(s.stored(t.Tile), t.data) {
		err = s.disk.write(full(t.Tile).Path(), t.data, false)
	}
	s.memory.put(full(t.Tile), kept{bytes.Clone(t.data), err == nil}, len(t.data))
	return err
}
