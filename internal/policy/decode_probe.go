package policy

import (
	"encoding/base64"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"gopkg.in/yaml.v3"
)

// Bounds of "probe".
const (
	minTimeout = 100 * time.Millisecond
	maxTimeout = time.Minute
	minSlow    = time.Millisecond
)

// The two named canaries.
const (
	canaryGoSum   = "go.sum"
	canaryBuiltIn = "built-in"
)

// probeFields are the keys of "probe".
var probeFields = fields[block]{
	"timeout": func(d *decoder, n *yaml.Node, b *block) { b.timeout = d.duration(n, "timeout", minTimeout, maxTimeout) },
	"slow":    func(d *decoder, n *yaml.Node, b *block) { b.slow = d.duration(n, "slow", minSlow, maxTimeout) },
	"keep":    func(d *decoder, n *yaml.Node, b *block) { b.keep = d.number(n, "keep", 1, maxChain) },
	"canary":  func(d *decoder, n *yaml.Node, b *block) { b.canary = d.canary(n) },
}

// duration reads a duration such as "5s" between low and high.
func (d *decoder) duration(n *yaml.Node, key string, low, high time.Duration) value[time.Duration] {
	if t := d.follow(n); t.ShortTag() == "!!int" || t.ShortTag() == "!!float" {
		d.fail(idType, n, "write "+clip(t.Value)+"s", "%s needs a unit", key)
		return value[time.Duration]{}
	}
	v, ok := d.text(n, key)
	if !ok {
		return value[time.Duration]{}
	}
	length, err := time.ParseDuration(v.v)
	switch {
	case err != nil:
		d.fail(idValue, n, "write a number and a unit: 5s, 800ms", "%s: %q is not a duration", key, clip(v.v))
	case length < low || length > high:
		d.fail(idValue, n, "", "%s must be from %v to %.0fs, not %v", key, low, high.Seconds(), length)
	default:
		return value[time.Duration]{length, v.place, true}
	}
	return value[time.Duration]{}
}

// canary reads what the probe shall ask for.
func (d *decoder) canary(n *yaml.Node) value[string] {
	v, ok := d.text(n, "canary")
	if !ok || v.v == canaryGoSum || v.v == canaryBuiltIn {
		return v
	}
	if !validCanary(v.v) {
		d.fail(idValue, n, `write go.sum, built-in, or "MODULE@VERSION h1:HASH"`, "canary cannot be %q", clip(v.v))
		return value[string]{}
	}
	return v
}

// validCanary reports whether s is "MODULE@VERSION h1:HASH".
func validCanary(s string) bool {
	mod, hash, _ := strings.Cut(s, " ")
	path, version, _ := strings.Cut(mod, "@")
	sum, ok := strings.CutPrefix(hash, "h1:")
	raw, err := base64.StdEncoding.DecodeString(sum)
	return ok && err == nil && len(raw) == 32 && module.Check(path, version) == nil
}
