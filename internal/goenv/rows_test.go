package goenv_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
)

// grammar holds values of GOPROXY, with the placeholders of lab.expand, for
// each corner of their grammar.
var grammar = slices.Concat(spellings, listings, unusable, refused)

// One proxy, spelt in many ways.
var spellings = []string{
	"{a}", "{a}/", "{a}//", "{A}", "{A}/", "https://{A}", "HTTPS://{A}", "Https://{A}/,direct",
	"https://ci:secret@{A}", "https://token@{A}", "https://:secret@{A}", "https://@{A}", "ci:secret@{A}", "https://ci:s%2Cc%7Ct@{A}",
	"{a}?tok=1", "{a}/?tok=1&x=y", "{A}?", "{a}#frag", "{a}/#", "{a}/ok%3Dx", "{A}/ok=x/", "{a}/?a=%zz",
	"{f}", "{f}/", "{f}//,{a}", "file:///,{a}", "file://,{a}", "file:///nowhere%20at%20all|{a}",
}

// Separators, blanks and keywords.
var listings = []string{
	" {a} ", "\t{a}\n", "\u00a0{a}\u2003", "{a},", "{a}|", ",{a}", "|{a}", "||{a},,", " , {a} , ",
	"{a},,{b}", "{a},|{b}", "{a}|,{b}", "{a}||{b}", "{a} , {b}", "{a} |\t{b} | direct", "{a}, ,{b}", "{a}| ,{b}",
	"off", " off ", "direct", "direct ", ",direct,", "off,{a}", "off|{a}", "direct,{a}", "direct|{a}", "off,direct", "direct,off",
	"{a},direct,{b}", "{a}|direct|{b}", "{a}|off|{b}", "{a},off,{b}", "{a},direct|junk junk", "{a},off,::", "{a}|direct,none",
	"{a},{a}", "{a}|{a}", "{a}|{b}|{a}", "{a}|{b}|{a}/", "{a},{b},{a},{b}", "{a}|{A}", "{a}|{a},direct",
	"{f},{a}", "{f}|{a},direct", "{a},{f}", "{a}|{f},{b}", "{f},off", "{f},direct", "{f}|{f}|{a}",
	"{x}", "{x},{a}", "{x}|{a}", "{x}|direct", "{x},direct", "{x}|off", "{x},off", "{x}|{f}", "{f}|{x}", "{x}|{x}|{a}", "{a}|{x}|off",
}

// What go accepts and cannot use. The role x never answers.
var unusable = []string{
	"http://ci:secret@{host}/as=a", "http://ci@{host}/as=a|{b}", "http://@{host}/as=a,{b}", "{a}|http://ci:secret@{host}/as=b|{c}",
	"https:///as=a", "https:///as=a|{b}", "http:/as=a,{b}", "http:/as=a|{b},direct", "{a}|https:///as=b|off", "https:as=a:/x|{b}",
	"{host}/as=x|{b}", "https://{host}/as=x,{b}", "http://{HOST}/as=x|{b}", "http://{HOST}/as=x,direct",
	"http://127.0.0.1:99999/as=x|{a}", ":80/as=x|{a}", "http://[::1%25none]:1/as=x|{a}",
	"'{HOST}/as=x'|{b}", `"{HOST}/as=x",{b}`, "a.example.com;b.example.com/as=x|{a}", "http://a.example.com;b.example.com/as=x|{a}", "./as=x|{a}", "../as=x,{a}",
	"https://ci:1/secret@{HOST}/as=x|{a}", "https://token/as=x,{a}@{host}/as=b", "http://a_b.example.com/as=x|{a}",
}

// What go refuses, and with it the whole list.
var refused = []string{
	",", "|", " ", " , ", ",|,", "\t", "none", "noproxy", "OFF", "Off", "Direct", "DIRECT", "proxy", "localhost", "-",
	"{a},none", "none,{a}", "{a}|OFF|{b}", "{a},Direct", "{a}|noproxy,direct", "{x}|{a},proxy",
	"ftp://{host}/as=a", "ftp://{host}/as=a|{b}", "{a}|git+ssh://git@{host}/as=b", "c:/as=a", `C:\proxy`, `\\host\share.x`, "user:/x@{host}",
	"/srv/proxy", "{a},/srv/proxy", "//{host}/as=a", "file://{host}/as=a", "file:/srv", "file:srv", "file://ci@/srv", "file:///srv?x=1", "file:///srv#x",
	"http://[::1", "http://[::1]x/as=a", "http://[127.0.0.1]/as=a", "::1", "::", ":/as=a", "http://::1/as=a", "http://127.0.0.1:8o/as=a",
	`"{a}"`, "'{a}'", "<{a}>", "http://127.0.0.1:1 {a}", "http://127.0.0.1:1;{a}", "http://a b.example.com/as=a", "{a}\x7f", "{a}%zz", "{a}%",
	"https://ci:se,cret@{A}", "https://ci:se|cret@{A}", "https://ci:se/cret@{A}", "https://ci:se?cret@{A}", "https://ci:se#cret@{A}", "https://ci:se%zzcret@{A}", "https://ci:se cret@{A}", "https://ci:se\\cret@{A}",
}

// tails end a chain.
var tails = []string{"", ",direct", "|direct", ",off", "|off"}

// allRows returns every row: the grammar, and chains of one to four proxies
// with all separators and tails, each spelt in two ways.
func allRows() (rows []row) {
	add := func(goproxy string) {
		r := row{goproxy: goproxy, seed: uint64(len(rows)), noProxy: len(rows)%3 == 2}
		if len(rows)%2 == 1 {
			r.vouch = goenv.Database
		}
		rows = append(rows, r)
	}
	for _, g := range grammar {
		add(g)
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for n := 1; n <= len(roles); n++ {
		for seps := range 1 << (n - 1) {
			for _, tail := range tails {
				for way := range 2 {
					add(chainOf(rnd, n, seps, way > 0) + tail)
				}
			}
		}
	}
	return rows
}

// chainOf writes a chain of n proxies; bit i of seps makes the i-th separator
// a bar.
func chainOf(rnd *rand.Rand, n, seps int, varied bool) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(",|"[seps>>(i-1)&1])
		}
		lower, upper := fmt.Sprintf("{%c}", roles[i]), strings.ToUpper(fmt.Sprintf("{%c}", roles[i]))
		ways := []string{lower}
		if varied {
			ways = []string{lower, upper, "https://" + upper, " " + lower + "/ ", upper + "?tok=1", "https://ci:secret@" + upper, "{f}", "{x}",
				fmt.Sprintf("http://ci:secret@{host}/as=%c", roles[i])}
		}
		b.WriteString(ways[rnd.IntN(len(ways))])
	}
	return b.String()
}
