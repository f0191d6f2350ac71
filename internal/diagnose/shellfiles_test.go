package diagnose

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseShell(t *testing.T) {
	for _, tt := range []struct {
		file, line string
		want       []Assignment
	}{
		{"a.sh", `export GOPROXY=https://a.example.com`, []Assignment{{Name: "GOPROXY", Value: "https://a.example.com"}}},
		{"a.sh", `  export GOPROXY="https://a.example.com|direct" GOSUMDB='off' # both`, []Assignment{{Name: "GOPROXY", Value: "https://a.example.com|direct"}, {Name: "GOSUMDB", Value: "off"}}},
		{"a.sh", `GOPROXY=off; export GOPROXY`, []Assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.sh", `declare -x GOPROXY=off`, []Assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.sh", `export GOPROXY=https://a.example.com|direct`, []Assignment{{Name: "GOPROXY", Value: "https://a.example.com", Cut: true}}},
		{"a.sh", `export GOPROXY=$MIRROR,direct`, []Assignment{{Name: "GOPROXY", Value: "$MIRROR,direct", Computed: true}}},
		{"a.sh", "export GOPROXY=`cat file`", []Assignment{{Name: "GOPROXY", Value: "`cat file`", Computed: true}}},
		{"a.sh", `export GOPROXY="$(mirror | head -1)" GOSUMDB=off`, []Assignment{{Name: "GOPROXY", Value: "$(mirror | head -1)", Computed: true}, {Name: "GOSUMDB", Value: "off"}}},
		{"a.sh", `GOPROXY=off go build ./...`, nil},
		{"a.sh", `# export GOPROXY=off`, nil},
		{"a.sh", `export EDITOR=vi`, nil},
		{"a.sh", `export GOPRIVATE=a\ b`, []Assignment{{Name: "GOPRIVATE", Value: "a b"}}},
		{"a.csh", `setenv GOPROXY off`, []Assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.fish", `set -gx GOPROXY off`, []Assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.fish", `set --global --export GOPROXY off`, []Assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.fish", `set GOPROXY off`, nil},
		{"environment", `GOPROXY="off"`, []Assignment{{Name: "GOPROXY", Value: "off"}}},
	} {
		for i := range tt.want {
			tt.want[i].File, tt.want[i].Line = tt.file, 2
		}
		if got := parseShell(tt.file, "\n"+tt.line+"\n"); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %s\n got %+v\nwant %+v", tt.file, tt.line, got, tt.want)
		}
	}
}

// What we would write, a shell and we read alike.
func FuzzParseShell(f *testing.F) {
	for _, seed := range []string{"", "https://a.example.com|direct", "a b", "it's", `back\slash`, "$HOME", "`id`", `"`, "#", ";", "ü"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsAny(value, "\n\x00") || strings.ToValidUTF8(value, "") != value {
			return // no line, or no text
		}
		got := parseShell("f.sh", "export GOPROXY="+shellWord(value))
		want := []Assignment{{Name: "GOPROXY", Value: value, File: "f.sh", Line: 1}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %+v", value, got)
		}
	})
}

func TestParseCI(t *testing.T) {
	for _, tt := range []struct {
		line string
		want []ciValue
	}{
		{`GOPROXY: https://a.example.com|direct`, []ciValue{{Name: "GOPROXY", Value: "https://a.example.com|direct"}}},
		{`GOPROXY: "a,b" # why`, []ciValue{{Name: "GOPROXY", Value: "a,b"}}},
		{`GOPRIVATE: a.example.com # ours`, []ciValue{{Name: "GOPRIVATE", Value: "a.example.com"}}},
		{`GOPROXY: ${{ steps.s.outputs.goproxy }}`, nil},
		{`GOPROXY: $MIRROR`, []ciValue{{Name: "GOPROXY", Value: "$MIRROR", Computed: true}}},
		{`- run: GOPROXY=off go vet ./...`, []ciValue{{Name: "GOPROXY", Value: "off"}}},
		{`- export GOPROXY=a|b`, []ciValue{{Name: "GOPROXY", Value: "a", Cut: true}}},
		{`ENV GOPROXY=https://a.example.com GOSUMDB=off`, []ciValue{{Name: "GOPROXY", Value: "https://a.example.com"}, {Name: "GOSUMDB", Value: "off"}}},
		{`ENV GOPROXY off`, []ciValue{{Name: "GOPROXY", Value: "off"}}},
		{`RUN GOPROXY=off go build`, []ciValue{{Name: "GOPROXY", Value: "off"}}},
		{`# GOPROXY: off`, nil},
		{`name: GOPROXY check`, nil},
		{`echo GOPROXY=off`, nil},
	} {
		for i := range tt.want {
			tt.want[i].File, tt.want[i].Line = "f", 1
		}
		if got := parseCI("f", tt.line); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s\n got %+v\nwant %+v", tt.line, got, tt.want)
		}
	}
}

// No line of any file makes a value that the line does not hold.
func FuzzParseCI(f *testing.F) {
	for _, seed := range []string{"GOPROXY: a|b", `- run: "GOPROXY='a|b' go"`, "ENV A=b C=d", "RUN\tX=\\", "A: '", `A: "b`, "export"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // read as U+FFFD, which is longer
		}
		for _, a := range parseCI("f", text) {
			if a.Name == "" || a.Line < 1 || a.Line > strings.Count(text, "\n")+1 {
				t.Errorf("%q: %+v", text, a)
			}
			for part := range strings.FieldsSeq(a.Value) {
				if len(part) > len(text) {
					t.Errorf("%q holds no %q", text, part)
				}
			}
		}
	})
}

// Whatever a page says, what is read from it stands there.
func FuzzGoImports(f *testing.F) {
	f.Add(`<meta name="go-import" content="example.com/x git https://git.example.com/x">`)
	f.Add(`<html><head><META NAME=go-import CONTENT='a b c d'/><body><meta name="go-import" content="e f g">`)
	f.Fuzz(func(t *testing.T, page string) {
		for _, r := range goImports([]byte(page)) {
			if r.root == "" || r.vcs == "" || r.url == "" || strings.ContainsAny(r.root+r.vcs+r.url, " \t\n") {
				t.Errorf("%q: %+v", page, r)
			}
		}
	})
}

func TestGoImports(t *testing.T) {
	page := `<!doctype html><head><meta name="go-import" content="example.com/x mod https://p.example.com">
<meta name="go-import" content="example.com/x git https://git.example.com/x"></head><body><meta name="go-import" content="a b c"></body>`
	want := []repository{{"example.com/x", "mod", "https://p.example.com"}, {"example.com/x", "git", "https://git.example.com/x"}}
	if got := goImports([]byte(page)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}
