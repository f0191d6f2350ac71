// Package modproxy speaks the GOPROXY protocol to one module proxy, or to one
// checksum database: which URL a file has, and what the answer to a request
// for it means.
//
// It asks as the go command asks and accepts what the go command accepts, but
// bounds every answer. It judges no content and knows no other proxy. No error
// of it shows a credential.
package modproxy

import (
	"fmt"

	"golang.org/x/mod/module"
)

// A Kind is one of the files that a module proxy has for a module.
type Kind string

const (
	Info Kind = "info" // JSON about a version
	Mod  Kind = "mod"  // the go.mod file
	Zip  Kind = "zip"  // the module's content
	List Kind = "list" // known versions, one a line; File.Version is ""

	// Latest is JSON about the version to use if there is no other reason for
	// one; File.Version is "".
	Latest Kind = "latest"
)

// A File names one file of a module proxy.
type File struct {
	Path    string // module path, unescaped
	Version string // unescaped; canonical, but for an .info, which may be asked for any revision
	Kind    Kind
}

// URLPath returns the path of the file below the proxy's URL, with upper-case
// letters escaped as "!x". The error says what is wrong with path or version.
//
// Source: "GOPROXY protocol" in the Go Modules Reference.
func (f File) URLPath() (string, error) {
	path, err := module.EscapePath(f.Path)
	if err != nil {
		return "", err
	}
	switch f.Kind {
	case List:
		return path + "/@v/list", nil
	case Latest:
		return path + "/@latest", nil
	}
	version, err := module.EscapeVersion(f.Version)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s/@v/%s.%s", path, version, f.Kind), nil
}

// SumDBPath returns where a proxy passes on the checksum database called name:
// what follows is the database's own path, such as "/supported".
func SumDBPath(name string) string { return "sumdb/" + name }

// LookupPath returns the path of a module version's record below the URL of a
// checksum database.
//
// Source: "Checksum database" in the Go Modules Reference.
func LookupPath(path, version string) (string, error) {
	p, err := module.EscapePath(path)
	if err != nil {
		return "", err
	}
	v, err := module.EscapeVersion(version)
	if err != nil {
		return "", err
	}
	return "lookup/" + p + "@" + v, nil
}
