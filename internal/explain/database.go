package explain

import (
	"fmt"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/goenv"
)

// checksum fills in where go turns to in order to know the right bytes.
func (in *Input) checksum(r *Route, q Query) {
	m := module.Version{Path: q.Path, Version: q.Version}
	r.Vouch = vouches[in.Vouch(q)]
	only := func(ask, note string) { r.Checksum = []Visit{{Ask: ask, If: "first", Note: note}} }
	zip, mod := "", ""
	if in.GoSum != nil && q.Exact() {
		zip, mod = in.GoSum.Zip(m), in.GoSum.GoMod(m)
	}
	if zip != "" && mod != "" {
		only(in.GoSumName, "has both lines for this version, so no checksum database is asked")
		return
	}
	set := in.Sources.Lookup("GOSUMDB")
	where := Describe(set).Where()
	db, err := goenv.ParseSumDB(set.Value)
	switch {
	case err != nil:
		only("nobody", fmt.Sprintf("go refuses: %v (%s)", err, where))
		return
	case db.Off:
		only("nobody", "GOSUMDB=off ("+where+"): whatever a proxy sends first is believed")
		return
	case goenv.MatchPatterns(in.value("GONOSUMDB"), q.Path):
		only("nobody", "GONOSUMDB ("+in.where("GONOSUMDB")+") covers the module: whatever is sent first is believed")
		return
	case db.URL != "":
		only(goenv.Redact(db.URL), "GOSUMDB ("+where+") names a URL, so no proxy is asked for it")
		return
	}
	in.lookups(r, db, where)
}

// lookups follows go along the chain to a proxy that passes the database on.
func (in *Input) lookups(r *Route, db goenv.SumDB, where string) {
	c, err := goenv.ParseWhole(in.value("GOPROXY"))
	if err != nil {
		return
	}
	condition := "first"
	direct := false
	for i, e := range c {
		if i > 0 {
			condition = after(c[i-1])
		}
		if !e.Proxy() {
			direct = e.Direct()
			break
		}
		r.Checksum = append(r.Checksum, Visit{
			Ask: label(e), If: condition, Requests: []string{label(e) + "/sumdb/" + db.Name + "/supported"},
			Note: "200 makes it the one that every lookup of this process is sent to, whatever happens",
		})
	}
	last := Visit{Ask: "https://" + db.Name, If: condition, Note: "the database itself; GOSUMDB (" + where + ")"}
	if len(c) > 0 && c[0].Proxy() && !direct {
		last.If = "after 404 or 410 from all of them"
		last.Note += "; without a final direct, any other error of an earlier proxy is final here"
	}
	r.Checksum = append(r.Checksum, last)
}
