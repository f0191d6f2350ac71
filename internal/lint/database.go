package lint

import (
	"fmt"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
)

// defaultDatabase is the checksum database that go knows.
func defaultDatabase() string { return policy.Databases()[0].GOSUMDB }

func badDatabase(c *checker) []found {
	set := c.look("GOSUMDB")
	if c.dbErr == nil || set.Value == "" {
		return nil
	}
	return []found{{set, fmt.Sprintf("go refuses every lookup: %v", c.dbErr), []Change{{"GOSUMDB", defaultDatabase()}}, ""}}
}

func noDatabase(c *checker) []found {
	set := c.look("GOSUMDB")
	if set.Value != "" || c.unknown(set) {
		return nil
	}
	f := found{set: set, message: "is empty, so every module that go.sum lacks is an error (missing GOSUMDB)", changes: []Change{{"GOSUMDB", ""}}}
	if set.Origin != goenv.UserFile {
		f.changes = []Change{{"GOSUMDB", defaultDatabase()}}
	}
	return []found{f}
}

func databaseOff(c *checker) []found {
	if c.dbErr != nil || !c.db.Off {
		return nil
	}
	f := found{set: c.look("GOSUMDB"), message: "what a proxy sends first is believed and written to go.sum; toolchain downloads fail, since they are always verified"}
	f.changes = []Change{{"GOSUMDB", defaultDatabase()}}
	f.advice = "private modules need only a pattern in GOPRIVATE"
	return []found{f}
}

func databaseURL(c *checker) []found {
	if c.dbErr != nil || c.db.URL == "" || len(c.proxies) == 0 {
		return nil
	}
	for _, known := range policy.Databases() { // the alias for mainland China is one word and a URL for go
		if c.look("GOSUMDB").Value == known.GOSUMDB {
			return nil
		}
	}
	db := c.db
	db.URL = ""
	return []found{{c.look("GOSUMDB"), fmt.Sprintf("with a URL go asks %s alone, and no proxy of GOPROXY", goenv.Redact(c.db.URL)), []Change{{"GOSUMDB", db.String()}}, "unless just that is meant"}}
}

func databaseLogin(c *checker) []found {
	if c.dbErr != nil || c.db.URL == "" || goenv.RedactSumDB(c.db.String()) == c.db.String() {
		return nil
	}
	return []found{{c.look("GOSUMDB"), "credentials stand in the value, where \"go env\" and every process of the job show them", []Change{{"GOSUMDB", goenv.RedactSumDB(c.db.String())}}, "put them into a netrc"}}
}
