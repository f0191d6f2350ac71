package goenv

import "strings"

// RedactSetting returns the value of a variable in a form fit for build logs.
// Values that it knows nothing of are shown as they are, unless an "@" in them
// may end a password.
func RedactSetting(name, value string) string {
	switch name {
	case "GOPROXY":
		return RedactChain(value)
	case "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE":
		return RedactPatterns(value)
	case "GOSUMDB":
		return RedactSumDB(value)
	case "GOVCS", "GOTOOLCHAIN", "GO111MODULE", "GODEBUG", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC":
		return value
	}
	words := strings.Split(value, " ")
	for i, word := range words {
		if strings.Contains(word, "@") || strings.Contains(word, "://") {
			words[i] = Redact(word)
		}
	}
	return strings.Join(words, " ")
}

// RedactChain removes credentials from a GOPROXY list.
func RedactChain(list string) string {
	c, err := ParseChain(list)
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

// RedactPatterns removes credentials from a list of module patterns. Who writes
// a URL there has a pattern that matches nothing, and maybe a token in it.
func RedactPatterns(list string) string {
	items := strings.Split(list, ",")
	for i, item := range items {
		if strings.Contains(item, "@") {
			items[i] = Redact(strings.TrimSpace(item))
		}
	}
	return strings.Join(items, ",")
}

// RedactSumDB removes credentials from a GOSUMDB. The go command takes them from
// netrc, too.
func RedactSumDB(value string) string {
	db, err := ParseSumDB(value)
	switch {
	case err != nil && strings.Contains(value, "@"):
		return Redact(value)
	case err != nil || db.URL == "" || Redact(db.URL) == db.URL:
		return value
	}
	db.URL = Redact(db.URL)
	return db.String()
}
