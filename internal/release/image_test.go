package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeRelease returns a release whose binaries and image parts are short texts.
func fakeRelease(t *testing.T) *release {
	t.Helper()
	r := &release{
		out: t.TempDir(), parts: t.TempDir(), version: "v1.2.3",
		commit: strings.Repeat("c", 40), date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	for _, t := range targets {
		os.WriteFile(filepath.Join(r.out, t.file()), []byte("program "+t.file()), 0o755)
	}
	for name, text := range map[string]string{
		"busybox-amd64": "busybox amd64", "busybox-arm64": "busybox arm64", "busybox-copyright": "GPL-2",
		"busybox-applets": "busybox\ncat\nsh\n", "ca-certificates.crt": "certificates",
	} {
		os.WriteFile(filepath.Join(r.parts, name), []byte(text), 0o600)
	}
	return r
}

// untar returns the headers and contents of an archive by name.
func untar(t *testing.T, data []byte) (headers map[string]*tar.Header, contents map[string][]byte, names []string) {
	t.Helper()
	headers, contents = map[string]*tar.Header{}, map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return headers, contents, names
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(h.Name, "/")
		headers[name], contents[name], names = h, data, append(names, name)
	}
}

func decode[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}

func archive(t *testing.T, r *release, f flavour) []byte {
	t.Helper()
	if err := r.writeImage(f); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(r.out, f.file()))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Each reader finds its way: registries from index.json through an image for
// both platforms, "docker load" from manifest.json; and every digest is true.
func TestArchiveIsBothOCIAndDocker(t *testing.T) {
	r := fakeRelease(t)
	_, files, _ := untar(t, archive(t, r, plain))
	blob := func(d descriptor) []byte {
		data, ok := files[d.path()]
		if !ok || digest(data) != d.Digest || len(data) != d.Size {
			t.Fatalf("blob %s is missing or not what its descriptor says", d.Digest)
		}
		return data
	}
	if got := string(files["oci-layout"]); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout = %s", got)
	}
	top := decode[index](t, files["index.json"])
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "1.2.3" {
		t.Fatalf("index.json = %+v; want one image called 1.2.3", top)
	}
	saved := decode[[]savedImage](t, files["manifest.json"])
	wantTags := [][]string{{"goproxy-setup:1.2.3-amd64", "goproxy-setup:1.2.3"}, {"goproxy-setup:1.2.3-arm64"}}
	for i, d := range decode[index](t, blob(top.Manifests[0])).Manifests {
		m := decode[manifest](t, blob(d))
		config := decode[imageConfig](t, blob(m.Config))
		if config.Architecture != d.Platform.Architecture || config.Config.Entrypoint[0] != "/goproxy-setup" {
			t.Errorf("platform %+v has the config %+v", d.Platform, config)
		}
		if saved[i].Config != m.Config.path() || !slices.Equal(saved[i].RepoTags, wantTags[i]) {
			t.Errorf("manifest.json says %+v; want config %s, tags %v", saved[i], m.Config.path(), wantTags[i])
		}
		for j, l := range m.Layers {
			z, err := gzip.NewReader(bytes.NewReader(blob(l)))
			if err != nil {
				t.Fatal(err)
			}
			unpacked, err := io.ReadAll(z)
			if err != nil || digest(unpacked) != config.RootFS.DiffIDs[j] || saved[i].Layers[j] != l.path() {
				t.Errorf("layer %d: %v; its digest must be in the config and its path in manifest.json", j, err)
			}
			_, contents, _ := untar(t, unpacked)
			if got, ok := contents["goproxy-setup"]; ok && string(got) != "program goproxy-setup-linux-"+config.Architecture {
				t.Errorf("the image for %s holds %q", config.Architecture, got)
			}
		}
	}
}

// Nothing of the machine shows: neither who wrote the files nor when.
func TestArchiveIsReproducible(t *testing.T) {
	for _, f := range []flavour{plain, shell} {
		first := archive(t, fakeRelease(t), f)
		if second := archive(t, fakeRelease(t), f); !bytes.Equal(first, second) {
			t.Errorf("%s: two runs wrote different bytes", f.file())
		}
	}
}

func TestShellBase(t *testing.T) {
	r := fakeRelease(t)
	entries, err := shellBase(r.parts, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	data, err := layer{entries: entries}.tar(r.date)
	if err != nil {
		t.Fatal(err)
	}
	headers, contents, names := untar(t, data)
	for _, name := range names {
		h := headers[name]
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(r.date) {
			t.Errorf("%s belongs to %d:%d %q of %v; want root at %v", name, h.Uid, h.Gid, h.Uname, h.ModTime, r.date)
		}
		if dir := filepath.Dir(name); dir != "." && !slices.Contains(names[:slices.Index(names, name)], dir) {
			t.Errorf("%s comes before its folder", name)
		}
	}
	if string(contents["bin/busybox"]) != "busybox arm64" || headers["bin/busybox"].Mode != 0o755 {
		t.Errorf("bin/busybox = %q, mode %o", contents["bin/busybox"], headers["bin/busybox"].Mode)
	}
	if headers["bin/sh"].Linkname != "busybox" || headers["tmp"].Mode != 0o1777 {
		t.Errorf("bin/sh leads to %q, tmp has mode %o", headers["bin/sh"].Linkname, headers["tmp"].Mode)
	}
}

// Whatever is released gets tags that move, so only a whole version may be.
func TestVersions(t *testing.T) {
	for _, bad := range []string{"1.2.3", "v1", "v1.2", "v1.2.3-rc.1", "v1.2.3+linux", "v01.2.3", "v1.2.3\n"} {
		r := &release{version: bad, out: filepath.Join(t.TempDir(), "dist")}
		if err := r.run(t.Context(), false); err == nil || !strings.Contains(err.Error(), "is no release such as") {
			t.Errorf("version %q: %v", bad, err)
		}
	}
}

func TestChecksumsNameEveryFile(t *testing.T) {
	r := fakeRelease(t)
	archive(t, r, plain)
	archive(t, r, shell)
	if err := r.writeContext(); err != nil {
		t.Fatal(err)
	}
	if err := r.writeChecksums(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(r.out, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(data)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		sums[name] = "sha256:" + sum
	}
	for _, name := range r.files() {
		content, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil || sums[name] != digest(content) {
			t.Errorf("SHA256SUMS has %q for %s: %v", sums[name], name, err)
		}
	}
	if len(sums) != 11 {
		t.Errorf("SHA256SUMS names %v; want 11 files", slices.Sorted(maps.Keys(sums)))
	}
}
