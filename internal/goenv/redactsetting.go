package goenv

import "strings"

// RedactSetting returns the value of a variable in a form fit for build logs.
// name tells where one URL of the value ends and the next begins: of a name
// that it does not know, "" among them, the whole value counts as one URL as
// soon as it looks like one. Directories are shown as they are.
func RedactSetting(name, value string) string {
	switch name {
	case "GOPROXY":
		return RedactChain(value)
	case "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE":
		items := joinLogins(strings.Split(value, ","))
		for i, item := range items {
			items[i] = shownPattern(item)
		}
		return strings.Join(items, ",")
	case "GOSUMDB":
		return RedactSumDB(value)
	case "GOFLAGS":
		return redactWords(value, " ")
	case "GOAUTH":
		return redactWords(value, " ;")
	case "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC", "GOENV", "GOROOT", "GOPATH", "GOBIN", "GOMODCACHE", "GOWORK":
		return value
	}
	return shown(value)
}

// shown redacts what may hold a login or a query: an "@" may end a password
// without any scheme before it.
func shown(text string) string {
	if strings.Contains(text, "@") || strings.Contains(text, "://") {
		return Redact(text)
	}
	return text
}

// redactWords redacts each word by itself. The separators stay.
func redactWords(value, separators string) string {
	words := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(separators, r) })
	if len(joinLogins(words)) < len(words) {
		return shown(value)
	}
	var b strings.Builder
	for value != "" {
		i := strings.IndexAny(value, separators)
		if i < 0 {
			i = len(value)
		}
		b.WriteString(shown(value[:i]))
		if i < len(value) {
			b.WriteByte(value[i])
			i++
		}
		value = value[i:]
	}
	return b.String()
}

// RedactChain removes credentials from a GOPROXY list. One without any stays as
// it is.
func RedactChain(list string) string {
	if redactWords(list, ",|") == list {
		return list
	}
	c, err := ParseWhole(list)
	if err != nil {
		return Redact(list)
	}
	for i, e := range c {
		if e.Proxy() {
			c[i].Value = Redact(e.Value)
		}
	}
	return c.String()
}

// cutLogin reports whether a separator of a GOPROXY list may stand within user
// or password of a URL: an entry behind the first has an "@", and no scheme
// before it. Then the entries before it may be pieces of the password.
func cutLogin(list string) bool {
	i := strings.IndexAny(list, ",|")
	if i < 0 {
		return false
	}
	for _, entry := range strings.FieldsFunc(list[i:], func(r rune) bool { return r == ',' || r == '|' }) {
		if lastUserinfoAt(entry) >= 0 && !strings.Contains(entry, "://") {
			return true
		}
	}
	return false
}

// RedactPatterns removes credentials from a list of module patterns that will
// be used: each item stays one, whatever the others are. Who writes a URL there
// has a pattern that matches nothing, and maybe a token in it.
func RedactPatterns(list string) string {
	items := strings.Split(list, ",")
	for i, item := range items {
		items[i] = shown(item)
	}
	return strings.Join(items, ",")
}

// shownPattern redacts a module pattern so that one sees why it matches nothing.
func shownPattern(pattern string) string {
	out := shown(pattern)
	if strings.Contains(pattern, "@") && !strings.Contains(out, "@") && !strings.Contains(out, "://") {
		return hidden + "@" + out
	}
	return out
}

// RedactSumDB removes credentials from a GOSUMDB. The go command takes them from
// netrc, too.
func RedactSumDB(value string) string {
	db, err := ParseSumDB(value)
	switch {
	case err != nil:
		return shown(value)
	case db.URL == "" || Redact(db.URL) == db.URL:
		return value
	}
	db.URL = Redact(db.URL)
	return db.String()
}
