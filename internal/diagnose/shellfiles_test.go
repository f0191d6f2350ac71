package diagnose

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseShell(t *testing.T) {
	for _, tt := range []struct {
		file, line string
		want       []assignment
	}{
		{"a.sh", `export GOPROXY=https://a.example.com`, []assignment{{Name: "GOPROXY", Value: "https://a.example.com"}}},
		{"a.sh", `  export GOPROXY="https://a.example.com|direct" GOSUMDB='off' # both`, []assignment{{Name: "GOPROXY", Value: "https://a.example.com|direct"}, {Name: "GOSUMDB", Value: "off"}}},
		{"a.sh", `GOPROXY=off; export GOPROXY`, []assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.sh", `declare -x GOPROXY=off`, []assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.sh", `export GOPROXY=https://a.example.com|direct`, []assignment{{Name: "GOPROXY", Value: "https://a.example.com|direct", Cut: true}}},
		{"a.sh", `export GOVCS=public:git|hg,private:all GOSUMDB=off`, []assignment{{Name: "GOVCS", Value: "public:git|hg,private:all", Cut: true}}},
		{"a.sh", `export GOPROXY=off||true`, []assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.sh", `export GOPROXY=off| cat`, []assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.sh", `export GOPATH=~/go`, []assignment{{Name: "GOPATH", Value: "~/go", Computed: true}}},
		{"a.sh", `export NO_PROXY=a:~`, []assignment{{Name: "NO_PROXY", Value: "a:~", Computed: true}}},
		{"a.sh", `export GOPATH='~/go'`, []assignment{{Name: "GOPATH", Value: "~/go"}}},
		{"a.sh", `export GOPRIVATE={a,b}.example.com`, []assignment{{Name: "GOPRIVATE", Value: "{a,b}.example.com", Computed: true}}},
		{"a.fish", `set -gx GOPATH ~/go`, []assignment{{Name: "GOPATH", Value: "~/go", Computed: true}}},
		{"a.sh", `export GOPROXY=$MIRROR,direct`, []assignment{{Name: "GOPROXY", Value: "$MIRROR,direct", Computed: true}}},
		{"a.sh", "export GOPROXY=`cat file`", []assignment{{Name: "GOPROXY", Value: "`cat file`", Computed: true}}},
		{"a.sh", `export GOPROXY="$(mirror | head -1)" GOSUMDB=off`, []assignment{{Name: "GOPROXY", Value: "$(mirror | head -1)", Computed: true}, {Name: "GOSUMDB", Value: "off"}}},
		{"a.sh", `GOPROXY=off go build ./...`, nil},
		{"a.sh", `# export GOPROXY=off`, nil},
		{"a.sh", `export EDITOR=vi`, nil},
		{"a.sh", `export GOPRIVATE=a\ b`, []assignment{{Name: "GOPRIVATE", Value: "a b"}}},
		{"a.csh", `setenv GOPROXY off`, []assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.fish", `set -gx GOPROXY off`, []assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.fish", `set --global --export GOPROXY off`, []assignment{{Name: "GOPROXY", Value: "off"}}},
		{"a.fish", `set GOPROXY off`, nil},
		{"environment", `GOPROXY="off"`, []assignment{{Name: "GOPROXY", Value: "off"}}},
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
		want := []assignment{{Name: "GOPROXY", Value: value, File: "f.sh", Line: 1}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %+v", value, got)
		}
	})
}

