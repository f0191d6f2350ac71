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
		XMLName xml.Name   `xml:"testsuites"`
		Suite   junitSuite `xml:"testsuite"`
	}
)

// junit writes the suite "proxy reachable" with one case for each entry of the
// chain. Only a proxy that is down fails; what could not be told, or was not
// asked, is skipped.
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
	b, err := xml.MarshalIndent(junitSuites{Suite: suite}, "", "  ")
	if err != nil {
		return nil, err
	}
	// "##[" is a command in a log, and the same text with a reference is not.
	text := strings.ReplaceAll(string(b), "##", "#&#35;")
	return []byte(xml.Header + text + "\n"), nil
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
