package sumdb

import (
	"errors"
	"fmt"
	"io/fs"
)

// A Class says what kind of failure an [Error] is.
type Class string

const (
	NotAPath Class = "not a path" // no database has such a file: 404
	Absent   Class = "absent"     // every route says that the database does not have it: 404
	Outage   Class = "outage"     // no route gave an answer that is true, the disk failed, or the caller left
	Security Class = "security"   // the database contradicts itself; Err is a [*Fork]
)

// An Error says why a question has no answer.
type Error struct {
	Database string
	Path     string // of the file that was asked for, below the database's URL
	Class    Class
	Err      error
}

// Error returns one line, but for what a [Fetch] said in more.
func (e *Error) Error() string {
	if e.Class == Security {
		return e.Err.Error() // names the database, and is about all of it
	}
	return fmt.Sprintf("checksum database %s: %.200q: %v", e.Database, e.Path, e.Err)
}

// Is matches [fs.ErrNotExist] with Absent alone.
func (e *Error) Is(target error) bool { return target == fs.ErrNotExist && e.Class == Absent }

// Unwrap returns the cause, but hides one that would make an outage look like
// an absence: behind it may be a tile that the routes do not have.
func (e *Error) Unwrap() error {
	if e.Class != Absent && errors.Is(e.Err, fs.ErrNotExist) {
		return nil
	}
	return e.Err
}

func (d *Database) fail(path string, c Class, err error) *Error {
	return &Error{d.name, path, c, err}
}

// failed returns err, met while answering path, as an [*Error].
func (d *Database) failed(path string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if f, ok := errors.AsType[*Fork](err); ok {
		return d.fail(path, Security, f)
	}
	return d.fail(path, Outage, err)
}

// notFetched returns err, with which a [Fetch] of what may not exist has failed.
func (d *Database) notFetched(path string, err error) *Error {
	if errors.Is(err, fs.ErrNotExist) {
		return d.fail(path, Absent, err)
	}
	return d.fail(path, Outage, err)
}

// A notKeptError is that of the disk: the question has an answer, but it can't
// be shown to others.
type notKeptError struct{ err error }

func (e *notKeptError) Error() string { return "cannot keep what was fetched: " + e.err.Error() }
func (e *notKeptError) Unwrap() error { return e.err }

func isNotKept(err error) bool {
	_, ok := errors.AsType[*notKeptError](err)
	return ok
}