func TestParseCI(t *testing.T) {
	const list = "https://a.example.com|direct"
	for _, tt := range []struct {
		file, text string
		want       []assignment
	}{
		// YAML: no shell reads the value of a key.
		{"ci.yml", "GOPROXY: " + list, []assignment{{Name: "GOPROXY", Value: list, Line: 1}}},
		{"ci.yml", `GOPROXY: "a,b" # why`, []assignment{{Name: "GOPROXY", Value: "a,b", Line: 1}}},
		{"ci.yml", "GOPRIVATE: a.example.com # ours", []assignment{{Name: "GOPRIVATE", Value: "a.example.com", Line: 1}}},
		{"ci.yml", "GOPROXY: ${{ steps.s.outputs.goproxy }}", nil},
		{"ci.yml", "GOPROXY: $MIRROR", []assignment{{Name: "GOPROXY", Value: "$MIRROR", Computed: true, Line: 1}}},
		{"ci.yml", "GOPROXY: >-\n  https://a.example.com,\n  direct\nGOSUMDB: off\n", []assignment{{Name: "GOPROXY", Value: "https://a.example.com, direct", Line: 1}, {Name: "GOSUMDB", Value: "off", Line: 4}}},
		{"ci.yml", "GOPROXY: |\n  " + list + "\n", []assignment{{Name: "GOPROXY", Value: list + "\n", Line: 1}}},
		{"ci.yml", ".v: &p " + list + "\nb:\n  GOPROXY: *p\n", nil},
		{"ci.yml", "GOPROXY: &p " + list, []assignment{{Name: "GOPROXY", Value: list, Line: 1}}},
		{".gitlab-ci.yml", "variables:\n  GOPROXY: !reference [.v, GOPROXY]\n  GOSUMDB: !vault x\n  GOPRIVATE: {value: a.example.com}\n", nil},
		{".woodpecker.yml", "environment:\n  - GOPROXY=" + list + "\n", []assignment{{Name: "GOPROXY", Value: list, Line: 2}}},
		{"ci.yml", "- run: GOPROXY=off go vet ./...", []assignment{{Name: "GOPROXY", Value: "off", Line: 1}}},
		{"ci.yml", "script:\n- export GOPROXY=a|b\n", []assignment{{Name: "GOPROXY", Value: "a|b", Cut: true, Line: 2}}},
		{"ci.yml", "- run: |\n    echo\n    export GOPROXY='a|b' # why\n", []assignment{{Name: "GOPROXY", Value: "a|b", Line: 3}}},
		{"ci.yml", "- run: {command: GOPROXY=off go vet}", []assignment{{Name: "GOPROXY", Value: "off", Line: 1}}},
		{"ci.yml", "name: GOPROXY=off", nil},
		{"ci.yml", "# GOPROXY: off", nil},
		{"ci.yml", "a: [\nGOPROXY: off\n", nil},
		{"ci.yml", "spec: x\n---\nGOPROXY: off\n", []assignment{{Name: "GOPROXY", Value: "off", Line: 3}}},
		// A Makefile: a shell reads recipes alone, and nobody takes make's quotes away.
		{"Makefile", "export GOPROXY=" + list, []assignment{{Name: "GOPROXY", Value: list, Line: 1}}},
		{"Makefile", "export GOPROXY := '" + list + "'\n", []assignment{{Name: "GOPROXY", Value: "'" + list + "'", Line: 1}}},
		{"Makefile", "GOPROXY ?= " + list, nil},
		{"Makefile", "a:\n\t@export GOPROXY=a|b; go build\n", []assignment{{Name: "GOPROXY", Value: "a|b", Cut: true, Line: 2}}},
		{"Makefile", "a:\n\tGOPROXY=$(LIST) go build\n", []assignment{{Name: "GOPROXY", Value: "$(LIST)", Computed: true, Line: 2}}},
		// A Dockerfile: a shell reads RUN alone.
		{"Dockerfile", "ENV GOPROXY=" + list + " GOSUMDB=off", []assignment{{Name: "GOPROXY", Value: list, Line: 1}, {Name: "GOSUMDB", Value: "off", Line: 1}}},
		{"Dockerfile", "ENV A=b \\\n    # why\n    GOPROXY=" + list + "\n", []assignment{{Name: "A", Value: "b", Line: 1}, {Name: "GOPROXY", Value: list, Line: 3}}},
		{"Dockerfile", "ENV GOPROXY off", []assignment{{Name: "GOPROXY", Value: "off", Line: 1}}},
		{"a.Dockerfile", "RUN GOPROXY=off go build", []assignment{{Name: "GOPROXY", Value: "off", Line: 1}}},
		{"Dockerfile", "RUN go env; \\\n  export GOPROXY=a|b\n", []assignment{{Name: "GOPROXY", Value: "a|b", Cut: true, Line: 2}}},
		{"Dockerfile", "COPY GOPROXY=off .", nil},
		{"Jenkinsfile", "  sh 'export GOPROXY=a|b'", []assignment{{Name: "GOPROXY", Value: "a|b", Cut: true, Line: 1}}},
		{"Jenkinsfile", "echo GOPROXY=off", nil},
	} {
		for i := range tt.want {
			tt.want[i].File = tt.file
		}
		if got := parseCI(tt.file, tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %s\n got %+v\nwant %+v", tt.file, tt.text, got, tt.want)
		}
	}
}

// No line of any file makes a value that the text does not hold.
func FuzzParseCI(f *testing.F) {
	for _, seed := range []string{"GOPROXY: a|b", `- run: "GOPROXY='a|b' go"`, "ENV A=b C=d", "RUN\tX=\\", "A: '", `A: "b`, "export", "\tA=b|c d", "export A := b # c", "A: |\n b\n", "A: *b", "0=0\x000", "? A"} {
		f.Add(seed)
	}
	bare := strings.NewReplacer(`"`, "", "'", "", `\`, "")
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // read as U+FFFD, which is longer
		}
		for _, file := range []string{"Jenkinsfile", "Makefile", "Dockerfile", "ci.yml"} {
			isYAML := file == "ci.yml"
			if isYAML && strings.ContainsAny(text, "\r\u0085\u2028\u2029") {
				continue // ends of lines, too
			}
			for _, a := range parseCI(file, text) {
				if a.Name == "" || a.Line < 1 || a.Line > strings.Count(text, "\n")+1 {
					t.Errorf("%s: %q: %+v", file, text, a)
				}
				for part := range strings.FieldsSeq(bare.Replace(a.Value)) {
					if !isYAML && !strings.Contains(bare.Replace(text), part) { // YAML has escapes
						t.Errorf("%s: %q holds no %q", file, text, part)
					}
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
