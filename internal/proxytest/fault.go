package proxytest

import (
	"fmt"
	"maps"
	pathpkg "path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A rule is one fault and the kind of files that it is for.
type rule struct {
	kind  string // "" is all
	fault string // a key of faults
	arg   string // after "="
	after int    // requests that it spares before it begins
	text  string // as it was written
}

// kinds is every kind there is.
var kinds = []string{
	"list", "latest", "info", "mod", "zip", "sumdb", "supported", "lookup", "tile", // by file
	"big-zip", "upper", "absent", "public", "example", "toolchain", // by module
	"first", // by time
}

var (
	statusCode   = regexp.MustCompile(`^(204|304|[45][0-9][0-9])$`)
	redirectCode = regexp.MustCompile(`^(|30[12378])$`)
)

// parseFault reads one path segment: [KIND:]FAULT[=ARG][@AFTER], joined by "+".
func parseFault(segment string) (rules []rule, err error) {
	for part := range strings.SplitSeq(segment, "+") {
		text := part
		var after int
		if i := strings.LastIndexByte(part, '@'); i >= 0 {
			if after, err = strconv.Atoi(part[i+1:]); err != nil || after < 0 {
				return nil, fmt.Errorf("proxytest: %q: no number behind @", segment)
			}
			part = part[:i]
		}
		kind, fault, ok := strings.Cut(part, ":")
		if !ok {
			kind, fault = "", part
		} else if !slices.Contains(kinds, kind) {
			return nil, fmt.Errorf("proxytest: %q: unknown kind %q; there are %q", segment, kind, kinds)
		}
		r := rule{kind: kind, after: after, text: text}
		r.fault, r.arg, _ = strings.Cut(fault, "=")
		if statusCode.MatchString(r.fault) {
			r.fault, r.arg = "status", fault
		}
		if _, ok := faults[r.fault]; !ok {
			return nil, fmt.Errorf("proxytest: %q: unknown fault %q; there are %q", segment, r.fault, slices.Sorted(maps.Keys(faults)))
		}
		if !r.validArg() {
			return nil, fmt.Errorf("proxytest: %q: fault %q can't have the argument %q", segment, r.fault, r.arg)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func (r rule) validArg() bool {
	switch {
	case r.fault == "slow":
		_, err := time.ParseDuration(r.arg)
		return err == nil
	case r.fault == "flaky":
		percent, err := strconv.Atoi(r.arg)
		return err == nil && percent >= 0 && percent <= 100
	case r.fault == "ok":
		return true
	case r.fault == "as":
		return r.arg != ""
	case r.fault == "status":
		return statusCode.MatchString(r.arg) || strings.HasPrefix(r.arg, "429=") || strings.HasPrefix(r.arg, "503=")
	case strings.Contains(r.fault, "redirect"):
		return redirectCode.MatchString(r.arg)
	}
	return r.arg == ""
}

// splitFaults cuts the faults off the front of a URL path. Where they end
// stands a module path, whose first element has a dot, or a word of the
// checksum database; anything else is a misspelt fault, and an error.
func splitFaults(urlPath string) (prefix, path string, rules []rule, err error) {
	path = urlPath
	for path != "" {
		segment, _, _ := strings.Cut(path[1:], "/")
		r, err := parseFault(segment)
		if err != nil {
			word, _, _ := strings.Cut(segment, "=")
			if strings.Contains(word, ".") && !strings.Contains(word, ":") || slices.Contains(notFaults, segment) {
				break
			}
			return prefix, path, nil, fmt.Errorf("%w in %s", err, urlPath)
		}
		rules = append(rules, r...)
		prefix += "/" + segment
		path = path[1+len(segment):]
	}
	if path == "" {
		path = "/"
	}
	return prefix, path, rules, nil
}

var notFaults = []string{"", "sumdb", "supported", "lookup", "latest", "tile", "portal"}

// kinds returns every kind that the request's file is of.
func (x *exchange) kinds() []string {
	p := x.path
	var k []string
	add := func(kind string, ok bool) {
		if ok {
			k = append(k, kind)
		}
	}
	if db, ok := strings.CutPrefix(p, "/sumdb/"); ok {
		_, file, _ := strings.Cut(db, "/")
		add("sumdb", true)
		add("supported", file == "supported")
		add("lookup", strings.HasPrefix(file, "lookup/"))
		add("tile", strings.HasPrefix(file, "tile/"))
	} else {
		mod, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/@")
		ext := strings.TrimPrefix(pathpkg.Ext(p), ".")
		add("list", strings.HasSuffix(p, "/@v/list"))
		add("latest", strings.HasSuffix(p, "/@latest"))
		add(ext, ext == "info" || ext == "mod" || ext == "zip")
		add("toolchain", mod == "golang.org/toolchain")
		add("public", x.s.catalog.public[mod])
		add("example", !x.s.catalog.public[mod])
	}
	add("upper", strings.Contains(p, "!"))
	add("absent", x.answer.Code == 404)
	add("big-zip", slices.Contains(k, "zip") && x.answer.Body.Len() > 1<<20)
	add("first", x.nth == 1)
	return k
}

// caseRules returns the rules that a module path holds for the role: in
// "example.com/case/a_502/b_zip_html", 502 for role a and zip:html for role b.
func caseRules(path, role string) (rules []rule, err error) {
	for element := range strings.SplitSeq(path, "/") {
		f, ok := strings.CutPrefix(element, role+"_")
		if !ok {
			continue
		}
		r, err := parseFault(strings.Replace(f, "_", ":", 1))
		if err != nil {
			return nil, fmt.Errorf("%w in %s", err, path)
		}
		rules = append(rules, r...)
	}
	return rules, nil
}
