package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Pin returns the hash that key had at its first use, and makes that h1 if this
// is the first: at once for this process, on the disk before the file appears.
// The error is a [*fs.PathError] that matches [ErrPin] if there is a pin that
// cannot be read.
func (s *Store) Pin(key, h1 string) (pinned string, err error) {
	path, err := local("pins", key)
	if err != nil {
		return "", err
	}
	s.pinning.Lock() // two first uses at once: one of them is the first
	defer s.pinning.Unlock()
	if pinned, ok := s.pins[key]; ok {
		return pinned, nil
	}
	data, err := s.root.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.pins[key] = h1
		return h1, nil
	}
	if err != nil {
		return "", unreadable(key, err)
	}
	pinned, whole := strings.CutSuffix(string(data), "\n")
	if !whole || !strings.HasPrefix(pinned, "h1:") {
		return "", unreadable(key, errors.New("it is damaged; put it back from a backup, or run \"goproxy-setup agent forget\" for its version"))
	}
	return pinned, nil
}

func unreadable(key string, err error) error {
	return &fs.PathError{Op: "reading", Path: "pins/" + key, Err: fmt.Errorf("%w: %w", ErrPin, err)}
}

// keepPin sees to it that the pin of key, if this process has made it, survives
// a power cut.
func (s *Store) keepPin(key string) error {
	s.pinning.Lock()
	h1, made := s.pins[key]
	s.pinning.Unlock()
	if !made {
		return nil
	}
	path, err := local("pins", key)
	if err == nil {
		err = s.small.Write(path, []byte(h1+"\n"), true)
	}
	if err != nil {
		return err
	}
	s.pinning.Lock()
	defer s.pinning.Unlock()
	delete(s.pins, key)
	return nil
}

// keepPins keeps those of files that were not kept themselves.
func (s *Store) keepPins() {
	s.pinning.Lock()
	var keys []string
	for key := range s.pins {
		keys = append(keys, key)
	}
	s.pinning.Unlock()
	for _, key := range keys {
		if err := s.keepPin(key); err != nil {
			s.opt.Log.Warn("first use not kept", "file", key, "err", err)
		}
	}
}

// Unpin forgets the pin of key, and the file with it. The error matches
// [fs.ErrNotExist] if there is no pin.
func (s *Store) Unpin(key string) error {
	path, err := local("pins", key)
	if err != nil {
		return err
	}
	// The file first: its grade must not outlive the pin.
	guard := s.guard(key)
	guard.Lock()
	err = s.remove(key)
	guard.Unlock()
	if err != nil {
		return err
	}
	s.list(key)
	s.pinning.Lock()
	defer s.pinning.Unlock()
	_, made := s.pins[key]
	delete(s.pins, key)
	if err := s.disk.Remove(path); err != nil && !(made && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	return nil
}

// Forget is [Store.Unpin] on the store in dir, beside an agent that may be using
// it: that looks for the pin anew when it has fetched the file again.
func Forget(dir, key string) error {
	s, err := beside(dir)
	if err != nil {
		return fmt.Errorf("the store %s: %w", dir, err)
	}
	defer s.root.Close()
	return s.Unpin(key)
}

// maxQuarantine bounds the notes, in bytes, the older half of which is in another
// file: a hostile proxy writes no disk full.
const maxQuarantine = 1 << 20

// Quarantine notes that source sent wrong bytes for key. The bytes are gone.
func (s *Store) Quarantine(key, source, reason string) {
	s.mu.Lock()
	s.stats.Quarantined++
	closed := s.closed
	s.mu.Unlock()
	note, err := json.Marshal(map[string]string{"time": time.Now().UTC().Format(time.RFC3339), "file": key, "source": source, "reason": reason})
	if err != nil || closed || len(note) >= maxQuarantine/2 {
		return
	}
	s.noting.Lock()
	defer s.noting.Unlock()
	const file = "quarantine.log"
	if info, err := s.root.Stat(file); err == nil && info.Size()+int64(len(note)) >= maxQuarantine/2 {
		s.disk.Rename(file, file+".1")
	}
	f, err := s.disk.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return
	}
	f.Write(append(note, '\n'))
	f.Close()
}
