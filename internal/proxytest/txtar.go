package proxytest

import "strings"

// A txtarFile is one file of a txtar archive.
type txtarFile struct {
	name string
	data []byte
}

// parseTxtar reads the txtar format ("-- NAME --" lines, text before the first
// one is a comment).
func parseTxtar(archive []byte) (files []txtarFile) {
	for line := range strings.Lines(string(archive)) {
		marker := strings.TrimRight(line, "\r\n")
		name, isMarker := strings.CutPrefix(marker, "-- ")
		if name, ok := strings.CutSuffix(name, " --"); ok && isMarker {
			files = append(files, txtarFile{name: strings.TrimSpace(name)})
		} else if n := len(files); n > 0 {
			files[n-1].data = append(files[n-1].data, line...)
		}
	}
	return files
}
