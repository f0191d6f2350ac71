package render

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

type (
	junitNote struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	junitCase struct {
		Class   string     `xml:"classname,attr"`
		Name    string     `xml:"name,attr"`
		File    string     `xml:"file,attr,omitempty"`
		Time    string     `xml:"time,attr"`
		Failure *junitNote `xml:"failure"`
		Skipped *junitNote `xml:"skipped"`
		Output  string     `xml:"system-out,omitempty"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
)

// junit writes the suite "proxy reachable" with one case for each entry of the
// chain. Only a proxy that is down fails; what could not be told, or was not
// asked, is skipped. A diagnosis has the suite "diagnosis" besides, with one
// case for each check.
func junit(r *report.Report, _ Options) ([]byte, error) {
	suite := junitSuite{Name: "proxy reachable", Tests: len(r.Proxies)}
	var longest int64 // they are asked at the same time
	for _, p := range r.Proxies {
		c := junitCase{Class: "goproxy-setup", Name: visible(p.Name), File: visible(p.Place.File), Time: seconds(p.TookMS)}
		longest = max(longest, p.TookMS)
		cause := visible(p.Cause)
		switch p.State {
		case report.Down:
			suite.Failures++
			c.Failure = &junitNote{visible(p.Class), cause, junitDetail(p)}
		case report.Unknown:
			suite.Skipped++
			c.Skipped = &junitNote{Message: "could not be told from here: " + cause}
		case report.Unasked:
			suite.Skipped++
			c.Skipped = &junitNote{Message: "not asked"}
		default:
			c.Output = junitDetail(p)
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = seconds(longest)
	suites := []junitSuite{suite}
	if len(r.Checks) > 0 {
		suites = append(suites, junitChecks(r))
	}
	b, err := xml.MarshalIndent(junitSuites{Suites: suites}, "", "  ")
	if err != nil {
		return nil, err
	}
	// "##[" is a command in a log, and the same text with a reference is not.
	text := strings.ReplaceAll(string(b), "##", "#&#35;")
	return []byte(xml.Header + text + "\n"), nil
}

// junitChecks returns the suite with a case for each check of a diagnosis. A
// check fails by errors and warnings.
func junitChecks(r *report.Report) junitSuite {
	suite := junitSuite{Name: "diagnosis", Tests: len(r.Checks)}
	var longest int64
	for _, check := range r.Checks {
		c := junitCase{Class: "goproxy-setup", Name: visible(check.Name), Time: seconds(check.TookMS)}
		longest = max(longest, check.TookMS)
		switch {
		case check.Skipped:
			suite.Skipped++
			c.Skipped = &junitNote{Message: visible(check.Detail)}
		case check.OK:
			c.Output = visible(check.Detail)
		default:
			suite.Failures++
			c.Failure = junitFindings(r, check)
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = seconds(longest)
	return suite
}

// junitFindings says what a check found. Its name ends with the ID of its
// findings.
func junitFindings(r *report.Report, check report.Check) *junitNote {
	note := &junitNote{}
	for _, f := range r.Findings {
		if !strings.HasSuffix(check.Name, " "+f.ID) {
			continue
		}
		if note.Type == "" {
			note.Type, note.Message = f.ID, visible(f.Title+": "+f.Message)
		}
		line := visible(string(f.Severity) + ": " + f.Message)
		if place := f.Place.String(); place != "" {
			line += " (" + visible(place) + ")"
		}
		note.Text += line + fix(f.Fix) + "\n"
	}
	return note
}

// junitDetail says what was found and what to do, a line for each check.
func junitDetail(p report.Proxy) string {
	lines := []string{visible(p.URL)}
	if p.Cause != "" {
		lines = append(lines, visible(p.Cause))
	}
	for _, c := range p.Checks {
		verdict := "ok"
		if !c.OK {
			verdict = "failed"
		}
		line := fmt.Sprintf("%s: %s, %d ms", visible(c.Name), verdict, c.TookMS)
		if c.Detail != "" {
			line += ": " + visible(c.Detail)
		}
		lines = append(lines, line)
	}
	if p.Next != "" {
		lines = append(lines, "next: "+visible(p.Next))
	}
	return strings.Join(lines, "\n") + "\n"
}

func seconds(ms int64) string { return fmt.Sprintf("%.3f", float64(ms)/1000) }
