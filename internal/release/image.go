package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A flavour is one of the two images. Their content is that of the Dockerfiles
// in ci-templates/image; a test compares them.
type flavour struct {
	suffix string // of the image's name and file
	title  string
	config processConfig
	// layers returns what the image is made of for an architecture; program is
	// the binary for it.
	layers func(parts, program, arch string) ([]layer, error)
}

var (
	plain = flavour{
		title:  "goproxy-setup",
		config: processConfig{Entrypoint: []string{"/goproxy-setup"}},
		layers: plainLayers,
	}
	shell = flavour{
		suffix: "-shell",
		title:  "goproxy-setup with a shell",
		config: processConfig{Cmd: []string{"/bin/sh"}, Env: []string{"PATH=/usr/bin:/bin"}},
		layers: shellLayers,
	}
)

// architectures are those of the images; the first is the one that "docker
// load" calls by the bare version.
var architectures = []string{"amd64", "arm64"}

// file returns the name of the archive that holds the image.
func (f flavour) file() string { return "goproxy-setup-image" + f.suffix + ".tar" }

// What the Dockerfiles take besides the binary; released with it, so that anybody
// can rebuild the images.
const caFile = "ca-certificates.crt"

func busyboxFile(arch string) string { return "busybox-" + arch + ".tar" }

func plainLayers(parts, program, _ string) ([]layer, error) {
	ca, err := certificateLayer(parts)
	if err != nil {
		return nil, err
	}
	binary, err := read(program, "goproxy-setup", 0o755)
	return []layer{ca, {by: "COPY goproxy-setup", entries: []entry{binary}}}, err
}

func shellLayers(parts, program, arch string) ([]layer, error) {
	base, err := shellBase(parts, arch)
	if err != nil {
		return nil, err
	}
	ca, err := certificateLayer(parts)
	if err != nil {
		return nil, err
	}
	binary, err := read(program, "usr/bin/goproxy-setup", 0o755)
	return []layer{{by: "ADD " + busyboxFile(arch), entries: base}, ca, {by: "COPY goproxy-setup", entries: []entry{binary}}}, err
}

func certificateLayer(parts string) (layer, error) {
	ca, err := read(filepath.Join(parts, caFile), "etc/ssl/certs/"+caFile, 0o644)
	return layer{by: "COPY " + caFile, entries: []entry{ca}}, err
}

// shellBase returns what a CI system expects to find in a job's image: a shell
// with its tools, a place for temporary files and names for users.
func shellBase(parts, arch string) ([]entry, error) {
	busybox, err := read(filepath.Join(parts, "busybox-"+arch), "bin/busybox", 0o755)
	if err != nil {
		return nil, err
	}
	copyright, err := read(filepath.Join(parts, "busybox-copyright"), "usr/share/doc/busybox-static/copyright", 0o644)
	if err != nil {
		return nil, err
	}
	applets, err := os.ReadFile(filepath.Join(parts, "busybox-applets"))
	if err != nil {
		return nil, err
	}
	entries := []entry{
		busybox, copyright,
		{name: "tmp", mode: 0o1777, folder: true},
		{name: "root", mode: 0o700, folder: true},
		{name: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65532:nonroot:/tmp:/bin/sh\n")},
		{name: "etc/group", mode: 0o644, data: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{name: "usr/bin/env", link: "/bin/env"},
	}
	for applet := range strings.FieldsSeq(string(applets)) {
		if applet != "busybox" {
			entries = append(entries, entry{name: "bin/" + applet, link: "busybox"})
		}
	}
	return entries, nil
}

// writeImage writes one flavour, for both architectures, as one archive that is
// an OCI layout and a "docker save" archive at once.
func (r *release) writeImage(f flavour) error {
	store := newBlobStore()
	var images []descriptor
	var saved []savedImage
	tag := strings.TrimPrefix(r.version, "v")
	for _, arch := range architectures {
		layers, err := f.layers(r.parts, filepath.Join(r.out, target{"linux", arch}.file()), arch)
		if err != nil {
			return err
		}
		image, docker, err := r.imageFor(store, f, arch, layers)
		if err != nil {
			return err
		}
		docker.RepoTags = []string{"goproxy-setup:" + tag + f.suffix + "-" + arch}
		if arch == architectures[0] {
			docker.RepoTags = append(docker.RepoTags, "goproxy-setup:"+tag+f.suffix)
		}
		images, saved = append(images, image), append(saved, docker)
	}
	archive, err := store.archive(r.date, tag+f.suffix, images, saved)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, f.file()), archive, 0o644)
}

// imageFor puts one architecture's image into the store.
func (r *release) imageFor(store *blobStore, f flavour, arch string, layers []layer) (descriptor, savedImage, error) {
	config := imageConfig{
		Created: r.date.Format(time.RFC3339), Architecture: arch, OS: "linux", Config: f.config,
		RootFS: rootFS{Type: "layers"},
	}
	config.Config.Labels = map[string]string{
		"org.opencontainers.image.title":    f.title,
		"org.opencontainers.image.version":  r.version,
		"org.opencontainers.image.revision": r.commit,
	}
	m := manifest{SchemaVersion: 2, MediaType: typeManifest}
	var saved savedImage
	for _, l := range layers {
		packed, diffID, err := l.pack(r.date)
		if err != nil {
			return descriptor{}, savedImage{}, err
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID)
		config.History = append(config.History, history{Created: config.Created, CreatedBy: l.by})
		blob := store.add(typeLayer, packed)
		m.Layers = append(m.Layers, blob)
		saved.Layers = append(saved.Layers, blob.path())
	}
	configJSON, err := json.Marshal(config)
	if err != nil {
		return descriptor{}, savedImage{}, err
	}
	m.Config = store.add(typeConfig, configJSON)
	saved.Config = m.Config.path()
	manifestJSON, err := json.Marshal(m)
	if err != nil {
		return descriptor{}, savedImage{}, err
	}
	image := store.add(typeManifest, manifestJSON)
	image.Platform = &platform{Architecture: arch, OS: "linux"}
	return image, saved, nil
}

// writeContext leaves what the Dockerfiles of ci-templates/image need beside the
// binaries, so that they build from the folder alone, without a network.
func (r *release) writeContext() error {
	ca, err := os.ReadFile(filepath.Join(r.parts, caFile))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.out, caFile), ca, 0o644); err != nil {
		return err
	}
	for _, arch := range architectures {
		entries, err := shellBase(r.parts, arch)
		if err != nil {
			return err
		}
		base, err := layer{entries: entries}.tar(r.date)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.out, busyboxFile(arch)), base, 0o644); err != nil {
			return err
		}
	}
	return nil
}
