package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// The image format, as far as we write it.
//
// Source: OCI Image Format Specification 1.1, and the manifest.json that
// "docker save" writes and "docker load" reads.

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// path returns where the blob lies in an OCI layout.
func (d descriptor) path() string { return "blobs/" + strings.Replace(d.Digest, ":", "/", 1) }

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type imageConfig struct {
	Created      string        `json:"created"`
	Architecture string        `json:"architecture"`
	OS           string        `json:"os"`
	Config       processConfig `json:"config"`
	RootFS       rootFS        `json:"rootfs"`
	History      []history     `json:"history"`
}

type processConfig struct {
	Entrypoint []string          `json:"Entrypoint,omitempty"`
	Cmd        []string          `json:"Cmd,omitempty"`
	Env        []string          `json:"Env,omitempty"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

// A savedImage is one image of manifest.json.
type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// A blobStore holds the blobs of one archive by their digest.
type blobStore struct{ blobs map[string][]byte }

func newBlobStore() *blobStore { return &blobStore{blobs: map[string][]byte{}} }

func (s *blobStore) add(mediaType string, data []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digest(data), Size: len(data)}
	s.blobs[d.path()] = data
	return d
}

// archive returns the tar archive of all blobs with an entry point for each
// kind of reader: index.json and manifest.json. The index names one image for
// all platforms by its tag, which is what a registry is given.
func (s *blobStore) archive(date time.Time, tag string, images []descriptor, saved []savedImage) ([]byte, error) {
	all, err := json.Marshal(index{SchemaVersion: 2, MediaType: typeIndex, Manifests: images})
	if err != nil {
		return nil, err
	}
	image := s.add(typeIndex, all)
	image.Annotations = map[string]string{"org.opencontainers.image.ref.name": tag}
	top, err := json.Marshal(index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{image}})
	if err != nil {
		return nil, err
	}
	docker, err := json.Marshal(saved)
	if err != nil {
		return nil, err
	}
	entries := []entry{
		{name: "oci-layout", mode: 0o644, data: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{name: "index.json", mode: 0o644, data: top},
		{name: "manifest.json", mode: 0o644, data: docker},
	}
	for _, path := range slices.Sorted(maps.Keys(s.blobs)) {
		entries = append(entries, entry{name: path, mode: 0o644, data: s.blobs[path]})
	}
	return layer{entries: entries}.tar(date)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// writeEntry adds e to w, owned by root and dated date.
func writeEntry(w *tar.Writer, e entry, date time.Time) error {
	h := &tar.Header{Name: e.name, Mode: e.mode, ModTime: date, Format: tar.FormatUSTAR}
	switch {
	case e.folder:
		h.Typeflag, h.Name = tar.TypeDir, e.name+"/"
	case e.link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.link, 0o777
	default:
		h.Typeflag, h.Size = tar.TypeReg, int64(len(e.data))
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(e.data)
	return err
}

// tar returns l as a tar archive: entries in order of their names, each after
// the folders it lies in.
func (l layer) tar(date time.Time) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range l.withFolders() {
		if err := writeEntry(w, e, date); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buf.Bytes(), err
}
